"""How many calls one Whisper server gets at once: samples of finished calls in, a limit out.

`AdaptiveLimit` looks for the fewest calls in flight that get the most audio transcribed per second:

1.  It measures only while the server is full. Throughput is then, by Little's law, calls in flight x audio
    seconds / seconds in the server, over calls that ran under one limit. With fewer calls nothing rises.
2.  From home, the level it trusts, it visits the neighbour it knows least about: one call up (an eighth when
    high), or down, half way first and then ever nearer. A visit is as long as the noise makes necessary.
3.  What a visit gains is set against an ideal server, which from a to b calls gains b / a. If the higher level
    gains a fair share of that it becomes home, else the lower: for equal throughput all wait less in the server.
    Remembered are gains, averaged over visits, not throughputs: whoever else slows the GPU slows both levels.
4.  A move is followed up at once. The surer it is of home, the longer it stays there. When home's own
    throughput jumps, each gain is tried anew before it counts again, and if it rose, failures are forgotten.
5.  Out of memory: halve the limit, let nobody in for a cool-down, twice as long each time while that has not
    helped. Then each round of successes adds one, up to home, which is now below the level that failed. That
    level is shunned until enough calls and time have passed, longer when it fails again.
6.  Busy, or no answer in time: the same, but one level down, and no cool-down.

It reads no clock: time is what the samples say. A sample costs O(1); memory grows with levels, not with calls.
"""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import Literal, NamedTuple, Protocol

Outcome = Literal["ok", "oom", "busy", "timeout", "error"]

# Chosen on the grid of bench/adaptive, which shows what they bring. Gains are in shares of an ideal server's.
WORTH = 0.15  # gain that a level must bring; on the grid each step below 95 % of the peak brings more
SURE = 0.8  # standard errors beyond WORTH that it takes to go up; to go down, none
CLEAR = 3.0  # standard errors that end a visit early
PRECISION = 0.21  # standard error that ends it anyhow
FADE = 0.9  # what is left of a gain's weight after another visit
BASE_WINDOWS = 8  # home's throughput is averaged over about so many windows
REST = 3.0  # calls at home between visits, in calls of a visit / home, for that is about what a visit costs ...
LONGEST_REST = 128.0  # ... when nothing is known, and at most
SPREAD = 0.3  # of log(audio / time) between calls, until it is measured
SURPRISE = 0.3  # change of the log of home's throughput after which the server counts as another,
CERTAIN = 4.0  # if it is also so many standard errors, as is what else is too odd to be noise
COOL_DOWN, LONGEST_COOL_DOWN = 1.0, 60.0  # seconds
SHUN_CALLS, SHUN_SECONDS = 200, 90.0  # before a failed level is tried again: one failure is well under 1 in 100
SHUN_LONGER = 2  # times that, when it failed again


class Sample(NamedTuple):
    """One finished exchange. Times: monotonic seconds. `in_flight`: calls out at its admission, itself too."""

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
    ceiling: int | None
    hold_until: float

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
            raise ValueError("A fixed limit must be a number: only an adaptive limit finds its own.")
        _check(1, ceiling)
        before = self.limit
        self.limit = self.ceiling = ceiling
        return LimitChange(ceiling, "set by an admin") if ceiling != before else None


class _Phase(Enum):
    HOME = auto()
    VISIT = auto()
    RECOVERY = auto()  # on the way back up to home after a failure


