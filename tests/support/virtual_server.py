"""Simulated Whisper servers, and a client of them, for tests of several minutes in virtual time."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import httpx

from transcription.breaker import Breaker
from transcription.client import WhisperClient
from transcription.limit import FixedLimit, Limit
from transcription.pool import Pool, Server
from transcription.servers.file import NamedServer


class VirtualServer(httpx.AsyncBaseTransport):
    """A server that computes for `seconds` and answers with `status`. While it is not `up`, it refuses connections.

    retry_after: the header of answers that are no texts.
    capacity: of more computations at a time, each further one is answered "out of memory" at once; None: any number.

    `attempts`: the times of connections while it was down. `most_attempts`: the largest number of them at a time.
    """

    def __init__(self, seconds: float, status: int = 200, retry_after: str = "", capacity: int | None = None) -> None:
        self.seconds = seconds
        self.status = status
        self.retry_after = retry_after
        self.capacity = capacity
        self.up = True
        self.computing = self.peak = self.finished = self.attempting = self.most_attempts = 0
        self.attempts: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self.up:
            await self._refuse()
        if self.computing == self.capacity:
            return httpx.Response(500, stream=httpx.ByteStream(b'{"error": "CUDA out of memory."}'))
        self.computing += 1
        self.peak = max(self.peak, self.computing)
        try:
            await asyncio.sleep(await self._computes(request))
        finally:
            self.computing -= 1
        if not self.up:
            raise httpx.ReadError("Connection reset by peer")
        self.finished += 1
        if self.status == 200:
            return httpx.Response(200, stream=httpx.ByteStream(b'{"text": "hello"}'))
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return httpx.Response(self.status, headers=headers, stream=httpx.ByteStream(b'{"error": "broken"}'))

    async def _computes(self, request: httpx.Request) -> float:
        """The seconds that it needs for a request."""
        return self.seconds

    async def _refuse(self) -> None:
        self.attempts.append(asyncio.get_running_loop().time())
        self.attempting += 1
        self.most_attempts = max(self.most_attempts, self.attempting)
        await asyncio.sleep(0.05)
        self.attempting -= 1
        raise httpx.ConnectError("Connection refused")


class PacedServer(VirtualServer):
    """A server that needs `seconds` for a second of audio. The prompt of each request is the length of its audio."""

    async def _computes(self, request: httpx.Request) -> float:
        prompt = re.search(rb'name="prompt"\r\n\r\n([\d.]+)\r\n', await request.aread())
        return self.seconds * float(prompt[1]) if prompt else 0.0


class TellingServer(VirtualServer):
    """A server that tells its load as vLLM does: its own computations, and `foreign` others, half of which wait.

    tells: what it answers to a GET of /metrics; "load", "nothing" or, never answering, "hangs".
    asked: the times at which it was asked.
    """

    def __init__(self, seconds: float, foreign: int = 0, tells: str = "load") -> None:
        super().__init__(seconds)
        self.foreign = foreign
        self.tells = tells
        self.asked: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            return await super().handle_async_request(request)
        if request.url.path != "/metrics":
            return httpx.Response(404, stream=httpx.ByteStream(b"{}"))
        self.asked.append(asyncio.get_running_loop().time())
        if self.tells == "hangs":
            await asyncio.sleep(86_400)
        waiting = self.foreign // 2
        gauges = (
            f'vllm:num_requests_running{{engine="0"}} {self.computing + self.foreign - waiting}.0\n'
            f'vllm:num_requests_waiting{{engine="0"}} {waiting}.0\n'
        )
        return httpx.Response(200, stream=httpx.ByteStream(gauges.encode() if self.tells == "load" else b"{}"))


def virtual_client(servers: Sequence[VirtualServer], limit: int | Limit = 1, **options: Any) -> WhisperClient:
    """A client of these servers that uses the clock of the running loop. A `Limit` is for a single server."""
    loop = asyncio.get_running_loop()
    urls = [f"http://gpu{number}:8000/v1" for number in range(len(servers))]
    limits = [FixedLimit(limit) if isinstance(limit, int) else limit for _url in urls]
    pool = Pool(
        [Server(NamedServer(url), url, of, Breaker(loop.time)) for url, of in zip(urls, limits, strict=True)],
        max_queue=1000,
        clock=loop.time,
    )
    whisper = WhisperClient(pool, clock=loop.time, **options)
    mounts = dict(zip(urls, servers, strict=True))
    whisper.http.clients[loop] = httpx.AsyncClient(mounts={url.removesuffix("/v1"): mounts[url] for url in urls})
    return whisper
