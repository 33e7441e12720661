"""How many calls one Whisper server gets at once: samples of finished calls in, a limit out.

`AdaptiveLimit` looks for the fewest calls in flight that get the most audio transcribed per second:

1.  It measures only while the server is full. Throughput is then, by Little's law, calls in flight x audio
    seconds / seconds in the server, over calls that ran under one limit. With fewer calls nothing rises.
2.  From home, the level it trusts, it visits the neighbour it is the least sure to be worse: one call up (an
    eighth when high), or down, half way first and then ever nearer. The noise makes a visit as long as it must be.
3.  What a visit gains is set against an ideal server, which from a to b calls gains b / a. If the higher level
    gains a fair share of that it becomes home, else the lower: for equal throughput all wait less in the server.
    Remembered are gains, averaged over visits, not throughputs: whoever else slows the GPU slows both levels.
4.  After a move it goes on at once. After a return it stays home, the longer the surer it is and the more the
    next visit costs. When home's own throughput jumps it looks again, and if it rose, failures are forgotten.
5.  Out of memory: halve the limit, let nobody in for a cool-down, twice as long each time while that has not
    helped. Then each round of successes adds one, up to home, which is now below the level that failed; if nothing
    is known yet, home is where the cut led. The failed level is shunned until enough calls and time have passed.
6.  Busy, or no answer in time: the same, but one level down, and no cool-down.

It reads no clock: time is what the samples say. A sample costs O(1); memory grows with levels, not with calls.
"""

from __future__ import annotations

import math
import sys
from typing import Literal, NamedTuple, Protocol

from .sentence import Sentence, _
from .speed import Speed

Outcome = Literal["ok", "oom", "busy", "timeout", "error"]

# Chosen on the grid of bench/adaptive, which shows what they bring. Gains are in shares of an ideal server's.
WORTH = 0.15  # gain that a level must bring; on the grid each step below 95 % of the peak brings more
SURE = 1.0  # standard errors beyond WORTH that it takes to go up; to go down, none
CLEAR = 3.0  # standard errors that end a visit early
PRECISION = 0.21  # standard error that ends it anyhow
FADE = 0.9  # what is left of a gain's weight after another visit
BASE_WINDOWS = 2  # before the last that home's throughput is averaged over: with more, visits to a server that
# becomes faster little by little would seem to gain something
ODD = 4.0  # standard errors from home's throughput after which the server counts as another
REST = 3.0  # calls at home before a visit, in calls of the visit / home, for that is about what it costs ...
LONGEST_REST = 128.0  # ... when nothing is known, and at most
COOL_DOWN, LONGEST_COOL_DOWN = 1.0, 60.0  # seconds
SHUN_CALLS, SHUN_SECONDS = 400, 180.0  # before a failed level is tried again: one failure is well under 1 in 100
NONE = sys.maxsize  # a level that is never reached


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
    reason: Sentence


class Limit(Protocol):
    """What the gate asks of a limit. `hold_until`: nobody is let in before this time (-inf: no hold)."""

    limit: int
    ceiling: int | None
    hold_until: float

    def record(self, sample: Sample) -> LimitChange | None: ...

    def set_ceiling(self, ceiling: int | None) -> LimitChange | None: ...


