"""A transcript as a file: json, txt, srt, vtt, md, docx. Markup in a text is escaped, so it stays text."""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from recordings.models import Segment
from recordings.text import download_name, one_line
from recordings.transcripts.cues import Cue
from recordings.transcripts.docx_file import as_docx
from recordings.transcripts.transcript import FullTranscript, clock
from recordings.transcripts.words import heard_words, shown_text, shown_words


def as_json(transcript: FullTranscript) -> str:
    """The JSON transcript, written by segments: one `json.dumps` would hold the interpreter's lock long."""
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
    """A segment as JSON. The words of a corrected one are those of the correction, with times and no probability."""
    words = heard_words(segment)
    if segment.correction is not None:
        words = [
            {"start": t.start, "end": t.end, "word": " " * t.spaced + t.text, "probability": None}
            for t in shown_words(segment)
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


def as_txt(transcript: FullTranscript) -> str:
    """A paragraph for each segment that says something."""
    return "".join(f"{text}\n" for text in map(shown_text, transcript.segments) if text)


# SubRip has no escapes, and players read tags in angle brackets, braces and backslashes: the full-width signs that
# look the same are only signs.
SRT_SAFE = str.maketrans("<>{}\\", "＜＞｛｝＼")


def as_srt(transcript: FullTranscript) -> str:
    blocks = (_cue(cue, ",", SRT_SAFE) for cue in transcript.cues)
    return "".join(f"{number}\n{block}" for number, block in enumerate(blocks, 1))


VTT_SAFE = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def as_vtt(transcript: FullTranscript) -> str:
    return "WEBVTT\n\n" + "".join(_cue(cue, ".", VTT_SAFE) for cue in transcript.cues)


def _cue(cue: Cue, point: str, safe: Mapping[int, str | int]) -> str:
    lines = "\n".join(cue.lines).translate(safe)
    return f"{clock(cue.start, point)} --> {clock(cue.end, point)}\n{lines}\n\n"


def as_md(transcript: FullTranscript) -> str:
    """A title, then a paragraph for each segment, after the time it begins at: no text stands first on a line."""
    paragraphs = (
        f"**{clock(segment.start, '.')[:8]}** {_markdown(text)}\n"
        for segment in transcript.segments
        if (text := shown_text(segment))
    )
    return "\n".join([f"# {_markdown(one_line(transcript.recording.title))}\n", *paragraphs])


FORMATS: dict[str, tuple[str, Callable[[FullTranscript], str | bytes]]] = {
    "json": ("application/json", as_json),
    "txt": ("text/plain", as_txt),
    "srt": ("application/x-subrip", as_srt),
    "vtt": ("text/vtt", as_vtt),
    "md": ("text/markdown", as_md),
    "docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", as_docx),
}


_MARKUP = re.compile(r"[\\`*_\[\]<>&~|$#!]")
_ADDRESS = re.compile(r"(?<=\w)(:(?=//)|@)|(?<=\bwww)\.")  # GitHub makes links of these by itself


def _markdown(text: str) -> str:
    """The text with all that is markup inside of a line escaped."""
    return _ADDRESS.sub(r"\\\g<0>", _MARKUP.sub(r"\\\g<0>", text))


def file_response(transcript: FullTranscript, format: str) -> HttpResponse:
    """The transcript in one of FORMATS, as a response: a file to keep, but for json."""
    media_type, write = FORMATS[format]
    content = write(transcript)
    response = HttpResponse(content, media_type + ("; charset=utf-8" if isinstance(content, str) else ""))
    if format != "json":
        name = download_name(transcript.recording.title, f".{format}")
        response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return response
