"""The one door to Whisper for the rest of the product: builds the process's gates and client from the settings."""

import sys
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache

from django.conf import settings

from .answer import Transcript
from .client import AsrRequest, Caller, WhisperClient
from .doubts import without_inventions
from .engine import EmbeddedEngine
from .errors import TranscriptionError
from .gate import Gate
from .limit import AdaptiveLimit, FixedLimit, Limit
from .line import Lane
from .pool import Breaker, Pool, Server, endpoint
from .sentence import _
from .snapshot import Jobs, Snapshot


async def transcribe_audio(
    audio: bytes,
    *,
    seconds: float,
    lane: Lane,
    owner: Hashable,
    language: str = "",
    prompt: str = "",
    model: str = "",
    temperature: float = 0.0,
    translate: bool = False,
    durable: bool = False,
    deadline: float | None = None,
    supersede: Hashable = None,
    withdrawn: Callable[[], bool] | None = None,
    on_retry: Callable[[TranscriptionError, float], None] | None = None,
    waited: float = 0.0,
    announce: Callable[[], None] | None = None,
    task_id: str = "",
    use_concurrency_control: bool = True,
) -> Transcript:
    """The transcript of a 16 kHz mono WAV file of `seconds`, without what Whisper invented.

    translate: the text is English, whatever was spoken.
    Waits for its turn at the gate: see `Caller` for what lane, owner and the others from durable to task_id mean.
    The times in the transcript are seconds from the start of the audio. Raises `errors.TranscriptionError`.
    """
    request = AsrRequest(audio, seconds, language, prompt, model, temperature, translate)
    caller = Caller(lane, owner, durable, deadline, supersede, withdrawn, on_retry, waited, announce)
    if task_id:
        caller = replace(caller, task_id=task_id)
    return without_inventions(
        await client().call_remote_asr_api(request, caller, use_concurrency_control=use_concurrency_control)
    )


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """The embedded engine runs, if the settings name no server; connections are closed at the end."""
    embedded = engine()
    try:
        if embedded:
            await embedded.start()
        yield
    finally:
        await client().aclose()
        if embedded:
            await embedded.stop()


@cache
def client() -> WhisperClient:
    """The client of this process, with one gate for each server."""
    embedded = engine()
    addresses = [embedded.url] if embedded else settings.ASR_API_URL.split(",")
    return WhisperClient(
        Pool([_server(address) for address in addresses]),
        api_key=settings.ASR_API_KEY,
        model=settings.ASR_MODEL,
        request_timeout=settings.ASR_REQUEST_TIMEOUT,
        abandoned_grace=settings.ASR_ABANDONED_GRACE,
        max_attempts=settings.ASR_MAX_RETRIES,
        retry_delay=settings.ASR_RETRY_DELAY,
        allow_bypass=settings.ASR_ALLOW_BYPASS,
        ca_bundle=settings.ASR_CA_BUNDLE,
    )


@cache
def engine() -> EmbeddedEngine | None:
    """The Whisper server that the product brings itself; None where the settings name others."""
    if settings.ASR_API_URL:
        return None
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "whisper_server"]
    return EmbeddedEngine([*command, "--model", settings.ASR_EMBEDDED_MODEL])


def snapshot() -> Snapshot:
    return client().snapshot()


def note_jobs(jobs: Jobs) -> None:
    """What waits and works behind the calls, from now on: the runner of jobs tells it."""
    client().jobs = jobs


def announce(task_id: str, jobs: int) -> None:
    """Write to the log that a job has arrived. jobs: how many wait in line, itself included if it does."""
    client().announce(task_id, jobs)


def set_limit(name: str, highest: int | None) -> None:
    """Change the highest limit of the server with this name, until the process ends; None: as the settings say.

    Raises ValueError, with a `Sentence`, where there is no such server or it may not have that limit.
    """
    for server in client().pool.servers:
        if server.gate.name == name:
            return server.gate.set_ceiling(highest)
    raise ValueError(_("There is no Whisper server {!r}.", name))


def total_limit() -> int:
    """How many exchanges may be in flight now, over all servers."""
    return sum(server.gate.limit for server in snapshot().servers)


def _server(address: str) -> Server:
    url, _, ceiling = address.strip().partition("|")
    return Server(
        url=endpoint(url),
        gate=Gate(_name(url), _limit(ceiling or settings.ASR_MAX_CONCURRENT), max_queue=settings.ASR_MAX_QUEUE),
        breaker=Breaker(),
    )


def _limit(ceiling: str) -> Limit:
    """`ceiling` as the settings give it: a whole number, or `auto`."""
    highest = None if ceiling == "auto" else int(ceiling)
    if settings.ASR_ADAPTIVE or highest is None:
        return AdaptiveLimit(floor=settings.ASR_MIN_CONCURRENT, ceiling=highest)
    return FixedLimit(highest)


def _name(url: str) -> str:
    """`host:port`, as pages and stats call the server; no path, user or password."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]
