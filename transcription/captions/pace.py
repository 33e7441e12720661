"""The economy of live captions: how often partial recognitions may be made, so that final ones always fit.

One `Pace` serves all sessions of a process. It knows in how many of them someone speaks (K), how many calls the gate
lets in at once (L), and how long one takes (S), which it measures: a call's own time begins when there is room for it.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SHORTEST = 0.7  # seconds between partials, however idle the server is
SHARE = 0.7  # of the gate's time that partials may take
FULL = 0.9  # of the gate's time that partials and finals together may take
LEAST = 0.05  # of the gate's time; where less is left for partials, there are none
RISE, FALL = 0.2, 0.5  # weight of a longer and of a shorter service time in the mean: few are long for good
MEMORY = 30.0  # seconds over which the share of the finals is measured


@dataclass(eq=False)
class _Call:
    began: float
    ahead: int  # calls that must end before this one has room


class Pace:
    """`limit` says how many calls may be in flight now. Not for several threads."""

    def __init__(self, limit: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._speaking: set[object] = set()
        self._calls: list[_Call] = []
        self._service = 0.0
        self._finals = 0.0  # seconds of the gate that finals took lately, fading
        self._faded_at = clock()

    @property
    def service(self) -> float:
        """S: seconds that a call takes, of late; 0 before there was one."""
        return self._service

    def pause(self) -> float | None:
        """Seconds from one partial of a session to its next; None: no room, finals only."""
        room = min(SHARE, FULL - self._finals_share())
        if room < LEAST:
            return None
        return max(SHORTEST, len(self._speaking) * self._service / (self._places() * room))

    def speaks(self, session: object) -> None:
        """Someone speaks in this session now: K counts it. A silent one needs nothing, and slows nobody down."""
        self._speaking.add(session)

    def falls_silent(self, session: object) -> None:
        self._speaking.discard(session)

    @contextmanager
    def call(self, *, final: bool) -> Iterator[None]:
        """Around a recognition. One that raises says nothing of the service time, but makes room for others."""
        call = _Call(self._clock(), max(0, len(self._calls) + 1 - self._places()))
        self._calls.append(call)
        try:
            yield
            self._served(self._clock() - call.began, final)
        finally:
            self._leave(call)

    def _served(self, seconds: float, final: bool) -> None:
        """A final waits for as long as Whisper is away: all that it tells is how long a call takes at most."""
        if final:
            seconds = min(seconds, self._service)
        change = seconds - self._service
        self._service += change * (1.0 if not self._service else RISE if change > 0 else FALL)
        if final:
            self._fade()
            self._finals += self._service

    def _leave(self, call: _Call) -> None:
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
