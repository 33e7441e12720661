"""How many calls one Whisper server gets at once: samples of finished exchanges in, a limit out.

`AdaptiveLimit` looks for the smallest number of calls in flight that transcribes the most audio per second:

1.  It measures only while as many calls are in flight as the limit allows. Throughput is then, by Little's law,
    calls in flight x audio seconds / seconds in the server. With fewer calls, the limit does not rise.
2.  Home is the level that it trusts. From there it visits a neighbour: the one that is least surely worse. Upwards
    that is one call more (an eighth more at high levels). Downwards it is half way first, and nearer each time. A
    visit takes as many calls as the noise demands.
3.  An ideal server gains b / a in throughput from a to b calls. If the higher of two levels gains a fair share of
    that, it becomes home; else the lower one does, because calls wait less there. Gains are remembered, averaged
    over visits, and not throughputs: another program on the GPU slows both levels.
4.  After a move it goes on at once. After a return it stays home for a while: longer if it is surer, and longer if
    the next visit costs more. When the throughput at home jumps, it looks again. If it jumped up, failures are
    forgotten.
5.  A ceiling is what an admin believes that the server bears. Until something speaks against it, a visit upwards
    doubles the calls and takes one round of them, and its gain need not be sure. So it is for a sturdy server, which
    bears any number of calls, without a ceiling.
6.  On its way up it adds one call with a success, if all permits are out, and if the call that was added last has had
    the time to fail. So a level for which there is not enough memory costs one failure.
7.  After an out-of-memory answer it halves the limit and lets no call in for a cool-down, which doubles while the
    failures go on. Then it goes up to home again. Home is now below the level that failed, or where the cut led if
    nothing is known yet. The failed level is avoided until enough calls and time have passed.
8.  After a busy answer, or none in time, it does the same, but one level down and without a cool-down.
9.  What an earlier process learnt of the server is a hypothesis. If the first window at home finds the throughput of
    that time, within the noise of rule 4, it is confirmed. If not, or after an out-of-memory answer, it is forgotten.

Every limit lets no call in for as long as a busy server asks to wait, but LONGEST_HOLD at most.

It reads no clock: the samples bring the time. A sample costs O(1), the end of a window O(levels).
Memory grows with levels, not with calls.
"""

from __future__ import annotations

import math
import sys
from typing import Literal, NamedTuple, Protocol

from .learnt import Gain, Inheritance, Learnt, LimitState
from .sentence import Sentence, _
from .speed import Speed

Outcome = Literal["ok", "oom", "busy", "timeout", "error"]

# Chosen on the grid of bench/adaptive, which shows their effect. Gains are shares of an ideal server's gain.
WORTH = 0.15  # the gain that a level must bring; on the grid, each step below 95 % of the peak brings more
SURE = 1.0  # to go up, a gain must exceed WORTH by this many standard errors; to go down, by none
CLEAR = 3.0  # a visit ends early when its gain is this many standard errors from WORTH
PRECISION = 0.21  # a visit ends at the latest when its standard error is this small
FADE = 0.9  # share of a gain's weight that is left after another visit
BASE_WINDOWS = 2  # windows before the last over which home's throughput is averaged. With more, visits to a server
# that becomes faster little by little would seem to gain something
ODD = 4.0  # when home's throughput jumps by this many standard errors, the server counts as another one
REST = 3.0  # calls at home before a visit, in units of (calls of the visit / home), which is about what it costs ...
LONGEST_REST = 128.0  # ... while nothing is known, and at most
COOL_DOWN, LONGEST_HOLD = 1.0, 60.0  # seconds: the first cool-down, and the most that any server is left alone
SHOWN = 1.0  # seconds in which a call too many fails: of 8 calls where 2 fit, a GPU had refused all within one second
SHUN_CALLS, SHUN_SECONDS = 400, 180.0  # before a failed level is tried again: at most one call in 400 fails so
TOO_OFTEN = 3  # out-of-memory answers under a fixed limit: one may be the fault of another program, or of one call
NONE = sys.maxsize  # a level that is never reached


class Sample(NamedTuple):
    """One finished exchange. Times: monotonic seconds.

    audio_seconds: 0 for a probe, which tells nothing of throughput.
    in_flight, out: permits out when it was let in, and when it finished; with its own.
    retry_after: seconds that a busy server asked to wait.
    """

    started: float
    finished: float
    audio_seconds: float
    in_flight: int
    outcome: Outcome
    out: int
    retry_after: float = 0.0


class LimitChange(NamedTuple):
    """The new limit, and its reason in words for an admin."""

    limit: int
    reason: Sentence


