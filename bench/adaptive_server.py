"""A real HTTP server that computes like the simulated one, in real time, for `bench.adaptive --real`.

    python -m bench.adaptive_server PORT CURVE PEAK MEMORY

POST /v1/audio/transcriptions?work=SECONDS takes SECONDS alone on the server, longer beside others: all in flight
share `curve(n, peak)` times the speed of one. Above MEMORY calls it answers 500 `CUDA out of memory` at once.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import sys
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bench.adaptive_simulation import CURVES


class SharedProcessor:
    """Runs pieces of work at once, each at `speed(n)` seconds of work per second while n run."""

    def __init__(self, speed: Callable[[int], float]) -> None:
        self._speed = speed
        self._done = self._at = 0.0  # work done on each piece so far, up to this time
        self._running: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._running)

    async def run(self, work: float) -> None:
        loop = asyncio.get_running_loop()
        self._advance(loop)
        future = loop.create_future()
        heapq.heappush(self._running, (self._done + work, next(self._numbers), future))
        self._plan(loop)
        await asyncio.shield(future)  # a client that hangs up does not stop a GPU

    def _advance(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        if self._running:
            self._done += (now - self._at) * self._speed(len(self._running))
        self._at = now

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer:
            self._timer.cancel()
        if self._running:
            wait = (self._running[0][0] - self._done) / self._speed(len(self._running))
            self._timer = loop.call_later(max(0.0, wait), self._finish, loop)

    def _finish(self, loop: asyncio.AbstractEventLoop) -> None:
        self._advance(loop)
        while self._running and self._running[0][0] <= self._done + 1e-6:
            heapq.heappop(self._running)[2].set_result(None)
        self._plan(loop)


def application(curve: str, peak: int, memory: int) -> Starlette:
    processor = SharedProcessor(lambda n: CURVES[curve](n, peak) / n)

    async def transcribe(request: Request) -> JSONResponse:
        if len(processor) >= memory:
            return JSONResponse({"error": {"message": "CUDA out of memory. Tried to allocate 2.00 GiB"}}, 500)
        await processor.run(float(request.query_params["work"]))
        return JSONResponse({"text": "one two three"})

    return Starlette(routes=[Route("/v1/audio/transcriptions", transcribe, methods=["POST"])])


if __name__ == "__main__":
    port, curve, peak, memory = sys.argv[1:]
    uvicorn.run(application(curve, int(peak), int(memory)), port=int(port), log_level="warning")
