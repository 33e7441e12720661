"""A real HTTP server that computes like one of `bench.adaptive_live_simulation`, in real time.

    python -m bench.adaptive_live_server PORT KIND SPEED

POST /v1/audio/transcriptions?work=AUDIO_SECONDS is answered when KIND has done so much work at this SPEED.
"""

from __future__ import annotations

import asyncio
import math
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bench.adaptive_live_simulation import KINDS, LiveServer, SimulatedCall


class RealTime:
    """Runs the calls of a simulated server by the clock of the event loop."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        self._answers: dict[SimulatedCall, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, work: float) -> None:
        loop = asyncio.get_running_loop()
        call = SimulatedCall(live=False, speaker=-1, asked=loop.time(), audio=work, work=work)
        self._answers[call] = loop.create_future()
        self._server.take(loop.time(), call)
        self._plan(loop)
        await asyncio.shield(self._answers[call])  # a client that hangs up does not stop a GPU

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer:
            self._timer.cancel()
        if self._server.done_at < math.inf:
            self._timer = loop.call_at(self._server.done_at, self._finish, loop)

    def _finish(self, loop: asyncio.AbstractEventLoop) -> None:
        for call in self._server.answer(max(loop.time(), self._server.done_at)):
            self._answers.pop(call).set_result(None)
        self._plan(loop)


def application(kind: str, speed: float) -> Starlette:
    server = RealTime(KINDS[kind](speed))

    async def transcribe(request: Request) -> JSONResponse:
        await server.run(float(request.query_params["work"]))
        return JSONResponse({"text": "one two three"})

    return Starlette(routes=[Route("/v1/audio/transcriptions", transcribe, methods=["POST"])])


if __name__ == "__main__":
    port, kind, speed = sys.argv[1:]
    uvicorn.run(application(kind, float(speed)), port=int(port), log_level="warning")
