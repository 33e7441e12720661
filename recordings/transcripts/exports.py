"""A transcript as a file: json, txt, srt, vtt, md, docx. What people wrote stays text in each of them."""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from io import BytesIO
from typing import Any

from django.utils.formats import date_format
from django.utils.timezone import localtime
from docx import Document
from docx.oxml import OxmlElement
from docx.shared import RGBColor
from docx.text.paragraph import Paragraph

from recordings.models import Recording, Segment, Transcription
from recordings.text import one_line
from recordings.transcripts.cues import Cue, cues
from recordings.transcripts.transcript import shown_text, tokens
from transcription.writing import join


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
    """Written segment by segment: `json.dumps` of the whole would hold the interpreter's lock for all of its time."""
    head = {
        "text": transcript.text,
        "language": transcript.language,
        "duration": transcript.recording.duration,
        "transcription": transcript.transcription.pk,
    }
    segments = ", ".join(_json(segment_json(segment)) for segment in transcript.segments)
    return f'{_json(head)[:-1]}, "segments": [{segments}]}}'


_json = partial(json.dumps, ensure_ascii=False)


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


NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MUTED = RGBColor(0x59, 0x59, 0x59)


def as_docx(transcript: Transcript) -> bytes:
    """As `as_md`, with the day of the recording under the title, in the reader's language."""
    title, made_at = one_line(transcript.recording.title), localtime(transcript.recording.created_at)
    document = Document()
    about = document.core_properties
    about.title, about.author, about.comments = title, "", ""
    about.created = about.modified = made_at.astimezone(UTC).replace(tzinfo=None)  # the format knows no zones
    _write(document.add_heading(level=0), title)
    _mute(document.add_paragraph(), date_format(made_at, "DATE_FORMAT"))
    for segment in transcript.segments:
        if text := shown_text(segment):
            paragraph = document.add_paragraph()
            _mute(paragraph, f"{_clock(segment.start, '.')[:8]}  ")
            _write(paragraph, text)
    file = BytesIO()
    document.save(file)
    return file.getvalue()


def _mute(paragraph: Paragraph, text: str) -> None:
    paragraph.add_run(text).font.color.rgb = MUTED


def _write(paragraph: Paragraph, text: str) -> None:
    """A script that is written from the right gets a paragraph that begins there."""
    run = paragraph.add_run(NOT_XML.sub(" ", text))
    strong = (unicodedata.bidirectional(character) for character in text)
    if next((side for side in strong if side in {"L", "R", "AL"}), "L") != "L":
        paragraph._p.get_or_add_pPr().append(OxmlElement("w:bidi"))
        run.font.rtl = True


FORMATS: dict[str, tuple[str, Callable[[Transcript], str | bytes]]] = {
    "json": ("application/json", as_json),
    "txt": ("text/plain", as_txt),
    "srt": ("application/x-subrip", as_srt),
    "vtt": ("text/vtt", as_vtt),
    "md": ("text/markdown", as_md),
    "docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", as_docx),
}


def _clock(seconds: float, point: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{milliseconds:03}"


_MARKUP = re.compile(r"[\\`*_\[\]<>&~|$#!]")
_ADDRESS = re.compile(r"(?<=\w)(:(?=//)|@)|(?<=\bwww)\.")  # GitHub makes links of these by itself


def _markdown(text: str) -> str:
    """The text with all that is markup inside of a line escaped."""
    return _ADDRESS.sub(r"\\\g<0>", _MARKUP.sub(r"\\\g<0>", text))
