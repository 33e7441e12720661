"""The door to Whisper for the rest of the product. It makes the process's gate and client from the settings."""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db import connections

from transcription.engine.process import EmbeddedEngine, gains_by_batches
from transcription.servers.file import NamedServer, missing_model, names, read

from . import remembering
from .answer import Transcript
from .breaker import Breaker
from .claim import Claim, FileLock, Lock
from .client import WhisperClient
from .doubts import without_inventions
from .errors import TimedOut, TranscriptionError
from .limit import AdaptiveLimit, FixedLimit, Limit
from .line import LANES, Lane
from .live_share import LiveShare
from .pool import Bar, Pool, Server
from .request import AsrRequest, CallOptions
from .sentence import Sentence, _
from .snapshot import Jobs, Snapshot
from .unanswered import Unanswered

PATIENCE = 10.0  # seconds for an inspection, which gives a server nothing to compute


async def transcribe_audio(
    audio: bytes,
    *,
    seconds: float,
    lane: Lane,
    owner: Hashable,
    weight: int = 1,
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
    """Transcribe a 16 kHz mono WAV file, under a permit of the gate, and remove the text that Whisper invented.

    seconds: length of the audio. translate: the text shall be English, whatever is spoken. model: empty for that of the
    settings, which have one of its own for captions. For language and prompt see `AsrRequest`; for lane, owner, weight,
    and the parameters from durable to task_id see `CallOptions`.
    The times in the transcript are seconds from the start of the audio. Raises `errors.TranscriptionError`.
    """
    live = lane == "live"
    model = model or (settings.ASR_LIVE_MODEL if live else "")
    request = AsrRequest(audio, seconds, language, prompt, model, temperature, translate, live=live)
    caller = CallOptions(
        lane,
        owner,
        weight=weight,
        durable=durable,
        deadline=deadline,
        supersede=supersede,
        withdrawn=withdrawn,
        on_retry=on_retry,
        waited=waited,
        announce=announce,
    )
    if task_id:
        caller = replace(caller, task_id=task_id)
    return without_inventions(
        await client().call_remote_asr_api(request, caller, use_concurrency_control=use_concurrency_control)
    )


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """While the block runs, so does the embedded engine, or else the servers of the settings are kept known.

    What earlier processes learnt of the servers is taken up, and what this one learns is kept. At the end the
    connections are closed.
    """
    embedded = engine()
    gate, servers = client().pool.gate, _servers_by_key()
    await remembering.take_up(gate, servers)
    beside = [asyncio.create_task(remembering.keep(gate, servers)), asyncio.create_task(client().load_watch.run())]
    if not embedded:
        beside.append(asyncio.create_task(client().keep_acquainted()))
    try:
        if embedded:
            await embedded.start()
        yield
    finally:
        for task in beside:
            task.cancel()
        await asyncio.wait(beside)
        await remembering.write(gate, servers, {})
        await client().aclose()
        if embedded:
            await embedded.stop()


def _servers_by_key() -> dict[str, Server]:
    """The servers by digests of what must stay the same in the next process: the server's address, and its models.

    The embedded engine has another address each time.
    """
    model = settings.ASR_EMBEDDED_MODEL if engine() else settings.ASR_MODEL
    named = {
        " ".join(["engine" if engine() else server.url, *(server.named.models or [model])]): server
        for server in client().pool.servers
    }
    return {hashlib.sha256(name.encode()).hexdigest(): server for name, server in named.items()}


@cache
def claim() -> Claim:
    """The claim to Whisper: one process has it, of all with this data folder and of all with this database."""
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
    """The file of an SQLite database, with links resolved; None if the database is in no file."""
    database = connections["default"]
    if database.vendor != "sqlite" or database.is_in_memory_db():  # type: ignore[attr-defined] # SQLite's
        return None
    return Path(database.settings_dict["NAME"]).resolve()


@cache
def unanswered() -> Unanswered:
    """The notes of exchanges in flight: a file beside the database's, or in the data folder if there is none."""
    file = _database_file() or settings.DATA_DIR / "stile"
    return Unanswered(
        file.with_name(f"{file.name}-unanswered"), settings.ASR_REQUEST_TIMEOUT + settings.ASR_ABANDONED_GRACE
    )


@cache
def client() -> WhisperClient:
    """The client of this process, with the gate before all servers. Raises AlreadyRunning if another has the claim."""
    claim().take()
    return _client(None if engine() else unanswered())  # the embedded engine ends with its process


def inspector() -> WhisperClient:
    """A client for `inspect`. It can be used beside a process that has the claim, but makes no calls (see `barred`)."""
    return _client(None)


def _client(notes: Unanswered | None) -> WhisperClient:
    embedded = engine()
    named = (NamedServer(embedded.url),) if embedded else servers_named()
    return WhisperClient(
        Pool(map(_server, named, names([each.url for each in named])), max_queue=settings.ASR_MAX_QUEUE),
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
    """The reason why this process may call no server now, or None."""
    if claim().held:
        embedded = engine()
        return embedded.bar() if embedded else None
    return Bar(_("The database cannot be reached, which keeps a second process away from the Whisper server."), 1.0)


@cache
def engine() -> EmbeddedEngine | None:
    """The Whisper server that the product starts itself. None if the settings name servers."""
    if _names_servers():
        return None
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "whisper_server"]
    return EmbeddedEngine([*command, "--model", settings.ASR_EMBEDDED_MODEL])


def snapshot() -> Snapshot:
    return client().snapshot()


def looked() -> None:
    """Note that somebody looks at the servers, so that they are asked for their load."""
    client().load_watch.looked()


def note_jobs(jobs: Jobs) -> None:
    """Tell the client of the jobs behind its calls. The runner does, at each change."""
    client().jobs = jobs


def announce(task_id: str, jobs: int) -> None:
    """Write to the log that a job has arrived. jobs: number of jobs in line, itself included if it waits."""
    client().announce(task_id, jobs)


def inspect(client: WhisperClient, server: Server) -> Sentence:
    """Describe a server for the administrator without giving it work. Raises `AnswerError`."""
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
    """The models of all servers, as far as they are known."""
    servers = client().pool.servers
    return {name for server in servers for name in (*server.named.models, *server.profile.dialect.models)}


def set_ceiling(name: str, ceiling: int | None) -> None:
    """Change the ceiling of a server until the process ends. None: the ceiling of the settings.

    Raises ValueError with a `Sentence` if there is no such server, or it may not have that ceiling.
    """
    for server in client().pool.servers:
        if server.name == name:
            return client().pool.gate.set_ceiling(server, ceiling)
    raise ValueError(_("There is no Whisper server {!r}.", name))


def total_limit() -> int:
    """The limits of all servers together."""
    return sum(server.gate.limit for server in snapshot().servers)


def live_limit() -> int:
    """How many live calls may be in flight at once now, on all servers."""
    return client().pool.gate.live_limit()


def _names_servers() -> bool:
    return bool(settings.ASR_SERVERS or settings.ASR_API_URL.strip(", "))


def servers_named() -> tuple[NamedServer, ...]:
    """The servers of the settings: those in ASR_SERVERS, or in ASR_API_URL, which has the form “url|ceiling,url”.

    Raises ValueError with a sentence for the administrator.
    """
    if not settings.ASR_SERVERS:
        addresses = [address.strip().partition("|") for address in settings.ASR_API_URL.split(",") if address.strip()]
        return tuple(NamedServer(url, settings.ASR_API_KEY, ceiling) for url, _bar, ceiling in addresses)
    if settings.ASR_API_URL or settings.ASR_API_KEY:
        raise ValueError("ASR_SERVERS stands in place of ASR_API_URL and ASR_API_KEY: leave those empty.")
    try:
        named = read(settings.BASE_DIR / settings.ASR_SERVERS)
    except ValueError as error:
        raise ValueError(f"ASR_SERVERS: {error}") from None
    ordinary: tuple[Lane, ...] = ("interactive", "batch") if settings.ASR_LIVE_MODEL else LANES
    wanted = {"ASR_MODEL": (settings.ASR_MODEL, ordinary), "ASR_LIVE_MODEL": (settings.ASR_LIVE_MODEL, ("live",))}
    if missing := missing_model(named, wanted):
        raise ValueError(missing)
    return named


def ceiling() -> str:
    """The ceiling of each server that has none of its own in the settings: a whole number, or `auto`."""
    gains = not _names_servers() and settings.ASR_ADAPTIVE and gains_by_batches()
    return str(settings.ASR_MAX_CONCURRENT) or ("auto" if gains else "1")


def _server(named: NamedServer, name: str) -> Server:
    server = Server(
        named,
        name=name,
        limit=_limit(named.limit or ceiling()),
        breaker=Breaker(),
        live_share=LiveShare(settings.ASR_LIVE_TARGET),
        barred=barred,
        **({"around": embedded.during_life} if (embedded := engine()) else {}),
    )
    if embedded:
        server.profile.unasked = _("The product’s own engine, which need not be asked.")
    return server


def _limit(its_ceiling: str) -> Limit:
    """A limit with this ceiling of the settings: a whole number, or `auto`."""
    most = None if its_ceiling == "auto" else int(its_ceiling)
    if settings.ASR_ADAPTIVE or most is None:
        return AdaptiveLimit(floor=settings.ASR_MIN_CONCURRENT, ceiling=most, sturdy=not _names_servers())
    return FixedLimit(most)
