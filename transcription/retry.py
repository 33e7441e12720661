"""Whether a failed call is tried again: an error and the call's history in, a decision out.

It sends nothing, waits for nothing and reads no clock. The client does what is decided.

1.  What passes by itself (a server that is away, busy or silent, a full line) never fails a durable call.
2.  Everything else has `max_attempts`; a call that got no answer in time, two.
3.  Other calls wait at most LONGEST_BACKOFF for their next attempt, and the retries of all of them together have a
    budget: a storm of failures cannot become a storm of retries.
4.  A durable call over which a server breaks down or falls silent is a suspect after SUSPECT times (see `quarantine`),
    and `Poison` after POISON times.
5.  A server that the settings do not fit is avoided. If it has shown a moment ago that it fits, the cause lies with
    this call, or with one of several servers at the address: then the attempt counts.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from .errors import (
    AnswerError,
    BrokenOff,
    Killed,
    Misconfigured,
    Poison,
    QueueFull,
    Rejected,
    ServerBusy,
    TimedOut,
    TranscriptionError,
    Unreachable,
)

LONGEST_BACKOFF = 60.0  # seconds
SUSPECT, POISON = 2, 5  # times that a server broke down or fell silent over a call
SHARE, SAVED = 0.2, 10.0  # retries that each call earns, and how many of them can be saved


@dataclass(frozen=True, slots=True)
class CallHistory:
    """What has become of one call so far.

    durable: the call may wait for hours.
    completed: calls of the whole process that had completed when this one began, or last got no good answer.
    attempts: failed attempts that count against `max_attempts`.
    failures: all failed attempts; each makes the next backoff longer.
    breakdowns: attempts over which a server broke down or fell silent, as far as the call may be to blame.
    """

    durable: bool
    completed: int = 0
    attempts: int = 0
    failures: int = 0
    breakdowns: int = 0

    @property
    def suspect(self) -> bool:
        return self.breakdowns >= SUSPECT


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again in `delay` seconds, with this history.

    avoid: at another server if there is one.
    """

    delay: float
    history: CallHistory
    avoid: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The call fails with this error: the one that it met, or `Poison`."""

    error: TranscriptionError


class RetryPolicy:
    """Decides about all calls of a process.

    max_attempts: attempts of one call in all.
    retry_delay: seconds of the first backoff; each failure doubles it, up to LONGEST_BACKOFF.
    jitter: a number between two others. Backoffs have full jitter, from 0 upwards, so that calls that failed together
        do not come back together: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    def __init__(
        self, max_attempts: int, retry_delay: float, jitter: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._max_attempts = max(1, max_attempts)
        self._retry_delay = retry_delay
        self._jitter = jitter
        self._saved = SAVED

    def begin(self, *, durable: bool, completed: int = 0) -> CallHistory:
        """The history of a new call, which earns its share of a retry for the budget."""
        self._saved = min(SAVED, self._saved + SHARE)
        return CallHistory(durable, completed)

    def next(
        self, error: TranscriptionError, history: CallHistory, *, completed: int = 0, fits: bool = False
    ) -> Retry | GiveUp:
        """What to do after an attempt that ended with this error.

        completed: calls of the whole process that have completed by now.
        fits: the server has shown a moment ago that the settings fit it.
        """
        match error:
            case QueueFull() if history.durable:
                return Retry(min(LONGEST_BACKOFF, error.retry_after), replace(history, failures=history.failures + 1))
            case Misconfigured():
                return self._misfit(error, history, fits)
            case Rejected() | Poison():
                return GiveUp(error)
            case AnswerError():
                return self._no_good_answer(error, history, completed)
            case _:
                return GiveUp(error)

    def _misfit(self, error: Misconfigured, history: CallHistory, fits: bool) -> Retry | GiveUp:
        attempts = history.attempts + fits
        if attempts >= self._max_attempts or not (history.durable or self._spend()):
            return GiveUp(error)
        delay = self._backoff(history) if fits else 0.0  # else another server is asked, or the call waits for one
        return Retry(delay, replace(history, attempts=attempts, failures=history.failures + 1), avoid=True)

    def _no_good_answer(self, error: AnswerError, history: CallHistory, completed: int) -> Retry | GiveUp:
        passing = history.durable and isinstance(error, Unreachable | ServerBusy | TimedOut)
        new = replace(
            history,
            completed=completed,
            attempts=history.attempts + (not passing),
            failures=history.failures + 1,
            breakdowns=history.breakdowns + _may_be_to_blame(error, history, completed),
        )
        if new.breakdowns >= POISON:
            return GiveUp(Poison(f"The server broke down or fell silent {new.breakdowns} times over this: {error}"))
        allowed = min(2, self._max_attempts) if isinstance(error, TimedOut) else self._max_attempts
        delay = self._backoff(history) if error.retry_after is None else error.retry_after
        if (new.attempts >= allowed and not passing) or (delay > LONGEST_BACKOFF and not history.durable):
            return GiveUp(error)
        if not self._spend() and not history.durable:
            return GiveUp(error)
        return Retry(delay, new, avoid=True)

    def _backoff(self, history: CallHistory) -> float:
        return self._jitter(0, min(LONGEST_BACKOFF, self._retry_delay * 2 ** min(16, history.failures)))

    def _spend(self) -> bool:
        """Take one retry out of the budget. False if there is none."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


def _may_be_to_blame(error: AnswerError, history: CallHistory, completed: int) -> bool:
    """The kernel kills the engine when memory runs out, over any call: only if others got through is it this one."""
    broke = history.durable and isinstance(error, BrokenOff | TimedOut)
    return broke and (completed > history.completed or not isinstance(error, Killed))
