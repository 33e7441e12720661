"""The pace of live captions: how often partial recognitions may be made, so that final ones always fit.

One `Pace` serves all sessions of a process. It knows the number of sessions in which somebody speaks (K), the limit of
the gate (L), and the time that a call takes (S). It measures S without the wait: from the moment when there is room
for the call.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SHORTEST = 0.7  # seconds between partials, however idle the server is
SHARE = 0.7  # the part of the gate's time that partials may take
FULL = 0.9  # the part of the gate's time that partials and finals together may take
LEAST = 0.05  # the part of the gate's time; if less is left for partials, none are made
RISE, FALL = 0.2, 0.5  # weights of a longer and a shorter call in the mean of S: long ones are mostly exceptions
MEMORY = 30.0  # seconds over which the share of the finals is measured


@dataclass(eq=False)
class _PacedCall:
    began: float
    ahead: int  # calls that must end before there is room for this one


class Pace:
    """`limit` returns the limit of the gate now. Not thread-safe."""

    def __init__(self, limit: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._speaking: set[object] = set()
        self._calls: list[_PacedCall] = []
        self._service = 0.0
        self._finals = 0.0  # seconds of the gate that finals took lately; older ones fade exponentially
        self._faded_at = clock()

    @property
    def service(self) -> float:
        """S: the seconds that a call takes, as a moving mean; 0 before the first call."""
        return self._service

    def pause(self) -> float | None:
        """Seconds from one partial of a session to the next: max(SHORTEST, K·S / (L·share)). None: finals only."""
        room = min(SHARE, FULL - self._finals_share())
        if room < LEAST:
            return None
        return max(SHORTEST, len(self._speaking) * self._service / (self._places() * room))

    def speaks(self, session: object) -> None:
        """Count this session in K: somebody speaks in it. Silent sessions make no calls, so they are not counted."""
        self._speaking.add(session)

    def falls_silent(self, session: object) -> None:
        self._speaking.discard(session)

    @contextmanager
    def call(self, *, final: bool) -> Iterator[None]:
        """Measure the recognition inside the `with`. One that raises does not count for S, but makes room."""
        call = _PacedCall(self._clock(), max(0, len(self._calls) + 1 - self._places()))
        self._calls.append(call)
        try:
            yield
            self._served(self._clock() - call.began, final)
        finally:
            self._leave(call)

    def _served(self, seconds: float, final: bool) -> None:
        """Add a call to the mean. The time of a final includes waits for an absent server, so it can only lower S."""
        if final:
            seconds = min(seconds, self._service)
        change = seconds - self._service
        self._service += change * (1.0 if not self._service else RISE if change > 0 else FALL)
        if final:
            self._fade()
            self._finals += self._service

    def _leave(self, call: _PacedCall) -> None:
        place = self._calls.index(call)
        del self._calls[place]
        for later in self._calls[place:]:
            if later.ahead:
                later.ahead -= 1
                later.began = self._clock()

    def _finals_share(self) -> float:
        self._fade()
        return self._finals / (MEMORY * self._places())

    def _fade(self) -> None:
        now = self._clock()
        self._finals *= math.exp((self._faded_at - now) / MEMORY)
        self._faded_at = now

    def _places(self) -> int:
        return max(1, self._limit())
