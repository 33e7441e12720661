"""A Whisper server in virtual time between live callers and batch calls: the ground of `bench.adaptive --live`.

Three kinds of server, each as fast as `speed` says (1: large-v3 on one consumer GPU, or the card that was measured):

turns    takes the calls one at a time, in order, at SPEED audio seconds per second.
shares   shares its processor among all calls in flight, as in `bench.adaptive_simulation`, with the peak at 4.
batches  takes all that wait as one batch when the last batch is done. BATCHES has its measured throughput.

A batch call is 20 to 30 s of audio, as stretches of recordings are; there are always more of them than permits. A
speaker's call is 2 to 4 s of audio and comes a second after the last, later where the answer or the captioner's own
`Pace` makes it wait.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from bench.adaptive_simulation import OVERHEAD, SPEED, flat
from transcription.captions.pace import Pace
from transcription.limit import Limit, Sample
from transcription.live_share import QUIET, LiveBounds, LiveCall, LiveShare

PEAK = 4  # of the server that shares its processor
# Measured on one H200 with base weights, 28 s of audio in a call: (calls in a batch, audio seconds per second)
BATCHES = ((1, 63.0), (2, 71.0), (4, 89.0), (8, 88.0), (16, 96.0), (24, 67.0))
BATCH_AUDIO = 28.0
GATHER = 0.01  # seconds from one batch to the next, in which the next calls of the same callers come
BATCH_OVERHEAD = 0.1  # seconds of a batch with hardly any sound


@dataclass(eq=False, slots=True)
class SimulatedCall:
    """A call in the simulation.

    work: audio seconds, with overhead and noise. others: see `LiveCall`.
    held: it was let in while the other lanes might hold fewer permits than the limit.
    """

    live: bool
    speaker: int
    asked: float
    audio: float
    work: float
    others: int = 0
    started: float = 0.0
    in_flight: int = 0
    held: bool = False
    paced: AbstractContextManager[None] | None = None


class LiveServer(Protocol):
    """done_at: when it answers next, if nothing comes meanwhile."""

    done_at: float

    def take(self, now: float, call: SimulatedCall) -> None: ...

    def answer(self, now: float) -> list[SimulatedCall]:
        """The calls that are done at `done_at`, which is now."""
        ...


class Turns:
    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._line: list[SimulatedCall] = []
        self.done_at = math.inf

    def take(self, now: float, call: SimulatedCall) -> None:
        self._line.append(call)
        if len(self._line) == 1:
            self._begin(now)

    def _begin(self, now: float) -> None:
        self.done_at = now + self._line[0].work / (SPEED * self._speed) if self._line else math.inf

    def answer(self, now: float) -> list[SimulatedCall]:
        done = self._line.pop(0)
        self._begin(now)
        return [done]


class Shares:
    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._running: list[tuple[float, int, SimulatedCall]] = []
        self._number = 0
        self._clock = self._at = 0.0  # audio seconds done on each call so far, up to this time
        self.done_at = math.inf

    def _rate(self) -> float:
        n = len(self._running)
        return SPEED * self._speed * flat(n, PEAK) / n if n else 0.0

    def _advance(self, now: float) -> None:
        self._clock += (now - self._at) * self._rate()
        self._at = now

    def _plan(self) -> None:
        self.done_at = self._at + (self._running[0][0] - self._clock) / self._rate() if self._running else math.inf

    def take(self, now: float, call: SimulatedCall) -> None:
        self._advance(now)
        self._number += 1
        heapq.heappush(self._running, (self._clock + call.work, self._number, call))
        self._plan()

    def answer(self, now: float) -> list[SimulatedCall]:
        self._advance(now)
        done = heapq.heappop(self._running)[2]
        self._plan()
        return [done]


class Batches:
    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._waiting: list[SimulatedCall] = []
        self._batch: list[SimulatedCall] = []  # empty while calls are gathered for the next one
        self.done_at = math.inf

    def take(self, now: float, call: SimulatedCall) -> None:
        self._waiting.append(call)
        if not self._batch and self.done_at == math.inf:
            self.done_at = now + GATHER

    def answer(self, now: float) -> list[SimulatedCall]:
        done, self._batch = self._batch, []
        if done:
            self.done_at = now + GATHER
        else:
            self._batch, self._waiting = self._waiting, []
            size = sum(call.work for call in self._batch) / (BATCH_AUDIO + OVERHEAD)
            self.done_at = now + batch_seconds(size) / self._speed if self._batch else math.inf
        return done


def batch_seconds(size: float) -> float:
    """Seconds that a batch takes. size: in calls of BATCH_AUDIO."""
    points = [(0.0, BATCH_OVERHEAD), *((float(n), n * BATCH_AUDIO / throughput) for n, throughput in BATCHES)]
    low, high = next((pair for pair in pairwise(points) if size <= pair[1][0]), points[-2:])
    return low[1] + (high[1] - low[1]) * (size - low[0]) / (high[0] - low[0])


KINDS: dict[str, type[Turns] | type[Shares] | type[Batches]] = {"turns": Turns, "shares": Shares, "batches": Batches}


class FixedShare(LiveShare):
    """A share that does not learn."""

    def __init__(self, share: int, target: float) -> None:
        super().__init__(target)
        self._home = self._level = share

    def record(self, call: LiveCall, limit: Limit) -> None:
        self.until = max(self.until, call.finished + QUIET)


@dataclass
class LiveRun:
    """What happened in a run.

    batch: (time, audio seconds) of each batch call that was answered. live: (time of asking, seconds to the answer).
    trace: (time, limit, share) at each change. back: seconds from each end of captions until others had all permits.
    missed: it was told that the target is missed.
    """

    batch: list[tuple[float, float]] = field(default_factory=list)
    live: list[tuple[float, float]] = field(default_factory=list)
    trace: list[tuple[float, int, int]] = field(default_factory=list)
    back: list[float] = field(default_factory=list)
    missed: bool = False


class LiveSimulation:
    """One server behind one limit and one share. sessions: (start, end) of the times in which all speakers speak."""

    def __init__(
        self,
        server: LiveServer,
        limit: Limit,
        share: LiveShare,
        *,
        speakers: int,
        sessions: Iterable[tuple[float, float]],
        noise: float,
        seed: int,
    ) -> None:
        self.server, self.limit, self.share = server, limit, share
        self.sessions = list(sessions)
        self.now = 0.0
        self.run = LiveRun()
        self._noise = noise
        self._batch_random, self._live_random = random.Random(seed), random.Random(seed + 1)
        self._pace = Pace(lambda: self._bounds().total, lambda: self.now)
        for speaker in range(speakers):
            self._pace.speaks(speaker)
        self._asking = [(start + i / speakers, i) for start, _ in self.sessions for i in range(speakers)]
        heapq.heapify(self._asking)
        self._waiting: list[SimulatedCall] = []
        self._live: set[SimulatedCall] = set()  # that were asked and are not answered
        self._out = self._others = 0
        self._ended = -math.inf  # last live answer of a session

    def until(self, end: float) -> LiveRun:
        self._admit()
        while self.now < end:
            self._step()
        return self.run

    def _step(self) -> None:
        ask = self._asking[0][0] if self._asking else math.inf
        reopen = self.share.until if self.share.until > self.now else math.inf
        self.now = min(ask, self.server.done_at, reopen)
        if self.now == self.server.done_at:
            for call in self.server.answer(self.now):
                self._answer(call)
                self._admit()
        elif self.now == ask:
            self._ask(heapq.heappop(self._asking)[1])
        self._admit()

    def _call(self, rng: random.Random, low: float, high: float, speaker: int = -1) -> SimulatedCall:
        audio = rng.uniform(low, high)
        work = (audio + OVERHEAD) * math.exp(rng.gauss(0, self._noise) - self._noise**2 / 2)
        return SimulatedCall(speaker >= 0, speaker, self.now, audio, work, self._others)

    def _ask(self, speaker: int) -> None:
        call = self._call(self._live_random, 2, 4, speaker)
        call.paced = self._pace.call(final=False)
        call.paced.__enter__()
        self.share.ask(self.now)
        self._waiting.append(call)
        self._live.add(call)

    def _admit(self) -> None:
        limit = self.limit.limit
        total, others = self._bounds()
        while self._waiting and self._out < total:
            self._send(self._waiting.pop(0), others < limit)
        while self._out < total and self._others < others:
            self._others += 1
            for live in self._live:
                live.others = max(live.others, self._others)
            self._send(self._call(self._batch_random, 20, 30), others < limit)
        if not self.run.trace or self.run.trace[-1][1:] != (limit, others):
            self.run.trace.append((self.now, limit, others))
        if self._ended > -math.inf and self._others == limit:
            self.run.back.append(self.now - self._ended)
            self._ended = -math.inf

    def _bounds(self) -> LiveBounds:
        return self.share.bounds(self.now, self.limit)

    def _send(self, call: SimulatedCall, held: bool) -> None:
        self._out += 1
        call.started, call.in_flight, call.held = self.now, self._out, held
        self.server.take(self.now, call)

    def _answer(self, call: SimulatedCall) -> None:
        out, limit = self._out, self.limit.limit
        self._out -= 1
        held = call.held or self._bounds().others < limit
        in_flight, out = (min(number, limit - held) for number in (call.in_flight, out))
        if call.live:
            self._caption(call)
        else:
            self._others -= 1
            self.run.batch.append((self.now, call.audio))
        audio = 0.0 if call.others and call.live and self.limit.doubling else call.audio
        self.limit.record(Sample(call.started, self.now, audio, in_flight, "ok", out))

    def _caption(self, call: SimulatedCall) -> None:
        if call.paced:
            call.paced.__exit__(None, None, None)
        self._live.discard(call)
        self.share.record(LiveCall(call.asked, self.now, call.others), self.limit)
        self.run.missed = self.run.missed or self.share.missed
        self.run.live.append((call.asked, self.now - call.asked))
        after = max(self._live_random.uniform(0.8, 1.2), self._pace.pause() or 0.0)
        due = max(self.now, call.asked + after)
        if any(start <= due < end for start, end in self.sessions):
            heapq.heappush(self._asking, (due, call.speaker))
        elif not self._live:
            self._ended = self.now
