"""How fast a server answers calls: the mean over a window, and how much calls differ from one another."""

import math

SPREAD, SPREAD_CALLS = 0.3, 20  # the first guess of the standard deviation, and the calls that it weighs
LATEST_CALLS = 200  # on which the variance looks back, over all windows


class Speed:
    """Statistics of speeds. The speed of a call is the log of its audio seconds per second in the server.

    mean: over the `calls` of the window.
    variance: of the speed of one call, from differences within windows (Welford 1962).
    """

    def __init__(self) -> None:
        self.variance = SPREAD**2
        self._weight = SPREAD_CALLS
        self.begin()

    def begin(self) -> None:
        """Begin another window."""
        self.calls, self.mean = 0, 0.0

    def add(self, audio_seconds: float, seconds: float) -> None:
        self.calls += 1
        speed = math.log(max(audio_seconds, 1e-6) / max(seconds, 1e-6))
        off = speed - self.mean
        self.mean += off / self.calls
        if self.calls > 1:
            spread = min(max(off * (speed - self.mean), 1e-4), 1.0)
            self._weight = min(self._weight + 1, LATEST_CALLS)
            self.variance += (spread - self.variance) / self._weight