class Limit(Protocol):
    """What the gate needs of a limit.

    hold_until: no call is let in before this time; -inf: no hold.
    climbing: it goes up for the first time, and has not met a level that is too high.
    doubling: it climbs so fast that it judges a level by few calls, which must be alike.
    spare: the server is not known to fail with one call more.
    advice: what an admin should change, by the server's answers.
    """

    limit: int
    ceiling: int | None
    hold_until: float
    climbing: bool

    def record(self, sample: Sample) -> LimitChange | None: ...

    def set_ceiling(self, ceiling: int | None) -> LimitChange | None: ...

    @property
    def doubling(self) -> bool: ...

    @property
    def spare(self) -> bool: ...

    @property
    def advice(self) -> Sentence | None: ...

    @property
    def learnt(self) -> Learnt | None: ...

    def state(self) -> LimitState | None: ...

    def restore(self, state: LimitState) -> LimitChange | None: ...


def _hold(until: float, sample: Sample) -> float:
    """The time until which no call is let in, after this sample."""
    return max(until, sample.finished + min(sample.retry_after, LONGEST_HOLD)) if sample.retry_after else until


def _check(floor: int, ceiling: int | None) -> None:
    if floor < 1:
        raise ValueError(_("The floor must be at least 1, not {}.", floor))
    if ceiling is not None and ceiling < floor:
        raise ValueError(_("The ceiling must be at least {}, not {}.", floor, ceiling))


class FixedLimit:
    """A limit that an admin chose. Of the server's answers it heeds only how long to wait."""

    def __init__(self, limit: int) -> None:
        _check(1, limit)
        self.limit = limit
        self.ceiling: int | None = limit
        self.hold_until = -math.inf
        self.climbing = False
        self.doubling = False
        self.spare = False  # an admin knows best
        self._oom = 0  # out-of-memory answers under this limit

    def record(self, sample: Sample) -> LimitChange | None:
        self.hold_until = _hold(self.hold_until, sample)
        self._oom += sample.outcome == "oom"
        return None

    def set_ceiling(self, ceiling: int | None) -> LimitChange | None:
        if ceiling is None:
            raise ValueError(_("A fixed limit must be a number: only an adaptive limit finds its own."))
        _check(1, ceiling)
        before = self.limit
        if ceiling == before:
            return None
        self.limit = self.ceiling = ceiling
        self._oom = 0
        return LimitChange(ceiling, _("an admin changed the ceiling"))

    @property
    def advice(self) -> Sentence | None:
        if self._oom < TOO_OFTEN:
            return None
        if self.limit == 1:
            return _(
                "Out of memory {} times with one call at a time: the model is too large for the server.", self._oom
            )
        return _(
            "Out of memory {} times at the fixed limit of {}, which is too high: lower ASR_MAX_CONCURRENT, or set "
            "ASR_ADAPTIVE=on.",
            self._oom,
            self.limit,
        )

    @property
    def learnt(self) -> None:
        return None

    def state(self) -> None:
        return None

    def restore(self, state: LimitState) -> None:
        """Another limit may have learnt it, under other settings: it is ignored."""


