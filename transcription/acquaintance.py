"""Getting to know the Whisper servers: asking each how it wants to be asked, and keeping that up to date.

What is learned is kept in the server's `profile`. How servers differ is the subject of `servers`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial

from transcription.servers import inspection
from transcription.servers.dialect import Dialect, learn

from .errors import Misconfigured, TranscriptionError
from .exchange import WhisperHttp
from .pool import Server
from .request import silence
from .sentence import Sentence

log = logging.getLogger(__name__)

LOOK, LONGEST_PAUSE = 1.0, 60.0  # seconds between two looks whether a server must be asked, doubled while it fails


async def ask(server: Server, model: str, http: WhisperHttp) -> Dialect:
    """Find out how the server wants to be asked, by its list of models and a second of silence. It needs a permit.

    model: the one that the settings name for the server; empty if they name none.
    Raises `Misconfigured` if the settings must be changed, and other `AnswerError`s.
    """
    name, profile = server.name, server.profile

    async def attempt(dialect: Dialect) -> None:
        profile.dialect = replace(profile.dialect, models=dialect.models)  # kept also if no dialect fits
        await http.transcribe(server, dialect, silence(language="en" if dialect.wants_language else ""))

    try:
        dialect = await learn(server.url, model, attempt, partial(http.look, server))
    except Misconfigured as error:
        log.warning("[ASR API] server=%s does not fit: %r", name, str(error))
        raise
    log.info("[ASR API] server=%s url=%s %s", name, dialect.url, dialect.finding)
    return dialect


async def inspect(server: Server, model: str, http: WhisperHttp) -> Sentence:
    """See `inspection`. The server has nothing to compute, so this needs no permit."""
    return await inspection.inspect(
        server.url, model, partial(http.ask_without_audio, server), partial(http.look, server)
    )


async def keep(servers: Iterable[Server], probe: Callable[[Server], Awaitable[None]]) -> None:
    """Ask each server that is not known yet, or that the settings do not fit. Runs until it is cancelled.

    probe: sends a second of silence to a server through its gate, which asks the server first if that is due.
    """
    async with asyncio.TaskGroup() as tasks:
        for server in servers:
            server.profile.doubt()
            tasks.create_task(_keep(server, probe))


async def _keep(server: Server, probe: Callable[[Server], Awaitable[None]]) -> None:
    failures = 0
    while True:
        if server.profile.doubtful and server.allows():
            try:
                await probe(server)
                failures = 0
            except TranscriptionError as error:
                failures += not isinstance(error, Misconfigured)
                log.info("[ASR API] server=%s cannot be asked yet: %r", server.name, str(error))
        await asyncio.sleep(min(LONGEST_PAUSE, LOOK * 2 ** min(16, failures)))
