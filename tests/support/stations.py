"""Stations for tests of the gate."""

import math
from collections.abc import Callable

from transcription.limit import Limit
from transcription.live_share import LiveShare
from transcription.station import Station

PAUSE = 2.0  # seconds


class Shaky(Station):
    """A server that is away for PAUSE seconds after a call that did not reach it. Then one call goes as a trial.

    trials: how many there were.
    """

    def __init__(
        self, name: str, limit: Limit, clock: Callable[[], float], live_share: LiveShare | None = None
    ) -> None:
        super().__init__(name, limit, live_share)
        self._clock = clock
        self.back_at = -math.inf
        self.lost = self.on_trial = False
        self.trials = 0

    def away(self) -> float:
        return 0.25 if self.on_trial else max(0.0, self.back_at - self._clock())

    def begin(self) -> bool:
        self.on_trial = self.lost
        self.trials += self.lost
        return self.lost

    def end(self, trial: bool, reached: bool | None) -> None:
        self.on_trial = self.on_trial and not trial
        if reached:
            self.lost = False
        elif reached is False and (trial or not self.lost):
            self.lost, self.back_at = True, self._clock() + PAUSE
