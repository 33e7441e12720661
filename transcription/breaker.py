"""The circuit breaker of one Whisper server: it keeps calls away from a server that cannot be reached."""

import threading
import time
from collections.abc import Callable
from typing import Literal

from .errors import Evicted

FAILURES_TO_OPEN = 3  # in a row: one refused connection may be a restart, three are an outage
FIRST_PAUSE = 1.0  # seconds between opening and the first trial; doubles with each trial that fails
LONGEST_PAUSE = 60.0  # seconds: the end of an outage is noticed within a minute

BreakerState = Literal["closed", "open", "half-open"]


class Breaker:
    """Lets calls go to a server (closed), none (open), or one trial (half-open). Safe to use from any thread.

    A few failures in a row open the breaker. After a pause it lets one call go as a trial. A trial that reaches the
    server closes the breaker. A trial that fails opens it again, for twice as long. A trial that gets no answer in time
    says nothing: the next call is a trial again.

    clock: monotonic seconds; `open_since` and `retry_at` are times of it.
    steady: the latest call that could tell was answered.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._on_trial = False
        self.steady = True
        self.open_since: float | None = None
        self.retry_at = 0.0

    @property
    def state(self) -> BreakerState:
        if self.open_since is None:
            return "closed"
        return "half-open" if self._on_trial else "open"

    def allows(self) -> bool:
        """Whether a call may go now."""
        return self.open_since is None or (not self._on_trial and self.clock() >= self.retry_at)

    def start(self) -> bool:
        """Note that a call goes. True if the call is a trial. The caller must call `finish()` afterwards.

        Raises `Evicted` if no call may go, for instance because another thread has just begun the trial.
        """
        with self._lock:
            if not self.allows():
                raise Evicted("The server cannot be reached.")
            trial = self.open_since is not None
            self._on_trial = trial
            return trial

    def finish(self, trial: bool, reached: bool | None) -> bool:
        """Note how a call ended. Returns True if that opened the breaker.

        trial: what `start()` returned.
        reached: whether the call reached the server; None if that is not known.
        """
        with self._lock:
            self._on_trial = self._on_trial and not trial
            if reached is not None:
                self.steady = reached
            if reached:
                self._failures, self.open_since = 0, None
            if reached is not False or (self.open_since is not None and not trial):
                return False  # a call that was under way when the breaker opened says nothing new
            self._failures += 1
            if self._failures < FAILURES_TO_OPEN:
                return False
            now = self.clock()
            opened = self.open_since is None
            self.open_since = now if self.open_since is None else self.open_since
            self.retry_at = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(16, self._failures - FAILURES_TO_OPEN))
            return opened

    def silent(self) -> None:
        """Note that a call has no answer in time. The call still ends later, with `finish()`."""
        self.steady = False