def _check(floor: int, ceiling: int | None) -> None:
    if floor < 1:
        raise ValueError(_("The floor must be at least 1, not {}.", floor))
    if ceiling is not None and ceiling < floor:
        raise ValueError(_("The ceiling must be at least {}, not {}.", floor, ceiling))


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
            raise ValueError(_("A fixed limit must be a number: only an adaptive limit finds its own."))
        _check(1, ceiling)
        before = self.limit
        self.limit = self.ceiling = ceiling
        return LimitChange(ceiling, _("an admin changed the ceiling")) if ceiling != before else None


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
        self._speed = Speed()
        self._gains: dict[tuple[int, int], tuple[float, float]] = {}  # (low, high): share of ideal, weight
        self._failed = NONE  # the level that is shunned
        self._failed_at = -math.inf
        self._successes = 0  # since then
        self._streak = 0  # failures with no success of a later call in between
        self._settle(self.limit)
        self._begin(-math.inf)

    def record(self, sample: Sample) -> LimitChange | None:
        """Learn from a finished exchange. Returns the change of the limit that it brought, if any."""
        if sample.outcome == "error":
            return None
        before = self.limit
        reason = self._succeed(sample) if sample.outcome == "ok" else self._fail(sample)
        if reason:
            self._begin(sample.finished)
        return LimitChange(self.limit, reason) if reason and self.limit != before else None

    def set_ceiling(self, ceiling: int | None) -> LimitChange | None:
        """Change the ceiling while running. A limit at the old ceiling goes to the new one at once."""
        _check(self.floor, ceiling)
        vouched = ceiling and self._home == self.ceiling
        before, self.ceiling = self.limit, ceiling
        self._settle(max(self.floor, self._top() if vouched else min(self._home, ceiling or NONE)))
        self.limit = self._home if vouched else min(self.limit, self._home)
        self._begin(self._since)
        return LimitChange(self.limit, _("an admin changed the ceiling")) if self.limit != before else None

    def _succeed(self, sample: Sample) -> Sentence | None:
        """Returns a reason to measure anew, most often to change the limit too, or None."""
        self._successes += 1
        if sample.started >= self._failed_at:
            self._streak = 0
        if sample.started < self._since:
            return None  # it ran partly under another limit
        if sample.in_flight < self.limit:
            self._slack += 1  # filling up takes fewer than `limit` of these
            return self._give_up() if self._slack >= self.limit else None
        self._speed.add(sample.audio_seconds, sample.finished - sample.started)
        if not self._is_over():
            return None
        if self._recovering:
            self.limit += 1
            return _("{} at once went well", self.limit - 1)
        reason = self._judge() if self._visiting else self._stay(sample.finished)
        self._clear()
        return reason

    # --- measuring -----------------------------------------------------------------------------

    def _begin(self, now: float) -> None:
        """Measure calls admitted from `now` on."""
        self._since = now
        self._clear()

    def _clear(self) -> None:
        """Start a window."""
        self._speed.begin()
        self._slack = 0
        there = self.limit if self._visiting else self._next()
        self._enough = self.limit if self._recovering else self._window(there)

    def _window(self, level: int) -> float:
        """Calls it takes to know to PRECISION what lies between home and this level, beside as many at home."""
        ideal = abs(math.log(level / self._home)) or 1.0  # if there is nowhere to go, any will do
        return level + 2 + 2 * self._speed.variance / (PRECISION * ideal) ** 2

    def _level(self) -> float:
        """Log of the throughput in this window."""
        return math.log(self.limit) + self._speed.mean

    def _gain(self) -> tuple[float, float]:
        """What the higher of home and this level gains over the lower, in ideal gains, and 1 / its variance."""
        ideal = math.log(self.limit / self._home)
        weight = ideal**2 / (self._speed.variance * (1 / self._speed.calls + 1 / self._base_calls))
        return (self._level() - self._base) / ideal, weight

    def _is_over(self) -> bool:
        if self._speed.calls >= self._enough:
            return True
        if not self._visiting or self._speed.calls < self.limit + 2:
            return False
        share, weight = self._gain()
        return abs(share - WORTH) * math.sqrt(weight) > CLEAR

    # --- home and visits -----------------------------------------------------------------------

    def _settle(self, home: int) -> None:
        """Make an unmeasured level home."""
        self._home, self._visiting = home, False
        self._base, self._base_calls = 0.0, 0  # log of home's throughput, and the calls it comes from
        self._worse = 0  # the highest level below home that is known to get less done
        self._rested = math.inf  # calls at home since the last visit

    def _stay(self, now: float) -> Sentence | None:
        """A window at home is over: see whether the server changed, and whether a visit is due."""
        level = self._level()
        if self._base_calls and abs(level - self._base) > ODD * math.sqrt(2 * self._speed.variance / self._speed.calls):
            self._base_calls, self._rested = 0, math.inf
            if level > self._base:
                self._failed = NONE
        self._base_calls = min(self._base_calls, BASE_WINDOWS * self._speed.calls) + self._speed.calls
        self._base += (level - self._base) * self._speed.calls / self._base_calls
        self._rested += self._speed.calls
        if self._successes >= SHUN_CALLS and now - self._failed_at >= SHUN_SECONDS:
            self._failed = NONE
        visited = self._next()
        if visited == self._home or self._rested < self._patience(visited):
            return None
        self.limit, self._visiting = visited, True
        return _("trying whether {} at once get more done than {}", visited, self._home)

    def _top(self) -> int:
        return min(self.ceiling or NONE, self._failed - 1)

    def _next(self) -> int:
        """The neighbour to visit: the one that is the least certain to be worse than home. Or home, if it has none."""
        down = max(self.floor, (self._home + self._worse) // 2)
        up = max(self._home, min(self._home + max(1, self._home // 8), self._top()))
        onwards = (up, down) if self._worse else (down, up)  # of two unknown ones that way which it went last
        return min((n for n in onwards if n != self._home), key=self._certainty, default=self._home)

    def _certainty(self, level: int) -> float:
        """By how many standard errors home is known to be better than this level."""
        share, weight = self._gains.get((min(self._home, level), max(self._home, level)), (0.0, 0.0))
        return (share - WORTH if level < self._home else WORTH - share) * math.sqrt(weight)

    def _patience(self, level: int) -> float:
        """Calls at home before a visit: a wrong home is the less likely, by the normal law, the more certain it is."""
        sure = min(max(0.0, self._certainty(level)), 9.0)
        return min(REST * math.exp(sure**2), LONGEST_REST) * self._window(level) / self._home

    def _judge(self) -> Sentence | None:
        """The visit is over: learn the gain, and either return or make this level home."""
        low, high = sorted((self._home, self.limit))
        up = self.limit == high
        share, weight = self._gains.get((low, high), (0.0, 0.0))
        seen, new = self._gain()
        weight = weight * FADE + new
        share += (seen - share) * new / weight
        self._gains[low, high] = share, weight
        if self._certainty(self.limit) > (-SURE if up else 0.0):
            if not up:
                self._worse = low
            self._return()
            return _("{} at once get {:+.0%} done beside {}", high, math.expm1(share * math.log(high / low)), low)
        self._worse = low if up else 0
        self._home, self._base, self._base_calls = self.limit, self._level(), self._speed.calls
        self._visiting, self._rested = False, math.inf
        return None

    def _return(self) -> None:
        self.limit, self._visiting, self._rested = self._home, False, 0

    def _give_up(self) -> Sentence:
        """Too few calls are in flight to learn anything."""
        if self._visiting:
            self._return()
        return _("too few calls in flight to compare")

    # --- failures ------------------------------------------------------------------------------

    def _fail(self, sample: Sample) -> Sentence | None:
        if sample.started < self._failed_at:
            return None  # it was let in before the last cut, which was for its kind too
        level = sample.in_flight if sample.started >= self._since else max(sample.in_flight, self.limit)
        cut = min(level, self.limit)
        if sample.outcome == "oom":
            reason, cut = _("out of memory with {} in flight", level), cut // 2
            self.hold_until = sample.finished + min(COOL_DOWN * 2**self._streak, LONGEST_COOL_DOWN)
        elif sample.outcome == "busy":
            reason, cut = _("busy with {} in flight", level), cut - 1
        else:
            reason, cut = _("no answer in time with {} in flight", level), cut - 1
        cut = max(self.floor, cut)
        self._streak += 1
        self._failed, self._failed_at, self._successes = level, sample.finished, 0
        if level > self._home:
            self._return()
        else:
            self._settle(max(self.floor, level - 1) if self._gains else cut)
        self.limit = cut
        return reason

    @property
    def _recovering(self) -> bool:
        """On the way back up to home after a failure."""
        return not self._visiting and self.limit < self._home
