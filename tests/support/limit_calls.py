"""Computed calls for limits: there is no gate and no server."""

import math
from collections.abc import Callable

from transcription.limit import AdaptiveLimit, FixedLimit, LimitChange, Outcome, Sample

Speed = Callable[[int], float]


def flat(peak: int) -> Speed:
    return lambda n: min(n, peak)


def ideal(n: int) -> float:
    return n


class Calls:
    """Tells a limit of the calls of a server that computes `speed(n)` audio seconds per second with n in flight.

    noise: calls take exp(noise) and exp(-noise) times their time, by turns.
    """

    def __init__(self, limit: AdaptiveLimit | FixedLimit, speed: Speed = ideal, noise: float = 0.0) -> None:
        self.limit, self.speed, self.noise = limit, speed, noise
        self.now = 0.0
        self.count = 0
        self.changes: list[LimitChange] = []

    def one(self, outcome: Outcome = "ok", in_flight: int | None = None) -> LimitChange | None:
        """Finish one call. `in_flight`: calls in flight, itself included; None: as many as the limit allows."""
        n = self.limit.limit if in_flight is None else in_flight
        started = max(self.now, self.limit.hold_until) + 1e-3
        self.count += 1
        work = math.exp(self.noise if self.count % 2 else -self.noise)
        self.now = started + (work * n / self.speed(n) if outcome == "ok" else 0.3)
        change = self.limit.record(Sample(started, self.now, 1.0, n, outcome, n))
        self.changes += [change] if change else []
        return change

    def many(self, count: int, in_flight: int | None = None) -> set[int]:
        """Finish `count` calls, and return each value that the limit had."""
        seen = set()
        for _ in range(count):
            self.one(in_flight=in_flight)
            seen.add(self.limit.limit)
        return seen

    def until(self, level: int) -> int:
        """Finish calls until the limit is `level`. Returns their number; fails at 100,000, more than come in a day."""
        for count in range(100_000):
            if self.limit.limit == level:
                return count
            self.one()
        raise AssertionError(f"the limit is never {level}")

    def home(self) -> int:
        """Finish 500 calls, and return the value that the limit had most of the time."""
        levels = []
        for _ in range(500):
            self.one()
            levels.append(self.limit.limit)
        return max(set(levels), key=levels.count)
