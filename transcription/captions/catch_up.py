"""Sound that comes faster than people speak, because it was kept while the connection was lost."""

from collections.abc import Callable

LEAK = 1.5  # seconds of sound that leave the bucket in a second: a little more than people speak
STEADY = 1.0  # seconds of sound in the bucket; less is only an unsteady network
MOST = 2.0  # seconds of sound in the bucket, at most


class CatchUp:
    """A leaky bucket that sound falls into. While it holds more than STEADY, the newest sound is old speech."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._level = 0.0
        self._pushed_at = clock()

    def add(self, seconds: float) -> None:
        """Note that so much sound came now."""
        now = self._clock()
        leaked = LEAK * (now - self._pushed_at)
        self._level, self._pushed_at = min(max(0.0, self._level - leaked) + seconds, MOST), now

    @property
    def left(self) -> float:
        """Seconds until the newest sound is speech of this moment again; 0 or less: it is."""
        return (self._level - STEADY) / LEAK - (self._clock() - self._pushed_at)
