"""Foreign load: requests in a server that other programs sent, where the server tells how many it has.

Asking is a GET without sound, so it needs no permit, and no call waits for it.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from functools import partial

import anyio

from transcription.servers import load

from .errors import TranscriptionError
from .exchange import WhisperHttp
from .pool import Server
from .snapshot import Load

EVERY = 3.0  # seconds between two questions, and the longest wait for an answer
LOOKED = 20.0  # seconds after a look for which the load is of use: scrapers look every 15 s by Prometheus' own example
SILENT = 300.0  # seconds until a server that tells nothing is asked again


class LoadWatch:
    """Asks each server for its load while a call is in it, or while somebody looks. Sets `Server.load`."""

    def __init__(self, servers: Iterable[Server], http: WhisperHttp, clock: Callable[[], float]) -> None:
        self._servers = tuple(servers)
        self._http = http
        self._clock = clock
        self._looked_at = -math.inf

    def looked(self) -> None:
        """Note that somebody looks at the servers. Any thread may call this."""
        self._looked_at = self._clock()

    async def run(self) -> None:
        """Ask until this is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for server in self._servers:
                tasks.create_task(self._watch(server))

    async def _watch(self, server: Server) -> None:
        while True:
            pause, server.load = EVERY, None
            if server.allows() and (server.out or self._clock() < self._looked_at + LOOKED):
                try:
                    with anyio.fail_after(EVERY):
                        server.load = await self._ask(server)
                    pause = EVERY if server.load else SILENT
                except (TranscriptionError, TimeoutError):  # the calls will show what is wrong
                    pass
            await asyncio.sleep(pause)

    async def _ask(self, server: Server) -> Load | None:
        before = server.out
        told = await load.ask(server.url, partial(self._http.look, server))
        ours = max(before, server.out)  # a call that came or went meanwhile is not taken for a foreign one
        return Load(*told, foreign=max(0, sum(told) - ours)) if told else None
