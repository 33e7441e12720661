"""A transcript as a Word document."""

import re
import unicodedata
from datetime import UTC
from io import BytesIO

from django.utils.formats import date_format
from django.utils.timezone import localtime
from docx import Document
from docx.oxml import OxmlElement
from docx.shared import RGBColor
from docx.text.paragraph import Paragraph

from recordings.text import one_line
from recordings.transcripts.transcript import FullTranscript, clock
from recordings.transcripts.words import shown_text

NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MUTED = RGBColor(0x59, 0x59, 0x59)


def as_docx(transcript: FullTranscript) -> bytes:
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
            _mute(paragraph, f"{clock(segment.start, '.')[:8]}  ")
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