class AdaptiveLimit:
    """A limit that follows the server's answers, as the module's docstring says.

    floor, ceiling: the limit stays between them, and starts at the floor. With `ceiling=None` it has no upper bound.
    sturdy: the server computes as many calls at once as fit into its memory, and lets the others wait.
    """

    def __init__(self, *, floor: int = 1, ceiling: int | None, sturdy: bool = False) -> None:
        _check(floor, ceiling)
        self._sturdy = sturdy
        self.floor = floor
        self.ceiling = ceiling
        self.hold_until = -math.inf
        self._forget("none")

    def _forget(self, inherited: Inheritance) -> None:
        """Begin as one that knows nothing of the server."""
        self._inherited = inherited
        self.limit = self.floor
        self._speed = Speed()
        self._gains: dict[tuple[int, int], tuple[float, float]] = {}  # (low, high): share of the ideal gain, weight
        self._failed = NONE  # the level that is avoided
        self._failed_at = -math.inf
        self._successes = 0  # since the failure
        self._streak = 0  # failures in a row, without a success of a call that began after one of them
        self._settle(self.floor)
        self.climbing = self._home < self._top()
        self._begin(-math.inf)

    def record(self, sample: Sample) -> LimitChange | None:
        """Learn from a finished exchange. Returns the change of the limit, if there is one."""
        self.hold_until = _hold(self.hold_until, sample)
        if sample.outcome == "error":
            return None
        before = self.limit
        reason = self._succeed(sample) if sample.outcome == "ok" else self._fail(sample)
        if reason:
            self._begin(sample.finished)
        return LimitChange(self.limit, reason) if reason and self.limit != before else None

    def set_ceiling(self, ceiling: int | None) -> LimitChange | None:
        """Change the ceiling while running. A limit at the old ceiling climbs to the new one, if that is higher."""
        _check(self.floor, ceiling)
        stood = ceiling is not None and self._home == self.ceiling and self._failed == NONE
        before, self.ceiling = self.limit, ceiling
        if ceiling and max(self._home, self._goal) > ceiling:
            self._settle(min(self._home, ceiling))
            self.limit = min(self.limit, self._home)
            self._begin(self._since)
        self.climbing = (self.climbing or stood) and self._home < self._top()
        return LimitChange(self.limit, _("an admin changed the ceiling")) if self.limit != before else None

    @property
    def spare(self) -> bool:
        """False also on the way up after a failure: less than home may be too much then."""
        return self._home <= self.limit < self._top()

    @property
    def advice(self) -> None:
        """None: it follows the server's answers by itself."""

    # --- what is learnt ------------------------------------------------------------------------

    @property
    def learnt(self) -> Learnt:
        throughput = math.exp(self._base) if self._base_calls else None
        return Learnt(self._home, throughput, self._avoided, self._gain_list(), self._inherited)

    def state(self) -> LimitState:
        """What another limit needs to go on here."""
        return LimitState(
            home=self._home,
            worse=self._worse,
            failed=self._avoided,
            base=self._base,
            base_calls=self._base_calls,
            variance=self._speed.variance,
            gains=self._gain_list(),
        )

    def restore(self, state: LimitState) -> LimitChange | None:
        """Go on where another limit stopped, before the first sample. The state is a hypothesis: see rule 9."""
        before = self.limit
        self._speed.variance = state.variance
        self._gains = {(gain.low, gain.high): (gain.share, gain.weight) for gain in state.gains}
        self._failed = state.failed or NONE
        self._settle(max(self.floor, min(state.home, self._top())))
        if self._home == state.home:
            self._base, self._base_calls, self._worse = state.base, state.base_calls, state.worse
        self._rested = 0.0
        self.limit, self._inherited, self.climbing = self._home, "unproven", False
        self._begin(-math.inf)
        return LimitChange(self.limit, _("an earlier run had learnt it")) if self.limit != before else None

    @property
    def _avoided(self) -> int | None:
        return None if self._failed == NONE else self._failed

    def _gain_list(self) -> tuple[Gain, ...]:
        return tuple(Gain(*levels, *gain) for levels, gain in sorted(self._gains.items()))

    def _succeed(self, sample: Sample) -> Sentence | None:
        """Returns a reason to measure anew, or None. Most reasons change the limit too."""
        self._successes += 1
        if sample.started >= self._failed_at:
            self._streak = 0
        if self.limit < self._goal:
            return self._approach(sample)
        if sample.started < self._since:
            return None  # it ran partly under another limit
        if sample.in_flight < self.limit:
            return self._miss()
        if not sample.audio_seconds:
            return None
        self._speed.add(sample.audio_seconds, sample.finished - sample.started)
        if not self._is_over():
            return None
        reason = self._judge() if self._visiting else self._stay(sample.finished)
        self._clear()
        return reason

    def _approach(self, sample: Sample) -> Sentence | None:
        """Add a call on the way up to the goal, if the call that was added last has had the time to fail."""
        if sample.out < self.limit:
            return self._miss() if self._visiting else None
        if sample.finished < self._since + min(SHOWN, sample.finished - sample.started):
            return None
        self.limit += 1
        return _("{} at once went well", self.limit - 1)

    # --- measuring -----------------------------------------------------------------------------

    def _begin(self, now: float) -> None:
        """Measure the calls that are let in from `now` on."""
        self._since = now
        self._clear()

    def _clear(self) -> None:
        """Begin a window of measurement."""
        self._speed.begin()
        self._slack = 0
        there = self.limit if self._visiting else self._next()
        self._enough = self.limit if self.doubling else self._window(there)

    def _window(self, level: int) -> float:
        """Calls that a window needs, so that the gain between home and this level is known to PRECISION."""
        ideal = abs(math.log(level / self._home)) or 1.0  # where there is no other level, any number will do
        return level + 2 + 2 * self._speed.variance / (PRECISION * ideal) ** 2

    def _level(self) -> float:
        """Log of the throughput in this window."""
        return math.log(self.limit) + self._speed.mean

    def _gain(self) -> tuple[float, float]:
        """The gain of the higher of home and this level over the lower: in ideal gains, and 1 / its variance."""
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
        """Make a level home that has not been measured."""
        self._home = self._goal = home  # the goal is the visited level, or home; the limit may be on its way up to it
        self._base, self._base_calls = 0.0, 0  # log of home's throughput, and the calls that it was measured over
        self._worse = 0  # the highest level below home that is known to be worse
        self._rested = math.inf  # calls at home since the last visit

    def _stay(self, now: float) -> Sentence | None:
        """End a window at home: see whether the server has changed, and whether a visit is due."""
        level = self._level()
        error = math.sqrt(2 * self._speed.variance / self._speed.calls)
        odd = self._base_calls and abs(level - self._base) > ODD * error
        if self._base_calls and self._inherited == "unproven":
            if odd:
                self._forget("refuted")
                return _("the server is not as fast as in an earlier run")
            self._inherited = "confirmed"
        if odd:
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
        return self._visit(visited)

    def _visit(self, level: int) -> Sentence:
        self._goal = level
        self.limit = min(self._home + 1, level)
        return _("trying whether {} at once get more done than {}", level, self._home)

    def _top(self) -> int:
        return min(self.ceiling or NONE, self._failed - 1)

    def _next(self) -> int:
        """The neighbour to visit: the one that is least surely worse than home. Home, if it has no neighbour."""
        if self.doubling:
            return min(2 * self._home, self._top())
        down = max(self.floor, (self._home + self._worse) // 2)
        up = max(self._home, min(self._home + max(1, self._home // 8), self._top()))
        onwards = (up, down) if self._worse else (down, up)  # if both are unknown: on in the direction of the last move
        return min((n for n in onwards if n != self._home), key=self._certainty, default=self._home)

    def _certainty(self, level: int) -> float:
        """Number of standard errors by which home is better than this level."""
        share, weight = self._gains.get((min(self._home, level), max(self._home, level)), (0.0, 0.0))
        return (share - WORTH if level < self._home else WORTH - share) * math.sqrt(weight)

    def _patience(self, level: int) -> float:
        """Calls at home before a visit. By the normal law, a home that is surely better is rarely the wrong one."""
        if self.doubling:
            return 0.0
        sure = min(max(0.0, self._certainty(level)), 9.0)
        return min(REST * math.exp(sure**2), LONGEST_REST) * self._window(level) / self._home

    def _judge(self) -> Sentence | None:
        """End a visit: learn the gain, and either return or make this level home."""
        low, high = sorted((self._home, self.limit))
        up = self.limit == high
        share, weight = self._gains.get((low, high), (0.0, 0.0))
        seen, new = self._gain()
        weight = weight * FADE + new
        share += (seen - share) * new / weight
        self._gains[low, high] = share, weight
        if self._certainty(self.limit) > (-SURE if up and not self.doubling else 0.0):
            if up:
                self.climbing = False
            else:
                self._worse = low
            self._return()
            return _("{} at once get {:+.0%} done beside {}", high, math.expm1(share * math.log(high / low)), low)
        self._worse = low if up and not self.doubling else 0
        self._home, self._base, self._base_calls = self._goal, self._level(), self._speed.calls
        self._rested = math.inf
        self.climbing = self.climbing and self._home < self._top()
        return self._visit(self._next()) if self.doubling else None

    def _return(self) -> None:
        self.limit = self._goal = self._home
        self._rested = 0

    def _miss(self) -> Sentence | None:
        """Count a call beside which the server was not full. If it never is, there is nothing to learn."""
        self._slack += 1  # while the server fills up, there are fewer than `limit` of these
        if self._slack < self.limit:
            return None
        if self._visiting:
            self._return()
        return _("too few calls in flight to compare")

    # --- failures ------------------------------------------------------------------------------

    def _fail(self, sample: Sample) -> Sentence | None:
        if sample.started < self._failed_at:
            return None  # the call was let in before the last cut, which its like had caused
        level = sample.in_flight if sample.started >= self._since else max(sample.in_flight, self.limit)
        cut = min(level, self.limit)
        if sample.outcome == "oom":
            if self._inherited == "unproven":
                self._gains.clear()
                self._inherited = "refuted"
            reason, cut = _("out of memory with {} in flight", level), cut // 2
            cool_down = min(COOL_DOWN * 2**self._streak, LONGEST_HOLD)
            self.hold_until = max(self.hold_until, sample.finished + cool_down)
        elif sample.outcome == "busy":
            reason, cut = _("busy with {} in flight", level), cut - 1
        else:
            reason, cut = _("no answer in time with {} in flight", level), cut - 1
        cut = max(self.floor, cut)
        self.climbing = False
        self._streak += 1
        self._failed, self._failed_at, self._successes = level, sample.finished, 0
        if level > self._home:
            self._return()
        else:
            self._settle(max(self.floor, level - 1) if self._gains else cut)
        self.limit = min(cut, self._home)
        return reason

    @property
    def _visiting(self) -> bool:
        return self._goal != self._home

    @property
    def doubling(self) -> bool:
        """Whether it climbs to a ceiling, or before a sturdy server."""
        return self.climbing and (self.ceiling is not None or self._sturdy)
