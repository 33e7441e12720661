"""A Whisper server in virtual time, with more calls waiting than its limit lets in: the ground of `bench.adaptive`.

The server computes SPEED audio seconds per second with one call in flight, and `curve(n, peak)` times that with
n, shared evenly among them (or, for `queue`, by `peak` workers that take calls in order). A call is 5 to 30 s of
audio, costs OVERHEAD besides, and its work varies by a log-normal factor. A call that finds `memory` others is
answered "out of memory" after OOM_ANSWER seconds and tried again, as are the youngest when memory shrinks. Such
calls take no time from the others, which flatters limits that fail often.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from transcription.limit import Limit, Outcome, Sample

SPEED = 20.0  # audio seconds per second: large-v3 on one consumer GPU, about
OVERHEAD = 2.0  # audio seconds: 0.1 s of upload and set-up
OOM_ANSWER = 0.3  # seconds
WARM_UP = 60.0  # seconds that do not count


def flat(n: int, peak: int) -> float:
    """Speed that rises in proportion up to the peak, then stays."""
    return min(n, peak)


def falling(n: int, peak: int) -> float:
    """Speed that rises in proportion up to the peak, then falls by 7 % with each further call."""
    return min(n, peak) * 0.93 ** max(0, n - peak)


def gunther(n: int, peak: int) -> float:
    """Gunther's universal scalability law without contention: coherence alone puts the peak at `peak`."""
    return n / (1 + n * (n - 1) / peak**2)


def parabola(n: int, peak: int) -> float:
    """Speed that rises ever less up to the peak, then stays."""
    n = min(n, peak)
    return n * (2 * peak - n) / (2 * peak - 1)


CURVES: dict[str, Callable[[int, int], float]] = {
    "flat": flat, "falling": falling, "gunther": gunther, "parabola": parabola, "queue": flat,
}  # fmt: skip


@dataclass(frozen=True)
class Phase:
    """State of the server from `start` on: calls that fit in its memory, and our share of the GPU."""

    start: float
    memory: int
    share: float = 1.0


@dataclass(frozen=True)
class SimulatedServer:
    curve: str
    peak: int
    noise: float  # standard deviation of the log of a call's work
    phases: tuple[Phase, ...]


@dataclass
class Run:
    """Figures of one run after WARM_UP.

    throughput: audio seconds per second. latency: mean seconds in the server of calls that succeeded.
    trace: (time, limit) of each change.
    """

    throughput: float
    latency: float
    calls: int
    oom: int
    trace: list[tuple[float, int]] = field(repr=False)

    @property
    def oom_per_100(self) -> float:
        return 100 * self.oom / max(1, self.calls + self.oom)


class _SimulatedCall(NamedTuple):
    """A call in the server. `work`: the time on the server's own clock at which the call is done; before the call is
    served, its amount of work.
    """

    work: float
    number: int
    started: float
    audio: float
    in_flight: int


def _works(noise: float, seed: int) -> Iterator[tuple[float, float]]:
    """(audio seconds, work in audio seconds) of each call. Every limit gets the same calls."""
    rng = random.Random(seed)
    uniform, gauss, exp = rng.random, rng.gauss, math.exp
    while True:
        audio = 5 + 25 * uniform()
        yield audio, (audio + OVERHEAD) * exp(noise * gauss(0, 1) - noise * noise / 2)


class Simulation:
    """One server under one limit. `demand`: the most calls wanted in flight at a time; by default any number."""

    def __init__(
        self, server: SimulatedServer, limit: Limit, seed: int, demand: Callable[[float], float] = lambda now: math.inf
    ) -> None:
        self.server, self.limit, self.demand = server, limit, demand
        self.works = _works(server.noise, seed)
        self.now = self.clock = 0.0  # `clock` runs at the speed of each call in service
        self.running: list[_SimulatedCall] = []  # a heap
        self.waiting: deque[_SimulatedCall] = deque()  # in the server, for a worker
        self.failing: deque[tuple[float, float, float, int]] = deque()
        self.number = 0
        self.phase = server.phases[0]
        self.pending = deque(server.phases[1:])
        queue = server.curve == "queue"
        self.workers = server.peak if queue else math.inf
        curve = CURVES[server.curve]
        self.rates = [0.0] + [SPEED if queue else SPEED * curve(n, server.peak) / n for n in range(1, 65)]
        self.audio = self.seconds = 0.0
        self.calls = self.oom = 0
        self.trace = [(0.0, limit.limit)]

    def run(self, until: float) -> Run:
        self._admit()
        while self.now < until:
            self._step()
        span = until - WARM_UP
        return Run(self.audio / span, self.seconds / max(1, self.calls), self.calls, self.oom, self.trace)

    def _step(self) -> None:
        rate = self.rates[len(self.running)] * self.phase.share
        finish = self.now + (self.running[0].work - self.clock) / rate if self.running else math.inf
        answer = self.failing[0][0] if self.failing else math.inf
        change = self.pending[0].start if self.pending else math.inf
        reopen = self.limit.hold_until if self.limit.hold_until > self.now else math.inf
        moment = min(finish, answer, change, reopen)
        if moment == math.inf:  # no demand just now
            moment = self.now + 0.1
        self.clock += (moment - self.now) * rate
        self.now = moment
        if moment == finish:
            call = heapq.heappop(self.running)
            if self.waiting:
                self._serve(self.waiting.popleft())
            self._answer(call.started, call.audio, call.in_flight, "ok")
        elif moment == answer:
            _, started, audio, in_flight = self.failing.popleft()
            self._answer(started, audio, in_flight, "oom")
        elif moment == change:
            self._change()
        self._admit()

    def _admit(self) -> None:
        while self._in_flight() < min(self.limit.limit, self.demand(self.now)) and self.now >= self.limit.hold_until:
            audio, work = next(self.works)
            in_flight = self._in_flight() + 1
            if len(self.running) + len(self.waiting) >= self.phase.memory:
                self.failing.append((self.now + OOM_ANSWER, self.now, audio, in_flight))
                continue
            self.number += 1
            call = _SimulatedCall(work, self.number, self.now, audio, in_flight)
            if len(self.running) < self.workers:
                self._serve(call)
            else:
                self.waiting.append(call)

    def _in_flight(self) -> int:
        return len(self.running) + len(self.waiting) + len(self.failing)

    def _serve(self, call: _SimulatedCall) -> None:
        heapq.heappush(self.running, call._replace(work=self.clock + call.work))

    def _answer(self, started: float, audio: float, in_flight: int, outcome: Outcome) -> None:
        if self.now >= WARM_UP:
            if outcome == "ok":
                self.calls += 1
                self.audio += audio
                self.seconds += self.now - started
            else:
                self.oom += 1
        change = self.limit.record(Sample(started, self.now, audio, in_flight, outcome, self._in_flight() + 1))
        if change:
            self.trace.append((self.now, change.limit))

    def _change(self) -> None:
        self.phase = self.pending.popleft()
        while len(self.running) + len(self.waiting) > self.phase.memory:
            call = self.waiting.pop() if self.waiting else max(self.running, key=lambda call: call.number)
            if call in self.running:
                self.running.remove(call)
                heapq.heapify(self.running)
            self.failing.append((self.now + OOM_ANSWER, call.started, call.audio, call.in_flight))