class AdaptiveLimit:
    """See the module's docstring.

    floor, ceiling: the limit stays between them; `ceiling=None` has it found from the floor upwards.
    It starts at the ceiling, for which an admin vouched, or else at the floor.
    """

    def __init__(self, *, floor: int = 1, ceiling: int | None) -> None:
        _check(floor, ceiling)
        self.floor = floor
        self.ceiling = ceiling
        self.limit = ceiling or floor
        self.hold_until = -math.inf
        self._phase = _Phase.HOME
        self._settle(self.limit)
        self._rest = 0  # calls at home until the next visit
        self._variance = SPREAD**2
        self._gains: dict[tuple[int, int], tuple[float, float]] = {}  # (low, high): share of ideal, weight
        self._doubted: set[tuple[int, int]] = set()  # learnt before the server changed
        self._failed: int | None = None  # the level that is shunned
        self._failed_at = -math.inf
        self._successes = self._failures = 0  # since it failed; since a higher level proved itself
        self._streak = 0  # failures with no success of a later call in between
        self._begin(-math.inf)

    def record(self, sample: Sample) -> LimitChange | None:
        """Learn from a finished exchange. Returns the change of the limit that it brought, if any."""
        if sample.outcome == "error":
            return None
        if sample.outcome != "ok":
            return self._fail(sample)
        self._successes += 1
        if sample.started >= self._failed_at:
            self._streak = 0
        if sample.started < self._since:
            return None  # it ran partly under another limit
        if sample.in_flight < self.limit:
            self._slack += 1  # filling up takes fewer than `limit` of these
            return self._give_up(sample.finished) if self._slack >= self.limit else None
        if self._skip > 0:
            self._skip -= 1  # short calls answer first: a round later all lengths do
            return None
        self._measure(sample)
        return self._conclude(sample.finished) if self._is_over() else None

    def set_ceiling(self, ceiling: int | None) -> LimitChange | None:
        """Change the ceiling while running. A limit at the old ceiling goes to the new one at once."""
        _check(self.floor, ceiling)
        at_ceiling, self.ceiling = self._home == self.ceiling, ceiling
        home = self._clamp(self._home)
        if at_ceiling and ceiling is not None:
            home = max(home, ceiling if self._failed is None else min(ceiling, self._failed - 1))
        if home == self._home and self._clamp(self.limit) == self.limit:
            return None
        before, self.limit = self.limit, home if at_ceiling else min(self.limit, home)
        self._settle(home)
        self._phase = _Phase.RECOVERY if self.limit < home else _Phase.HOME
        self._begin(self._since)
        return LimitChange(self.limit, "an admin changed the highest limit") if self.limit != before else None

    # --- measuring -----------------------------------------------------------------------------

    def _begin(self, now: float) -> None:
        """Measure calls admitted from `now` on."""
        self._since = now
        self._skip = 0 if self._phase is _Phase.RECOVERY else self.limit
        self._clear()

    def _clear(self) -> None:
        """Start a window. `_ideal`: the log of what an ideal server gains by the step it is to decide on."""
        self._calls = self._slack = 0
        self._audio = self._seconds = self._logs = self._squares = 0.0
        visited = self._home - self._stride if self._stride > 1 else self._home + 1
        low, high = sorted((self._home, self.limit if self.limit != self._home else max(visited, 1)))
        self._ideal = math.log(high / low)

    def _measure(self, sample: Sample) -> None:
        seconds = max(sample.finished - sample.started, 1e-6)
        audio = max(sample.audio_seconds, 1e-6)
        self._calls += 1
        self._audio += audio
        self._seconds += seconds
        speed = math.log(audio / seconds)
        self._logs += speed
        self._squares += speed * speed

    def _level(self) -> float:
        """Log of the throughput in this window."""
        return math.log(self.limit * self._audio / self._seconds)

    def _window(self, ideal: float) -> float:
        """Calls it takes to know a gain to PRECISION, beside as many at home."""
        return self.limit + 2 + 2 * self._variance / (PRECISION * ideal) ** 2

    def _weight(self) -> float:
        """1 / the variance of a gain measured by this window beside home's, in ideal gains."""
        return self._ideal**2 / (self._variance * (1 / self._calls + 1 / self._base_calls))

    def _share(self) -> float:
        """The gain of the higher level over the lower in ideal gains."""
        gain = (self._level() - self._base) / self._ideal
        return gain if self.limit > self._home else -gain

    def _is_over(self) -> bool:
        if self._phase is _Phase.RECOVERY:
            return self._calls >= self.limit
        if self._calls >= self._window(self._ideal):
            return True
        if self._phase is _Phase.HOME or self._calls < self.limit + 2:
            return False
        return abs(self._share() - WORTH) * math.sqrt(self._weight()) > CLEAR

    def _conclude(self, now: float) -> LimitChange | None:
        """The window is over: learn from it, decide where to go, start the next."""
        if self._phase is _Phase.RECOVERY:
            change: LimitChange | None = self._recover()
        else:
            spread = self._squares / self._calls - (self._logs / self._calls) ** 2
            self._variance += (min(max(spread, 1e-4), 1.0) - self._variance) / 4
            change = self._judge() if self._phase is _Phase.VISIT else self._stay(now)
        if change:
            self._begin(now)
        else:
            self._clear()
        return change

    # --- home and visits -----------------------------------------------------------------------

    def _settle(self, home: int) -> None:
        """Make an unmeasured level home."""
        self._home = home
        self._base, self._base_calls = 0.0, 0  # log of home's throughput, and the calls it comes from
        self._stride = max(1, home // 2)  # of visits down

    def _stay(self, now: float) -> LimitChange | None:
        level = self._level()
        if self._base_calls and self._is_another(level):
            self._start_over(level)
        self._base_calls = min(self._base_calls, BASE_WINDOWS * self._calls) + self._calls
        self._base += (level - self._base) * self._calls / self._base_calls
        longer = SHUN_LONGER if self._failures > 1 else 1
        if (
            self._failed is not None
            and self._successes >= SHUN_CALLS * longer
            and now - self._failed_at >= SHUN_SECONDS * longer
        ):
            self._failed, self._rest = None, 0
        self._rest -= self._calls
        return self._visit() if self._rest <= 0 else None

    def _is_another(self, level: float, possible: float = 0.0) -> bool:
        """Whether throughput is so far from home's that the server must have changed."""
        doubt = math.sqrt(2 * self._variance / self._calls)
        return abs(level - self._base) > possible + max(SURPRISE, CERTAIN * doubt)

    def _start_over(self, level: float) -> None:
        """The server changed: measure home and doubt every gain until it is tried again."""
        self._base_calls = self._rest = 0
        self._doubted = set(self._gains)
        if level > self._base:
            self._failed, self._failures = None, 0

    def _neighbours(self) -> list[int]:
        up = self._clamp(self._home + max(1, self._home // 8))
        if self._failed is not None:
            up = min(up, self._failed - 1)
        down = max(self.floor, self._home - self._stride)
        return [level for level, there in ((up, up > self._home), (down, down < self._home)) if there]

    def _visit(self, *, downwards: bool = False) -> LimitChange | None:
        """Set out for the neighbour that is the least certain to be worse than home."""
        neighbours = sorted(self._neighbours(), reverse=not downwards)
        if not neighbours:
            return None
        self._phase = _Phase.VISIT
        self.limit = min(neighbours, key=self._certainty)
        return LimitChange(self.limit, f"trying whether {self.limit} at once get more done than {self._home}")

    def _certainty(self, level: int) -> float:
        """By how many standard errors home is known to be better than this level."""
        step = (min(self._home, level), max(self._home, level))
        share, weight = (0.0, 0.0) if step in self._doubted else self._gains.get(step, (0.0, 0.0))
        return (share - WORTH if level < self._home else WORTH - share) * math.sqrt(weight)

    def _judge(self) -> LimitChange | None:
        """The visit is over: learn the gain, and either return or make this level home and go on."""
        low, high = sorted((self._home, self.limit))
        if self._is_another(self._level(), self._ideal):
            self._start_over(self._level())
            self.limit, self._phase = self._home, _Phase.HOME
            return LimitChange(self.limit, "the server's speed changed in between")
        self._gains = {step: (share, weight * FADE) for step, (share, weight) in self._gains.items()}
        share, weight = self._gains.get((low, high), (0.0, 0.0))
        seen, new = max(-1.0, min(self._share(), 1.0)), self._weight()  # no real server gains more
        if weight and abs(seen - share) > CERTAIN * math.sqrt(1 / weight + 1 / new):
            weight = 0.0  # the server is not what it was
        share += (seen - share) * new / (weight + new)
        self._gains[low, high] = share, weight + new
        self._doubted.discard((low, high))
        if self._certainty(self.limit) > (-SURE if self.limit > self._home else 0.0):
            gain = math.expm1(share * self._ideal)
            return self._return(f"{high} at once get {gain:+.0%} done beside {low}")
        downwards = self.limit < self._home
        if downwards:
            self._stride = max(1, self.limit // 2)
        else:
            self._failures, self._stride = 0, 1
        self._home, self._base, self._base_calls = self.limit, self._level(), self._calls
        self._phase = _Phase.HOME
        return self._visit(downwards=downwards)

    def _return(self, reason: str) -> LimitChange:
        if self.limit < self._home and self._stride > 1:
            self._stride //= 2  # nearer next time
        self.limit = self._home
        self._phase = _Phase.HOME
        self._lie_down()
        return LimitChange(self.limit, reason)

    def _lie_down(self) -> None:
        """Decide how many calls to stay at home: the more, the less there is to learn."""
        doubt = min(map(self._certainty, self._neighbours()), default=0.0)
        visits = min(LONGEST_REST, REST * (1 + max(0.0, doubt) ** 2)) / self._home
        self._rest = round(visits * (self._home + self._window(math.log1p(1 / self._home))))

    def _give_up(self, now: float) -> LimitChange | None:
        """Too few calls are in flight to learn anything."""
        change = self._return("too few calls in flight to compare") if self._phase is _Phase.VISIT else None
        self._begin(now)
        return change

    # --- failures ------------------------------------------------------------------------------

    def _fail(self, sample: Sample) -> LimitChange | None:
        if sample.started < self._failed_at:
            return None  # it was let in before the last cut, which was for its kind too
        level = sample.in_flight if sample.started >= self._since else max(sample.in_flight, self.limit)
        before, self.limit = self.limit, min(level, self.limit)
        if sample.outcome == "oom":
            reason = f"out of memory with {level} in flight"
            self.hold_until = sample.finished + min(COOL_DOWN * 2**self._streak, LONGEST_COOL_DOWN)
            self.limit = max(self.floor, self.limit // 2)
        else:
            reason = f"{'busy' if sample.outcome == 'busy' else 'no answer in time'} with {level} in flight"
            self.limit = max(self.floor, self.limit - 1)
        self._failures += self._streak == 0
        self._streak += 1
        self._failed, self._failed_at, self._successes = level, sample.finished, 0
        if level <= self._home:
            self._settle(max(self.floor, level - 1))
            self._rest = 0
        else:
            self._lie_down()
        self._phase = _Phase.RECOVERY if self.limit < self._home else _Phase.HOME
        self._begin(sample.finished)
        return LimitChange(self.limit, reason) if self.limit != before else None

    def _recover(self) -> LimitChange:
        self.limit += 1
        if self.limit >= self._home:
            self._phase = _Phase.HOME
        return LimitChange(self.limit, f"{self.limit - 1} at once went well")

    def _clamp(self, limit: int) -> int:
        return max(self.floor, limit if self.ceiling is None else min(limit, self.ceiling))
