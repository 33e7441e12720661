"""The real-time part of `bench.adaptive --live`: gate, limit and live share over HTTP, before a real server.

Both run side by side, each before a server of its own. All is FASTER times as fast as in the simulation, the target
too, so that four minutes of captions take one.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from bench.adaptive_live import NOISE, TARGET, FixedBest, best_fixed
from bench.adaptive_live_simulation import FixedShare
from bench.adaptive_real import serving
from bench.adaptive_simulation import OVERHEAD
from transcription.gate import Gate
from transcription.limit import AdaptiveLimit, FixedLimit
from transcription.line import Lane
from transcription.live_share import LiveShare
from transcription.station import Station

FASTER = 4.0
ALONE, WARM_UP, COUNTED, AFTER = 20.0, 15.0, 60.0, 14.0  # seconds: batch alone; captions, first uncounted; batch alone
CALLERS = 12  # of batch calls: more than any limit
CELLS = (("turns", 2.0, 1), ("shares", 0.5, 2), ("batches", 1.0, 2))


@dataclass
class RealLiveRun:
    """throughput, late: see `LiveFigures`. back: seconds from the last caption until the others had all permits."""

    throughput: float = 0.0
    late: float = 0.0
    back: float = math.inf


@dataclass(frozen=True)
class RealLiveResult:
    kind: str
    speed: float
    speakers: int
    best: FixedBest
    fixed: RealLiveRun
    ours: RealLiveRun


def measure_live() -> Iterator[RealLiveResult]:
    """Yield the figures of each cell, for the best fixed limit and share of the simulation, and for ours."""
    for kind, speed, speakers in CELLS:
        best = best_fixed(kind, speed, speakers)
        if not best:
            raise ValueError(f"No fixed limit and share keep the target on {kind}, {speed}, {speakers}.")
        fixed = Station("fixed", FixedLimit(best.limit), FixedShare(best.share, TARGET / FASTER))
        ours = Station("ours", AdaptiveLimit(ceiling=8), LiveShare(TARGET / FASTER))
        server = "bench.adaptive_live_server", kind, str(speed * FASTER)
        with serving(*server) as url, serving(*server) as other:
            runs = asyncio.run(_side_by_side(_Drive(url, fixed, speakers), _Drive(other, ours, speakers)))
        yield RealLiveResult(kind, speed, speakers, best, *runs)


async def _side_by_side(*drives: _Drive) -> list[RealLiveRun]:
    return await asyncio.gather(*(drive.run() for drive in drives))


class _Drive:
    """Batch calls and speakers at one gate, by the clock."""

    def __init__(self, url: str, station: Station, speakers: int) -> None:
        self._url, self._station, self._speakers = url, station, speakers
        self._gate = Gate([station])
        self._random = random.Random(1)
        self._begin = time.monotonic() + ALONE  # of captions
        self._end = self._begin + WARM_UP + COUNTED
        self._audio = 0.0
        self._live: list[float] = []
        self._run = RealLiveRun()

    async def run(self) -> RealLiveRun:
        async with httpx.AsyncClient(timeout=60) as self._client:
            speakers = (self._speak(number) for number in range(self._speakers))
            await asyncio.gather(*(self._work(number) for number in range(CALLERS)), *speakers)
        self._run.throughput = self._audio / COUNTED
        self._run.late = sum(seconds > TARGET / FASTER for seconds in self._live) / max(1, len(self._live))
        return self._run

    async def _call(self, lane: Lane, owner: int, audio: float) -> None:
        work = (audio + OVERHEAD) * math.exp(self._random.gauss(0, NOISE) - NOISE**2 / 2)
        permit = await self._gate.acquire(lane, owner)
        await self._client.post(self._url, params={"work": work})
        permit.release("ok", audio)

    async def _work(self, number: int) -> None:
        while time.monotonic() < self._end + AFTER:
            audio = self._random.uniform(20, 30)
            await self._call("batch", number, audio)
            now = time.monotonic()
            self._audio += audio * (self._begin + WARM_UP <= now < self._end)
            if now > self._end and self._station.others == self._station.limit.limit:  # the next call is in already
                self._run.back = min(self._run.back, now - self._end)

    async def _speak(self, number: int) -> None:
        await asyncio.sleep(self._begin - time.monotonic() + number / self._speakers / FASTER)
        while (asked := time.monotonic()) < self._end:
            await self._call("live", number, self._random.uniform(2, 4))
            if asked >= self._begin + WARM_UP:
                self._live.append(time.monotonic() - asked)
            await asyncio.sleep(asked + self._random.uniform(0.8, 1.2) / FASTER - time.monotonic())
