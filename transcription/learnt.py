"""What an adaptive limit has learnt of its server: to be shown, and to be kept for the next process."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

# What became of that which an earlier process had learnt; see rule 9 of `limit`. none: there was nothing.
Inheritance = Literal["none", "unproven", "confirmed", "refuted"]


class Gain(NamedTuple):
    """What the level `high` gains over `low`, as a share of what an ideal server would gain. weight: 1 / variance."""

    low: int
    high: int
    share: float
    weight: float

    @property
    def percent(self) -> float:
        """How much more of the high level is done than of the low one."""
        return 100 * math.expm1(self.share * math.log(self.high / self.low))

    @property
    def error(self) -> float:
        """Standard error of `percent`."""
        return (100 + self.percent) * math.log(self.high / self.low) / math.sqrt(self.weight)


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a limit has learnt, to be shown.

    home: the level that it trusts. throughput: audio seconds per second there; None: not measured yet.
    failed: the level that is avoided, since calls failed there; None: there is none.
    """

    home: int
    throughput: float | None
    failed: int | None
    gains: tuple[Gain, ...]
    inherited: Inheritance


@dataclass(frozen=True, slots=True)
class LimitState:
    """What a limit needs to go on where another one stopped: the attributes of `AdaptiveLimit` that have these names.

    Raises ValueError for numbers that no limit can have.
    """

    home: int
    worse: int
    failed: int | None
    base: float
    base_calls: int
    variance: float
    gains: tuple[Gain, ...]

    def __post_init__(self) -> None:
        numbers = (self.base, self.base_calls, self.variance, *(number for gain in self.gains for number in gain))
        levels = 0 <= self.worse < self.home and (self.failed is None or self.failed >= 1)
        gains = all(1 <= gain.low < gain.high and gain.weight > 0 for gain in self.gains)
        if not (levels and gains and self.variance > 0 and self.base_calls >= 0 and all(map(math.isfinite, numbers))):
            raise ValueError("No limit can have learnt this.")
