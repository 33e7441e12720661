"""How many calls one Whisper server gets at once: samples of finished calls in, a limit out.

`AdaptiveLimit` looks for the fewest calls in flight that get the most audio transcribed per second, so:

1.  It measures only while the server is full: throughput is, by Little's law, calls in flight x audio seconds /
    seconds in the server, over calls that ran under one limit. With fewer calls nothing is learnt, nothing rises.
2.  From its home, the level it trusts, it visits a neighbour for one window of calls: upwards by one (an eighth
    when high), downwards half way first, then ever nearer. The more noise was measured, the longer the window.
3.  A visit's gain is set against an ideal server's, which from a to b calls gains b / a. The higher level becomes
    home if it gains a fair share of that, else the lower one: for equal throughput all wait less in the server.
    Remembered are gains, averaged over visits, not throughputs: whoever else slows the GPU slows both levels.
    A move is followed up at once; after visits in vain it rests ever longer.
4.  An out-of-memory answer halves the limit and lets nobody in for a cool-down, which doubles while that has not
    helped. Then every round of successes adds one, up to home, which is below the level that failed. That level
    is shunned until enough calls and time have passed, longer after each failure, until it is seen to work.
5.  A server that answers busy, or not in time, is taken one level down in the same way, without a cool-down.

It reads no clock: time is what the samples say. A sample costs O(1); memory grows with levels, not with calls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal, NamedTuple, Protocol

Outcome = Literal["ok", "oom", "busy", "timeout", "error"]

# The share of an ideal server's gain (in logarithms) that makes a higher level worth its longer time in the server.
# On Gunther's and on parabolic curves (see bench/adaptive) each step below 95 % of the peak gains more than 0.16.
WORTH = 0.15
# A window is so long that its standard error is this share of an ideal server's gain.
PRECISION = 0.3
# The spread of log(audio / time) between calls until it is measured.
SPREAD = 0.2
BASE_WINDOWS = 4  # home's throughput is averaged over about so many windows
VISITS = 6  # gains are averaged over about so many visits
LONGEST_REST = 64  # windows between visits at most
COOL_DOWN = 1.0  # seconds, first
LONGEST_COOL_DOWN = 60.0
SHUN_CALLS = 250  # successes before a failed level is tried again: with its one failure, well under 1 in 100
SHUN_SECONDS = 120.0
SHUN_DOUBLINGS = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """One finished exchange. Times are monotonic seconds; `in_flight`: calls out at its admission, itself too."""

    started: float
    finished: float
    audio_seconds: float
    in_flight: int
    outcome: Outcome


class LimitChange(NamedTuple):
    """The new limit and why, in words for an admin."""

    limit: int
    reason: str


class Limit(Protocol):
    """What the gate asks of a limit. `hold_until`: nobody is let in before this time (-inf: no hold)."""

    limit: int
    hold_until: float
    ceiling: int | None

    def record(self, sample: Sample) -> LimitChange | None: ...

    def set_ceiling(self, ceiling: int | None) -> LimitChange | None: ...


def _check(floor: int, ceiling: int | None) -> None:
    if floor < 1:
        raise ValueError(f"The lowest limit must be at least 1, not {floor}.")
    if ceiling is not None and ceiling < floor:
        raise ValueError(f"The highest limit must be at least {floor}, not {ceiling}.")


class FixedLimit:
    """The limit an admin chose, whatever the server answers."""

    def __init__(self, limit: int) -> None:
        _check(1, limit)
        self.limit = limit
        self.ceiling: int | None = limit
        self.hold_until = -math.inf

    def record(self, sample: Sample) -> LimitChange | None:
        return None

    def set_ceiling(self, ceiling: int | None) -> LimitChange | None:
        if ceiling is None:
            raise ValueError("A fixed limit must be a number: only an adaptive limit is found by itself.")
        _check(1, ceiling)
        self.ceiling = ceiling
        if ceiling == self.limit:
            return None
        self.limit = ceiling
        return LimitChange(ceiling, "set by an admin")


class _Phase(Enum):
    HOME = auto()
    VISIT = auto()
    RECOVERY = auto()


class AdaptiveLimit:
    """See the module's docstring.

    floor, ceiling: the limit stays between them. `ceiling=None` has it found from the floor upwards.
    start: the first limit; by default the ceiling, for which an admin vouched, or the floor if there is none.
    """

    def __init__(self, *, floor: int = 1, ceiling: int | None, start: int | None = None) -> None:
        _check(floor, ceiling)
        self.floor = floor
        self.ceiling = ceiling
        self.limit = self._home = self._clamp(start or ceiling or floor)
        self.hold_until = -math.inf
        self._phase = _Phase.HOME
        self._base, self._base_windows = (
            0.0,
            0,
        )  # log of home's throughput, and how many windows it comes from
        self._variance = SPREAD**2
        self._gains: dict[tuple[int, int], tuple[float, int]] = {}  # (lower, higher): mean log gain, visits
        self._upwards = ceiling is None  # where the next visit goes
        self._stride = self._home // 2  # how far down
        self._rest = self._longest_rest = 0  # windows
        self._failed: int | None = None  # the level shunned
        self._failures = 0
        self._failed_at = -math.inf
        self._successes = 0  # since then
        self._streak = 0  # cuts since a window went well
        self._begin(-math.inf)

    def record(self, sample: Sample) -> LimitChange | None:
        """Learn from a finished exchange. Returns the change of the limit it brought, if any."""
        if sample.outcome == "error":
            return None
        if sample.outcome != "ok":
            return self._fail(sample)
        self._successes += 1
        if sample.started < self._since:
            return None  # it ran partly under another limit
        if sample.in_flight < self.limit:
            self._slack += 1
            return self._give_up(sample.finished) if self._slack >= self.limit else None
        self._measure(sample)
        return self._conclude(sample.finished) if self._calls >= self._wanted else None

    def set_ceiling(self, ceiling: int | None) -> LimitChange | None:
        """Change the ceiling while running. A limit at the old ceiling goes to the new one; any other stays below."""
        _check(self.floor, ceiling)
        follow = ceiling is not None and self.limit == self.ceiling
        before, self.ceiling = self.limit, ceiling
        self._home = self._clamp(ceiling if follow and ceiling else self._home)
        self.limit = self._home if follow else self._clamp(self.limit)
        if self.limit == before:
            return None
        self._base_windows = 0
        self._phase = _Phase.HOME if self.limit == self._home else _Phase.RECOVERY
        self._look_around()
        self._begin(self._since)
        return LimitChange(self.limit, "an admin changed the highest limit")

    # --- measuring -----------------------------------------------------------------------------

    def _begin(self, now: float) -> None:
        """Start a window: it measures calls admitted from `now` on."""
        self._since = now
        self._calls = self._slack = 0
        self._audio = self._seconds = self._logs = self._squares = 0.0
        if self._phase is _Phase.RECOVERY:
            self._wanted = self.limit
            return
        low, high = sorted((self._home, self.limit))
        ideal = math.log(high / low) if high > low else math.log1p(1 / low)
        self._wanted = self.limit + 2 + math.ceil(self._variance / (PRECISION * ideal) ** 2)

    def _measure(self, sample: Sample) -> None:
        seconds = max(sample.finished - sample.started, 1e-6)
        audio = max(sample.audio_seconds, 1e-6)
        self._calls += 1
        self._audio += audio
        self._seconds += seconds
        speed = math.log(audio / seconds)
        self._logs += speed
        self._squares += speed * speed

    def _conclude(self, now: float) -> LimitChange | None:
        """The window is full: learn from it, decide where to go, start the next."""
        level = math.log(self.limit * self._audio / self._seconds)
        spread = self._squares / self._calls - (self._logs / self._calls) ** 2
        self._variance += (min(max(spread, 0.0), 1.0) - self._variance) / 8
        self._streak = 0
        if self._failed is not None and self.limit >= self._failed:
            self._failed, self._failures = None, 0
        match self._phase:
            case _Phase.RECOVERY:
                change = self._recover()
            case _Phase.VISIT:
                change = self._judge(level, now)
            case _Phase.HOME:
                self._base_windows = min(self._base_windows + 1, BASE_WINDOWS)
                self._base += (level - self._base) / self._base_windows
                self._rest -= 1
                change = self._visit(now) if self._rest < 0 else None
        self._begin(now)
        return change

    # --- visits --------------------------------------------------------------------------------

    def _visit(self, now: float) -> LimitChange | None:
        up = min(self._home + max(1, self._home // 8), self._highest(now))
        down = max(self._home - self._stride, self.floor)
        target = up if up > self._home and (self._upwards or down == self._home) else down
        if target == self._home:
            return None
        self._phase = _Phase.VISIT
        self.limit = target
        return LimitChange(target, f"trying whether {target} at once get more done than {self._home}")

    def _judge(self, level: float, now: float) -> LimitChange | None:
        low, high = sorted((self._home, self.limit))
        ideal = math.log(high / low)
        gain = level - self._base if self.limit == high else self._base - level
        mean, visits = self._gains.get((low, high), (0.0, 0))
        visits = min(visits + 1, VISITS)
        mean += (max(-ideal, min(gain, ideal)) - mean) / visits
        self._gains[low, high] = mean, visits
        better = high if mean > WORTH * ideal else low
        told = f"{high} at once get {math.expm1(mean):+.0%} done beside {low}"
        if better == self._home:
            return self._return(told)
        self._home, self._base, self._base_windows = better, level, 1
        self._look_around()
        return self._visit(now)

    def _return(self, reason: str) -> LimitChange:
        if self.limit < self._home and self._stride > 1:
            self._stride //= 2  # nearer next time
        else:
            self._rest = self._longest_rest = min(2 * self._longest_rest + 1, LONGEST_REST)
            self._upwards = not self._upwards
        self.limit = self._home
        self._phase = _Phase.HOME
        return LimitChange(self.limit, reason)

    def _give_up(self, now: float) -> LimitChange | None:
        """Too few calls are in flight to learn anything."""
        change = self._return("too few calls in flight to compare") if self._phase is _Phase.VISIT else None
        self._begin(now)
        return change

    def _look_around(self) -> None:
        self._rest = self._longest_rest = 0
        self._stride = max(1, self._home // 2)

    # --- failures ------------------------------------------------------------------------------

    def _fail(self, sample: Sample) -> LimitChange | None:
        if sample.started < self._failed_at:
            return None  # an answer to calls admitted before the last cut, which was for them too
        level = sample.in_flight if sample.started >= self._since else max(sample.in_flight, self.limit)
        if sample.outcome == "oom":
            reason = f"out of memory with {level} in flight"
            self.hold_until = sample.finished + min(COOL_DOWN * 2**self._streak, LONGEST_COOL_DOWN)
            target = min(level, self.limit) // 2
        else:
            reason = f"{'busy' if sample.outcome == 'busy' else 'no answer in time'} with {level} in flight"
            target = min(level, self.limit) - 1
        self._failures += self._streak == 0
        self._streak += 1
        self._failed, self._failed_at, self._successes = level, sample.finished, 0
        if level <= self._home:
            self._home, self._base_windows = max(self.floor, level - 1), 0
            self._look_around()
        before, self.limit = self.limit, max(self.floor, target)
        self._phase = _Phase.RECOVERY if self.limit < self._home else _Phase.HOME
        self._begin(sample.finished)
        return LimitChange(self.limit, reason) if self.limit != before else None

    def _recover(self) -> LimitChange:
        self.limit += 1
        if self.limit == self._home:
            self._phase = _Phase.HOME
        return LimitChange(self.limit, f"{self.limit - 1} at once went well")

    def _highest(self, now: float) -> float:
        """The highest level that may be visited now."""
        ceiling = math.inf if self.ceiling is None else self.ceiling
        if self._failed is None:
            return ceiling
        longer = 2 ** min(self._failures - 1, SHUN_DOUBLINGS)
        over = self._successes >= SHUN_CALLS * longer and now - self._failed_at >= SHUN_SECONDS * longer
        return ceiling if over else min(ceiling, self._failed - 1)

    def _clamp(self, limit: int) -> int:
        return max(self.floor, limit if self.ceiling is None else min(limit, self.ceiling))
