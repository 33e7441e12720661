"""The text of a whole recording, from which pages, programs and exports read."""

from collections.abc import Sequence
from dataclasses import dataclass

from recordings.models import Recording, Segment, Transcription
from recordings.transcripts.cues import Cue, cues
from recordings.transcripts.words import shown_text, shown_words
from transcription.writing import join


@dataclass(frozen=True, slots=True)
class FullTranscript:
    """A transcription with the segments that it shows, in order."""

    recording: Recording
    transcription: Transcription
    segments: Sequence[Segment]

    @property
    def language(self) -> str | None:
        return self.transcription.detected_language or self.transcription.language or None

    @property
    def text(self) -> str:
        return join(map(shown_text, self.segments))

    @property
    def cues(self) -> list[Cue]:
        return cues(map(shown_words, self.segments))


def clock(seconds: float, point: str) -> str:
    """A time as 01:02:03.450, with this decimal point."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{milliseconds:03}"
