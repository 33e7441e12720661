"""The grid of `bench.adaptive`: its servers, the best limit of each, and the goals.

steady: memory for N calls, throughput's peak at M. drop: from 3/8 to 5/8 of the time memory for N / 2 only.
tenant: for 2 to 8 minutes at a time another program takes half of the GPU and a quarter of its memory.

Each run is compared with two oracles. `fixed` is the best fixed limit for the whole run, found by a sweep. `known`
changes at each change of the server to the limit that is best from then on, also found by a sweep. On a steady server
the two are the same.
"Best" is the lowest limit within 1 % of the best throughput, of those with at most one OOM answer in 100.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from functools import cache
from statistics import mean

from bench.adaptive_simulation import Phase, Run, SimulatedServer, Simulation
from transcription.limit import FixedLimit, Limit, LimitChange, Sample
from transcription.sentence import Sentence

SECONDS = 1200.0
SWEEP_SECONDS = 600.0
HIGHEST = 8  # of N and M
NEAR_BEST = 0.99


@dataclass(frozen=True)
class Cell:
    scenario: str
    curve: str
    noise: float  # standard deviation of the log of a call's work
    memory: int
    peak: int
    run: int = 0  # of several, with other calls

    @property
    def seed(self) -> int:
        """Seed of this cell and run, so that no two runs see the same calls."""
        return random.Random(repr(self)).getrandbits(32)

    @property
    def server(self) -> SimulatedServer:
        return SimulatedServer(self.curve, self.peak, self.noise, tuple(self._phases()))

    def _phases(self) -> Iterable[Phase]:
        yield Phase(0.0, self.memory)
        if self.scenario == "drop":
            yield Phase(SECONDS * 3 / 8, max(1, self.memory // 2))
            yield Phase(SECONDS * 5 / 8, self.memory)
        elif self.scenario == "tenant":
            rng = random.Random(self.seed)
            beside = Phase(0.0, max(1, self.memory - max(1, self.memory // 4)), 0.5)
            time, alone = 0.0, True
            while (time := time + rng.uniform(120, 480)) < SECONDS:
                alone = not alone
                yield Phase(time, self.memory) if alone else Phase(time, beside.memory, beside.share)


def grid(scenario: str, curve: str, noise: float, step: int = 1) -> list[Cell]:
    levels = range(1, HIGHEST + 1, step)
    return [Cell(scenario, curve, noise, memory, peak) for memory in levels for peak in levels]


class Known(FixedLimit):
    """A limit that follows a plan of (time, best limit), made beforehand."""

    def __init__(self, plan: Iterable[tuple[float, int]]) -> None:
        (_, first), *self._rest = plan
        super().__init__(first)

    def record(self, sample: Sample) -> LimitChange | None:
        before = self.limit
        while self._rest and sample.finished >= self._rest[0][0]:
            _, self.limit = self._rest.pop(0)
        return LimitChange(self.limit, Sentence("known")) if self.limit != before else None


def run(cell: Cell, limit: Limit) -> Run:
    return Simulation(cell.server, limit, cell.seed).run(SECONDS)


def known(cell: Cell) -> Run:
    plan = [(part.start, _best_steady(cell.curve, cell.noise, cell.peak)[part.memory]) for part in cell.server.phases]
    return run(cell, Known(plan))


def fixed(cell: Cell) -> Run:
    if cell.scenario == "steady":
        return known(cell)
    return _best([run(cell, FixedLimit(limit)) for limit in range(1, cell.memory + 1)])[1]


@cache
def _best_steady(curve: str, noise: float, peak: int) -> dict[int, int]:
    """The best limit for each memory. One sweep is enough, since a limit within the memory does not depend on it."""
    roomy = SimulatedServer(curve, peak, noise, (Phase(0.0, HIGHEST),))
    sweep = [Simulation(roomy, FixedLimit(n), 0).run(SWEEP_SECONDS) for n in range(1, HIGHEST + 1)]
    return {memory: _best(sweep[:memory])[0] for memory in range(1, HIGHEST + 1)}


def _best(sweep: list[Run]) -> tuple[int, Run]:
    allowed = [(limit, r) for limit, r in enumerate(sweep, 1) if r.oom_per_100 <= 1] or [(1, sweep[0])]
    top = max(r.throughput for _, r in allowed)
    return next((limit, r) for limit, r in allowed if r.throughput >= NEAR_BEST * top)


@dataclass(frozen=True)
class Score:
    """Ratios to the oracles. `latency` is to that of `known`, since a fixed limit that is too low answers fast too."""

    throughput: float
    throughput_known: float
    latency: float
    oom_per_100: float
    oom_known: float

    @property
    def misses(self) -> list[str]:
        """Those of the three goals that are missed, in words."""
        return (
            [f"throughput {self.throughput:.1%} of the best"] * (self.throughput < 0.95)
            + [f"latency {self.latency:.2f} times the best's"] * (self.latency > 1.10)
            + [f"{self.oom_per_100:.2f} OOM in 100 (known: {self.oom_known:.2f})"] * (self.oom_per_100 > 1.0)
        )


def mean_score(scores: Iterable[Score]) -> Score:
    return Score(*map(mean, zip(*map(astuple, scores), strict=True)))


def score(cell: Cell, make: Callable[[], Limit]) -> tuple[Score, Run]:
    """Run a limit on a cell. Returns its ratios to both oracles, and the run."""
    best, told = _oracles(cell)
    got = run(cell, make())
    return Score(
        got.throughput / best.throughput,
        got.throughput / told.throughput,
        got.latency / told.latency,
        got.oom_per_100,
        told.oom_per_100,
    ), got


@cache
def _oracles(cell: Cell) -> tuple[Run, Run]:
    return fixed(cell), known(cell)
