"""Filters for templates: times, JSON, and names of languages."""

import json
from urllib.parse import quote, urlencode

from django import template
from django.utils.translation import get_language

from recordings.models import Transcription
from recordings.search.hits import Hit
from recordings.transcripts.sentences import text_language
from transcription.languages import LANGUAGES

register = template.Library()


@register.filter
def clock(seconds: float) -> str:
    """7:31 or 1:02:40."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@register.filter
def as_json(value: object) -> str:
    """Compact JSON, for a data attribute (the template escapes it)."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


@register.filter
def address(hit: Hit) -> str:
    """The fragment that leads to a hit on the page of its recording."""
    return "#" + urlencode({"t": f"{hit.start:.2f}", "q": hit.word}, quote_via=quote)


@register.filter
def spoken_in(hit: Hit, run: Transcription) -> str:
    """The `lang` attribute for the text of a hit in this transcription."""
    text = "".join(piece.text for piece in hit.pieces)
    return text_language(text, hit.segment.language or run.detected_language or run.language)


@register.filter
def language_name(code: str) -> str:
    """The name of a language in the reader's language. A code that Whisper does not have stays as it is."""
    if (language := LANGUAGES.get(code)) is None:
        return code
    return language.chinese if (get_language() or "").startswith("zh") else language.english


def language_names() -> list[tuple[str, str]]:
    """The code and the name of every language that Whisper knows, by the name in the reader's language."""
    return sorted(((code, language_name(code)) for code in LANGUAGES), key=lambda language: language[1])
