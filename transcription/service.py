"""The one door to Whisper for the rest of the product: builds the process's gates and client from the settings."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db import connections

from transcription.engine.process import EmbeddedEngine

from .answer import Transcript
from .breaker import Breaker
from .claim import Claim, FileLock, Lock
from .client import WhisperClient
from .doubts import without_inventions
from .errors import TimedOut, TranscriptionError
from .gate import Gate
from .limit import AdaptiveLimit, FixedLimit, Limit
from .line import Lane
from .pool import Bar, Pool, Server, endpoint
from .request import AsrRequest, CallOptions
from .sentence import Sentence, _
from .snapshot import Jobs, Snapshot
from .unanswered import Unanswered

PATIENCE = 10.0  # seconds to inspect a server: nothing it is asked for is work


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
    Waits for its turn at the gate: see `CallOptions` for what lane, owner and the others from durable to task_id mean.
    The times in the transcript are seconds from the start of the audio. Raises `errors.TranscriptionError`.
    """
    request = AsrRequest(audio, seconds, language, prompt, model, temperature, translate)
    caller = CallOptions(lane, owner, durable, deadline, supersede, withdrawn, on_retry, waited, announce)
    if task_id:
        caller = replace(caller, task_id=task_id)
    return without_inventions(
        await client().call_remote_asr_api(request, caller, use_concurrency_control=use_concurrency_control)
    )


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """The embedded engine runs, or the servers of the settings are got to know; connections are closed at the end."""
    embedded = engine()
    asking = None if embedded else asyncio.create_task(client().keep_acquainted())
    try:
        if embedded:
            await embedded.start()
        yield
    finally:
        if asking:
            asking.cancel()
            await asyncio.wait({asking})
        await client().aclose()
        if embedded:
            await embedded.stop()


@cache
def claim() -> Claim:
    """The right to call Whisper, which one process has: of those with this data, and of those with this database."""
    locks: list[Lock] = [FileLock(settings.DATA_DIR / "runner.lock", f"the data in {settings.DATA_DIR}")]
    database = connections["default"]
    if database.vendor == "postgresql":
        from .postgres_lock import PostgresLock  # noqa: PLC0415 its driver is loaded only where it is used

        name, host = database.settings_dict["NAME"], database.settings_dict["HOST"] or "this machine"
        locks.append(
            PostgresLock(lambda: connections["default"].get_connection_params(), f"the database {name} at {host}")
        )
    elif file := _database_file():
        locks.append(FileLock(file.with_name(f"{file.name}-gate"), f"the database {file}"))
    return Claim(locks)


def _database_file() -> Path | None:
    """Where SQLite keeps it, whatever link leads there; None where it is in no file."""
    database = connections["default"]
    if database.vendor != "sqlite" or database.is_in_memory_db():  # type: ignore[attr-defined] # SQLite's
        return None
    return Path(database.settings_dict["NAME"]).resolve()


@cache
def unanswered() -> Unanswered:
    """What is in flight, noted beside the database, or in the data's folder where that is on a server."""
    file = _database_file() or settings.DATA_DIR / "stile"
    return Unanswered(
        file.with_name(f"{file.name}-unanswered"), settings.ASR_REQUEST_TIMEOUT + settings.ASR_ABANDONED_GRACE
    )


@cache
def client() -> WhisperClient:
    """The client of this process, with a gate for each server. Raises AlreadyRunning where another has the claim."""
    claim().take()
    return _client(None if engine() else unanswered())  # the embedded engine ends with its process


def inspector() -> WhisperClient:
    """For `inspect`, also beside a process that has the claim. Calls of this client are refused (see `barred`)."""
    return _client(None)


def _client(notes: Unanswered | None) -> WhisperClient:
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
        unanswered=notes,
    )


def barred() -> Bar | None:
    """Why this process may call no server now."""
    if claim().held:
        embedded = engine()
        return embedded.bar() if embedded else None
    return Bar(_("The database cannot be reached, which keeps a second process away from the Whisper server."), 1.0)


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


def inspect(client: WhisperClient, server: Server) -> Sentence:
    """What can be said of the server without giving it work. Raises `AnswerError`."""
    return asyncio.run(_inspect(client, server))


async def _inspect(client: WhisperClient, server: Server) -> Sentence:
    try:
        async with asyncio.timeout(PATIENCE):
            return await client.inspect(server)
    except TimeoutError:
        raise TimedOut(f"No answer within {PATIENCE:g} s.") from None
    finally:
        await client.aclose()


def models() -> set[str]:
    """The models that the servers say they have, as far as they were asked."""
    return {name for server in snapshot().servers for name in server.profile.models}


def set_ceiling(name: str, ceiling: int | None) -> None:
    """Change the ceiling of the server with this name, until the process ends; None: as the settings say.

    Raises ValueError, with a `Sentence`, where there is no such server or it may not have that limit.
    """
    for server in client().pool.servers:
        if server.gate.name == name:
            return server.gate.set_ceiling(ceiling)
    raise ValueError(_("There is no Whisper server {!r}.", name))


def total_limit() -> int:
    """How many exchanges may be in flight now, over all servers."""
    return sum(server.gate.limit for server in snapshot().servers)


def _server(address: str) -> Server:
    url, _bar, ceiling = address.strip().partition("|")
    server = Server(
        url=endpoint(url),
        gate=Gate(_name(url), _limit(ceiling or settings.ASR_MAX_CONCURRENT), max_queue=settings.ASR_MAX_QUEUE),
        breaker=Breaker(),
        barred=barred,
        **({"around": embedded.during_life} if (embedded := engine()) else {}),
    )
    if embedded:
        server.profile.unasked = _("The product’s own engine, which need not be asked.")
    return server


def _limit(ceiling: str) -> Limit:
    """`ceiling` as the settings give it: a whole number, or `auto`."""
    most = None if ceiling == "auto" else int(ceiling)
    if settings.ASR_ADAPTIVE or most is None:
        return AdaptiveLimit(floor=settings.ASR_MIN_CONCURRENT, ceiling=most)
    return FixedLimit(most)


def _name(url: str) -> str:
    """`host:port`, as pages and stats call the server; no path, user or password."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]
