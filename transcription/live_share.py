"""How many permits the other lanes may hold while live calls come, so that captions come in time (rule G13).

`LiveShare` looks for the largest number of other calls beside which 95 of 100 live calls are answered within the
target, from asking for a permit to the answer:

1.  A *level* is a number of permits that the other lanes may hold. At level 0 that is one too, but only one call of any
    lane runs at a time, so that no live call computes beside another call. Batch work goes on at each level.
2.  A live call belongs to the level of the most other calls that were in flight between its asking and its answer.
3.  For each level it keeps the evidence against it: the logarithm of how much more likely the answers there are if 12
    of 100 are late than if 2 are (Wald's sequential test, with bounds as in Page 1954).
4.  Home is the level that it trusts, 1 at first. When enough answers at home were in time, it tries a higher level:
    twice as many while no level has failed, else half way to the lowest that failed, else one more.
5.  When the evidence is against a level, the share goes below it at once: home after a trial, else one lower. A trial
    fails at its first late answers. A home that was good for long bears some, for 5 of 100 may be late.
6.  A level that failed is tried again after some live calls. Each failure doubles their number, up to a bound, so that
    failures are forgotten slowly.
7.  Ten seconds after the last live call all permits are everybody's. What was learnt stays for the next live call.
8.  While the limit is climbing for the first time, nothing is held back, for a minute at most: a limit that is still
    too low delays live calls too, and it learns only while as many calls are in flight as it allows.
9.  When live calls are late at level 0, the target is *missed*. Levels 0 and 1 are then tried in turn. The more often
    level 1 has failed, the more evidence it takes to leave level 0 for it.
10. While live calls come, the limit in force is one higher than the limit of the server, unless the server is known to
    fail then. Only a live call can take that permit. The limit is where more calls get no more done, but a live call
    that waits for a batch call to end is late; and the limit learns only while the other lanes may fill it.

It reads no clock: its caller brings the time. A call costs O(levels).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from .limit import Limit

LATE_BAD, LATE_GOOD = 0.12, 0.02  # shares of late answers at a level that breaks the target, and at one that keeps it
LATE = math.log(LATE_BAD / LATE_GOOD)  # evidence of a late answer: 1.8
IN_TIME = math.log((1 - LATE_BAD) / (1 - LATE_GOOD))  # evidence of one in time: -0.11; they cancel at 5.7 late of 100
# Chosen on the grid of bench/adaptive --live:
AGAINST = 1.6  # evidence that ends a level: a late answer at once, two of 20, or three soon after many in time
TRUST = -1.2  # evidence that makes a trial home: 12 answers in time
MOST_TRUST = -4.5  # no more is collected: four late answers in a row end the best home
MOST_PATIENCE = 4  # times AGAINST, at level 0: seven late answers in a row end the best one
REST = 40  # live calls at home before a level that failed once is tried again. A trial that fails makes some 3 late
LONGEST_REST = 640
QUIET = 10.0  # seconds after the last live call
LONGEST_CLIMB = 60.0  # seconds after the first live call for which a climbing limit is let climb


class LiveCall(NamedTuple):
    """A live call that ended.

    asked, finished: monotonic seconds.
    others: the most permits of other lanes that were out in between.
    answered: False if it failed or was dropped. Then it tells something only if it was late already.
    """

    asked: float
    finished: float
    others: int
    answered: bool = True


class LiveBounds(NamedTuple):
    """How many permits may be out in all, and how many of them the other lanes may hold. Both are at least 1."""

    total: int
    others: int


class Failures(NamedTuple):
    """How often a level failed since a higher one was trusted."""

    level: int
    times: int


@dataclass(frozen=True, slots=True)
class LiveShareState:
    """What a share needs to go on where another one stopped. Raises ValueError for numbers that no share can have."""

    home: int
    failures: tuple[Failures, ...]

    def __post_init__(self) -> None:
        if self.home < 0 or any(failed.level < 0 or failed.times < 1 for failed in self.failures):
            raise ValueError("No share can have learnt this.")


class LiveShare:
    """The share of the other lanes, as the module's docstring says.

    target: seconds within which live calls are to be answered. missed: that cannot be kept.
    until: the time from which all permits are everybody's, if no live call comes before.
    """

    def __init__(self, target: float = 1.5) -> None:
        self.target = target
        self.missed = False
        self._home = self._level = 1
        self._evidence: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        self._rested = 0  # live calls since home was found good, or since the last trial
        self._since = -math.inf  # the last change of level
        self.until = -math.inf
        self._first = math.inf  # the first live call

    @property
    def home(self) -> int | None:
        """The level that it trusts; None: it has learnt of none yet."""
        return self._home if self._home > 1 or self._failures else None

    def bounds(self, now: float, limit: Limit) -> LiveBounds:
        """The bounds under this limit now."""
        total, others = self.limit_now(now, limit), limit.limit
        if now >= self.until or self._climbs(now, limit):
            return LiveBounds(total, others)
        return LiveBounds(total, min(others, self._level)) if self._level else LiveBounds(1, 1)

    def limit_now(self, now: float, limit: Limit) -> int:
        """The limit in force."""
        return limit.limit + (now < self.until and limit.spare)

    def ask(self, now: float) -> None:
        """A live call asks for a permit."""
        if now >= self.until:
            self._evidence.clear()  # the server may have changed meanwhile
            self._go(self._home, now)
        if now < self._first:
            self._first = now
        if now + QUIET > self.until:
            self.until = now + QUIET

    def record(self, call: LiveCall, limit: Limit) -> None:
        """Learn from a live call that ended under this limit."""
        self.until = max(self.until, call.finished + QUIET)
        late = call.finished - call.asked > self.target
        elsewhere = call.asked < self._since or call.others > max(1, self._level)  # it ran partly at another level
        if self._climbs(call.finished, limit) or (elsewhere if late else not call.answered):
            return
        level = min(max(1, call.others), self._level)
        evidence = self._evidence.get(level, 0.0) + (LATE if late else IN_TIME)
        against = AGAINST if level else AGAINST * min(self._failures.get(1, 1), MOST_PATIENCE)
        self._evidence[level] = min(max(evidence, MOST_TRUST), against)
        if evidence >= against:
            self._fall(level, call.finished)
        elif evidence <= TRUST and level == self._level:
            self._trust(call.finished)

    def _climbs(self, now: float, limit: Limit) -> bool:
        return limit.climbing and now < self._first + LONGEST_CLIMB

    def _fall(self, level: int, now: float) -> None:
        """The target is missed at this level: go below it."""
        self.missed = self.missed or level == 0
        self._failures[level] = self._failures.get(level, 0) + 1
        if level <= self._home:
            self._home = level - 1 if level else 1
            self._evidence.clear()
        self._go(self._home, now)

    def _trust(self, now: float) -> None:
        """The target is kept at this level. Try a higher one, if it is time."""
        self.missed = self.missed and self._level == self._home and self._evidence[self._level] > MOST_TRUST
        if self._level > self._home:
            self._home, self._rested = self._level, 0
            self._failures = {level: times for level, times in self._failures.items() if level > self._home}
        self._rested += 1
        higher = self._higher()
        if self._rested > self._rest(higher):
            self._go(higher, now)

    def _higher(self) -> int:
        """The level to try next."""
        failed = min((level for level in self._failures if level > self._home), default=None)
        return max(self._home + 1, 2 * self._home if failed is None else (self._home + failed) // 2)

    def _rest(self, level: int) -> float:
        """Live calls at home before this level is tried."""
        failures = self._failures.get(level)
        return min(math.ldexp(REST, min(failures, 9) - 1), LONGEST_REST) if failures else 0

    def _go(self, level: int, now: float) -> None:
        self._level, self._since, self._rested = level, now, 0
        self._evidence = {known: evidence for known, evidence in self._evidence.items() if known <= self._home}

    def state(self) -> LiveShareState:
        """What another share needs to go on here."""
        return LiveShareState(self._home, tuple(Failures(*failed) for failed in sorted(self._failures.items())))

    def restore(self, state: LiveShareState) -> None:
        """Go on where another share stopped, before the first live call."""
        self._home = self._level = state.home
        self._failures = dict(state.failures)
        self._first = -math.inf  # the limit has climbed before
