"""A transcript as a file: json, txt, srt, vtt, md. What people wrote stays text in each of them."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recordings.cues import Cue, cues
from recordings.models import Recording, Segment, Transcription
from recordings.text import one_line
from recordings.transcript import join, shown_text, tokens


@dataclass(frozen=True, slots=True)
class Transcript:
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
        return cues(map(tokens, self.segments))


def as_json(transcript: Transcript) -> str:
    segments = [segment_json(segment) for segment in transcript.segments]
    return json.dumps(
        {
            "text": transcript.text,
            "language": transcript.language,
            "duration": transcript.recording.duration,
            "transcription": transcript.transcription.pk,
            "segments": segments,
        },
        ensure_ascii=False,
    )


def segment_json(segment: Segment) -> dict[str, Any]:
    """A corrected segment's words are those of the correction: their times are found, their probability is not."""
    words = segment.words
    if segment.correction is not None:
        words = [
            {"start": t.start, "end": t.end, "word": " " * t.spaced + t.text, "probability": None}
            for t in tokens(segment)
        ]
    return {
        "index": segment.index,
        "start": segment.start,
        "end": segment.end,
        "text": shown_text(segment),
        "machine_text": None if segment.correction is None else segment.text,
        "version": segment.version,
        "words": words,
    }


def as_txt(transcript: Transcript) -> str:
    """A paragraph for each segment that says something."""
    return "".join(f"{text}\n" for text in map(shown_text, transcript.segments) if text)


# SubRip has no escapes, and players read tags in angle brackets, braces and backslashes: the full-width signs that
# look the same are only signs.
SRT_SAFE = str.maketrans("<>{}\\", "＜＞｛｝＼")


def as_srt(transcript: Transcript) -> str:
    blocks = (_cue(cue, ",", SRT_SAFE) for cue in transcript.cues)
    return "".join(f"{number}\n{block}" for number, block in enumerate(blocks, 1))


VTT_SAFE = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def as_vtt(transcript: Transcript) -> str:
    return "WEBVTT\n\n" + "".join(_cue(cue, ".", VTT_SAFE) for cue in transcript.cues)


def _cue(cue: Cue, point: str, safe: Mapping[int, str | int]) -> str:
    lines = "\n".join(cue.lines).translate(safe)
    return f"{_clock(cue.start, point)} --> {_clock(cue.end, point)}\n{lines}\n\n"


def as_md(transcript: Transcript) -> str:
    """A title, then a paragraph for each segment, after the time it begins at: no text stands first on a line."""
    paragraphs = (
        f"**{_clock(segment.start, '.')[:8]}** {_markdown(text)}\n"
        for segment in transcript.segments
        if (text := shown_text(segment))
    )
    return "\n".join([f"# {_markdown(one_line(transcript.recording.title))}\n", *paragraphs])


FORMATS: dict[str, tuple[str, Callable[[Transcript], str]]] = {
    "json": ("application/json", as_json),
    "txt": ("text/plain", as_txt),
    "srt": ("application/x-subrip", as_srt),
    "vtt": ("text/vtt", as_vtt),
    "md": ("text/markdown", as_md),
}


def _clock(seconds: float, point: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{milliseconds:03}"


def _markdown(text: str) -> str:
    """Escape what is markup inside a line, and what GitHub makes a link of by itself."""
    text = re.sub(r"[\\`*_\[\]<>&~|$#!]", r"\\\g<0>", text)
    return re.sub(r"(?<=\w)(:(?=//)|@)|(?<=\bwww)\.", r"\\\g<0>", text)
