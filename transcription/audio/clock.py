"""What time it is in a recording, whatever its timestamps say."""

from transcription.errors import BadAudio

# As FFmpeg's own aresample (min_hard_comp): below it a timestamp is imprecise, above it sound is missing.
GAP = 0.1  # seconds


class Clock:
    """Counts the seconds of a recording. It never runs backwards, and stops at `max_hours`.

    A timestamp that is ahead means that sound is missing there (a pause of the recorder, a damaged part).
    One that is behind means that the timestamps began anew (files joined, a stream taken up again): from
    there on they are counted from where we are, so that no sound is lost.
    """

    def __init__(self, max_hours: float) -> None:
        self.now = 0.0
        self.begun = 0.0  # when the part that is read began
        self._shift = 0.0
        self._max_hours = max_hours

    def ahead(self, time: float | None) -> float:
        """By how many seconds a timestamp is ahead of us; GAP behind at most, but for what lies before 0."""
        if time is None:
            return 0.0
        ahead = time + self._shift - self.now
        if ahead < -GAP and time > 0:
            self._shift -= ahead
            return 0.0
        return ahead

    def place(self, time: float | None) -> float:
        """When a timestamp is, which may be wrong: now at the earliest."""
        return self.now if time is None else max(self.now, time + self._shift)

    def restart(self) -> None:
        """Another file follows, whose timestamps begin at 0."""
        self.begun = self._shift = self.now

    def advance(self, seconds: float) -> None:
        """Raises BadAudio `too_long`, at the moment the limit is passed."""
        self.now += seconds
        if self.now > self._max_hours * 3600:
            raise BadAudio("too_long", f"The recording is longer than {self._max_hours:g} hours.")
