"""The fields of OpenAI's form, as its clients and other programs spell them.

A misspelt field of OpenAI's is refused, and its right name is told: ignoring it would give an answer without what was
asked for. Fields of other programs are ignored, except `hotwords` and those in ELSEWHERE.
"""

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from django.http import QueryDict
from pydantic import AfterValidator, BaseModel, Field

from recordings.text import Language, one_line
from transcription.writing import tail
from web.problems import Problem

PROMPT = 2_000  # characters; OpenAI, too, reads only the end of a longer one (see `text.Prompt`)

FIELDS = {"file", "model", "language", "prompt", "response_format", "temperature", "stream", "chunking_strategy"} | {
    "track"  # of ours
}
LISTS = {
    *("timestamp_granularities", "include", "keywords", "languages"),
    *("known_speaker_names", "known_speaker_references"),
}
# The fields' names in other programs' APIs, without underscores.
OTHER_NAMES = {
    **dict.fromkeys(("lang", "languagecode", "sourcelanguage", "locale"), "language"),
    **dict.fromkeys(("format", "outputformat", "output", "responsetype"), "response_format"),
    **dict.fromkeys(("granularity", "granularities", "timestamp", "timestamps"), "timestamp_granularities[]"),
    **dict.fromkeys(("wordtimestamps", "timestamplevel", "timestamptype"), "timestamp_granularities[]"),
    **dict.fromkeys(("modelname", "modelid", "modelsize"), "model"),
    **dict.fromkeys(("initialprompt", "context"), "prompt"),
    **dict.fromkeys(("temp",), "temperature"),
    **dict.fromkeys(("streaming",), "stream"),
}
# Fields by which faster-whisper, whisper.cpp and others are tuned. They can be ignored, since no answer lacks anything
# without them. They stand here because some look like a misspelt field of OpenAI's.
TUNING = {"temperature_inc", "temperature_increment_on_fallback", "best_of", "beam_size", "vad_filter", "user", "seed"}
# Fields whose work is done elsewhere: the values that ask for nothing, and where to ask instead.
ELSEWHERE = {
    "task": ({"transcribe"}, "Ask /v1/audio/translations for a translation."),
    "translate": ({"false", "0", "no"}, "Ask /v1/audio/translations for a translation."),
    "diarize": ({"false", "0", "no"}, "Speakers are not told apart here."),
}
ALIKE = 0.8  # difflib's ratio of a misspelling: promt, respons_format and languge are above it, user and seed below

_BY_LETTERS = {name.replace("_", ""): name if name in FIELDS else f"{name}[]" for name in FIELDS | LISTS}


class OpenAIOptions(BaseModel):
    """The fields that say how to hear and what to answer. OpenAI has more, for models of its own; they are ignored."""

    model: Annotated[str, Field(max_length=128, pattern=r"^[\w.:/@+-]*$")] = ""
    language: Language = ""
    languages: Annotated[list[Language], Field(alias="languages[]", description="Used where there is but one.")] = []
    prompt: Annotated[str, AfterValidator(lambda text: tail(one_line(text), PROMPT))] = ""
    keywords: Annotated[list[str], Field(alias="keywords[]", description="Added to the prompt.")] = []
    hotwords: Annotated[str, Field(description="Added to the prompt.")] = ""
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = "json"
    granularities: Annotated[set[Literal["segment", "word"]], Field(alias="timestamp_granularities[]")] = {"segment"}
    stream: bool = False
    track: Annotated[int, Field(ge=0, le=999, description="The sound track, from 1; 0: all that belong together.")] = 0

    @property
    def spoken(self) -> str:
        """Whisper's code of the spoken language; empty: to be found out."""
        return self.language or (self.languages[0] if len(self.languages) == 1 else "")

    @property
    def expected(self) -> str:
        """The prompt for Whisper: all words that the caller expects, on one line of at most PROMPT characters."""
        return tail(one_line(", ".join(filter(None, [*self.keywords, self.hotwords, self.prompt]))), PROMPT)


def read_options(form: QueryDict) -> OpenAIOptions:
    """The options of a form. An empty field counts as none, since forms send empty ones.

    Raises Problem 400 for a field that is misspelt, or whose work is done elsewhere, and pydantic's ValidationError for
    a wrong value.
    """
    values: dict[str, Any] = {}
    for name, sent in form.lists():
        if given := [value for value in map(str, sent) if value]:
            field = _field(name, given[-1])
            if field in LISTS:
                if items := list(_items(given)):
                    values.setdefault(f"{field}[]", []).extend(items)
            else:
                values[field] = given[-1]
    return OpenAIOptions.model_validate(values)


def _field(name: str, value: str) -> str:
    """The field that a name of the form means, without brackets."""
    field, bracket, rest = name.partition("[")
    if field in LISTS and re.fullmatch(r"(\[\d*\])?", bracket + rest):  # keywords, keywords[], keywords[0]
        return field
    if (field in FIELDS and not bracket) or field == "chunking_strategy":  # which may be an object: …[type]
        return field
    if field in ELSEWHERE and value.lower() not in ELSEWHERE[field][0]:
        raise Problem("unsupported_value", param=name, name=name, instead=ELSEWHERE[field][1])
    if field not in TUNING and (meant := _resembled(field)):
        raise Problem("unknown_parameter", param=name, name=name, meant=meant)
    return field


def _resembled(name: str) -> str | None:
    """OpenAI's field of which a name is a misspelling: responseFormat, Response-Format, respons_format, lang."""
    letters = re.sub(r"[\W_]", "", name.lower())
    if letters in OTHER_NAMES:
        return OTHER_NAMES[letters]
    alike = get_close_matches(letters, _BY_LETTERS, 1, ALIKE)
    return _BY_LETTERS[alike[0]] if alike else None


def _items(values: list[str]) -> Iterator[str]:
    """The items of a list: sent as several fields of one name, as JSON, or separated by commas."""
    for value in values:
        try:
            items = json.loads(value)
        except ValueError:
            items = value.split(",")
        for item in items if isinstance(items, list) else [value]:
            if item := str(item).strip():
                yield item
