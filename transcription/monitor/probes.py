"""Probes of the parts that transcribe: the gate with its Whisper servers, and the processes that decode audio."""

import asyncio
from urllib.parse import urlsplit

from transcription import service
from transcription.audio import apart
from web.readiness import NotReady, Said


async def gate() -> Said:
    """Connect to the Whisper servers until one accepts. Returns a sentence about each server, without its address, and
    the advice about limits.

    Raises NotReady where this process may not call Whisper or no server takes what it is sent, else the OSError of the
    last server. The breakers are not asked, since they know only of earlier calls.
    """
    servers = service.snapshot().servers
    if bar := service.barred():
        raise NotReady(bar.reason)
    attempts = [asyncio.create_task(_connect(server.url)) for server in servers]
    try:
        for attempt in asyncio.as_completed(attempts):
            try:
                await attempt
                break
            except OSError as failure:
                last = failure
        else:
            raise last
    finally:
        for task in attempts:
            task.cancel()
    found = [server.profile for server in servers]
    words = [str(known.finding) for known in found]
    if all(known.fault for known in found):
        raise NotReady(" ".join(words))
    return Said(words, [str(server.gate.advice) for server in servers if server.gate.advice])


class NetworkOpen(Exception):
    """The processes that decode files have network access: this system lacks seccomp, or forbids it."""


async def decoder() -> None:
    """Start a process that decodes files. Raises NetworkOpen where it has network access."""
    if not await apart.network_closed():
        raise NetworkOpen


async def _connect(url: str) -> None:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    _reader, writer = await asyncio.open_connection(parts.hostname, port)
    writer.close()
