"""The real-time part of `bench.adaptive`: the product's gate and its limit, over HTTP, before a real server."""

from __future__ import annotations

import asyncio
import math
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import httpx

from bench.adaptive_grid import NEAR_BEST
from bench.adaptive_simulation import CURVES, OVERHEAD, Run
from transcription.gate import Gate
from transcription.limit import AdaptiveLimit, FixedLimit, Limit, Outcome
from transcription.station import Station

SPEED = 100.0  # five times the simulation's, so that its twenty minutes take four here, the first of them 12 s
SECONDS, WARM_UP = 240.0, 12.0
BEST_SECONDS = 60.0  # for a fixed limit, which has nothing to learn
NOISE = 0.1
CALLERS = 12  # more than any limit
CELLS = (("flat", 4, 8), ("flat", 8, 3), ("flat", 1, 3), ("falling", 3, 5))


@dataclass(frozen=True)
class RealResult:
    curve: str
    peak: int
    memory: int
    best_limit: int
    best: Run
    adaptive: Run


def measure() -> Iterator[RealResult]:
    """Yield the figures of each cell, for the lowest fixed limit within 1 % of the curve's best, and for ours."""
    for curve, peak, memory in CELLS:
        with serving("bench.adaptive_server", curve, str(peak), str(memory)) as url:
            curves = [CURVES[curve](n, peak) for n in range(1, memory + 1)]
            best = next(n for n, speed in enumerate(curves, 1) if speed >= NEAR_BEST * max(curves))
            yield RealResult(
                curve, peak, memory, best,
                asyncio.run(_drive(url, FixedLimit(best), BEST_SECONDS, WARM_UP)),
                asyncio.run(_drive(url, AdaptiveLimit(ceiling=None), SECONDS, WARM_UP)),
            )  # fmt: skip


@contextmanager
def serving(module: str, *arguments: str) -> Iterator[str]:
    """Run a server, which gets its port as the first argument. Gives the address for transcriptions."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen([sys.executable, "-m", module, str(port), *arguments]) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}/v1/audio/transcriptions"
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"The bench's server does not listen on port {port} after ten seconds.")


async def _drive(url: str, limit: Limit, seconds: float, warm_up: float) -> Run:
    """Keep more calls waiting than the limit lets through. The figures begin after `warm_up` seconds."""
    gate = Gate([Station("bench", limit)])
    rng = random.Random(1)
    begin = time.monotonic()
    audio_done = in_server = 0.0
    calls = oom = 0
    trace = [(0.0, limit.limit)]

    async def caller(number: int) -> None:
        nonlocal audio_done, in_server, calls, oom
        while time.monotonic() < begin + seconds:
            audio = rng.uniform(5, 30)
            work = (audio + OVERHEAD) * math.exp(rng.gauss(0, NOISE)) / SPEED
            permit = await gate.acquire("batch", number)
            started = time.monotonic()
            answer = await client.post(url, params={"work": work})
            outcome: Outcome = "ok" if answer.is_success else "oom"
            now = time.monotonic()
            if begin + warm_up <= now < begin + seconds:
                calls += answer.is_success
                oom += not answer.is_success
                audio_done += audio * answer.is_success
                in_server += (now - started) * answer.is_success
            permit.release(outcome, audio)
            if limit.limit != trace[-1][1]:
                trace.append((now - begin, limit.limit))

    async with httpx.AsyncClient(timeout=60) as client:
        await asyncio.gather(*map(caller, range(CALLERS)))
    return Run(audio_done / (seconds - warm_up), in_server / max(1, calls), calls, oom, trace)
