"""The time in a recording, kept right where its timestamps are wrong."""

from transcription.errors import BadAudio

# As FFmpeg's own aresample (min_hard_comp): below it a timestamp is imprecise, above it sound is missing.
GAP = 0.1  # seconds


class Clock:
    """Counts the seconds of a recording. It never goes back, and raises past `max_hours`.

    A timestamp ahead of the clock means that sound is missing there (a pause of the recorder, a damaged part). A
    timestamp behind it means that the timestamps began anew (joined files, a resumed stream): from there on they are
    counted from the clock's time, so that no sound is lost.
    """

    def __init__(self, max_hours: float) -> None:
        self.now = 0.0
        self.begun = 0.0  # seconds at which the current part of the file began
        self._shift = 0.0
        self._max_hours = max_hours

    def ahead(self, time: float | None) -> float:
        """Seconds by which a timestamp is ahead of the clock; never below -GAP, except before 0."""
        if time is None:
            return 0.0
        ahead = time + self._shift - self.now
        if ahead < -GAP and time > 0:
            self._shift -= ahead
            return 0.0
        return ahead

    def place(self, time: float | None) -> float:
        """The time of a timestamp that may be wrong: not before the clock's time."""
        return self.now if time is None else max(self.now, time + self._shift)

    def restart(self) -> None:
        """Begin the next part: a joined file, whose timestamps begin at 0."""
        self.begun = self._shift = self.now

    def advance(self, seconds: float) -> None:
        """Go on by `seconds`. Raises BadAudio `too_long` as soon as the limit is passed."""
        self.now += seconds
        if self.now > self._max_hours * 3600:
            raise BadAudio("too_long", f"The recording is longer than {self._max_hours:g} hours.")
