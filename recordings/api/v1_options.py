"""What a caller of /v1 asks for: the fields of OpenAI's form, as its clients and other programs spell them.

A field of OpenAI's in another spelling is refused by its name, not ignored: the caller would get an answer without
what was asked for. Fields of other programs are ignored, but for those in `ELSEWHERE` and `hotwords`.
"""

import json
import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from django.http import QueryDict
from pydantic import AfterValidator, BaseModel, Field

from recordings.text import Language, one_line
from transcription.writing import tail
from web.problems import Problem

DEFAULT_MODEL = "whisper-1"
PROMPT = 2_000  # characters; OpenAI, too, reads only the end of a longer one (see `text.Prompt`)

# --- Fields ------------------------------------------------------------------------------------

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
# Fields of faster-whisper, whisper.cpp and others that tune how they hear: nothing that is asked for is missing where
# they are ignored, though some are spelt like a field of OpenAI's.
TUNING = {"temperature_inc", "temperature_increment_on_fallback", "best_of", "beam_size", "vad_filter", "user", "seed"}
# Fields that ask for what another field or address does: their values that ask for nothing, and where to ask instead.
ELSEWHERE = {
    "task": ({"transcribe"}, "Ask /v1/audio/translations for a translation."),
    "translate": ({"false", "0", "no"}, "Ask /v1/audio/translations for a translation."),
    "diarize": ({"false", "0", "no"}, "Speakers are not told apart here."),
}
ALIKE = 0.8  # of difflib's ratio: promt, respons_format and languge are above it, user, seed and vad_filter under it

_BY_LETTERS = {name.replace("_", ""): name if name in FIELDS else f"{name}[]" for name in FIELDS | LISTS}


class Options(BaseModel):
    """The fields that say how to hear and what to answer; others of OpenAI's are for other models, and ignored."""

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
        """Whisper's code of the language; "": to be found out."""
        return self.language or (self.languages[0] if len(self.languages) == 1 else "")

    @property
    def expected(self) -> str:
        """Everything that the caller says about the words to come, on one line of at most PROMPT characters."""
        return tail(one_line(", ".join(filter(None, [*self.keywords, self.hotwords, self.prompt]))), PROMPT)


def read_options(form: QueryDict) -> Options:
    """Raises Problem 400 for a field that is spelt otherwise or asks for what is elsewhere, and pydantic's
    ValidationError for a value. An empty field is as none: forms send those."""
    values: dict[str, Any] = {}
    for name, sent in form.lists():
        if given := [value for value in map(str, sent) if value]:
            field = _field(name, given[-1])
            if field in LISTS:
                if items := list(_items(given)):
                    values.setdefault(f"{field}[]", []).extend(items)
            else:
                values[field] = given[-1]
    return Options.model_validate(values)


def _field(name: str, value: str) -> str:
    """The field that a name in the form means, without brackets."""
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
    """OpenAI's field that a name is another spelling of: responseFormat, Response-Format, respons_format, lang."""
    letters = re.sub(r"[\W_]", "", name.lower())
    if letters in OTHER_NAMES:
        return OTHER_NAMES[letters]
    alike = get_close_matches(letters, _BY_LETTERS, 1, ALIKE)
    return _BY_LETTERS[alike[0]] if alike else None


def _items(values: list[str]) -> Iterator[str]:
    """The items of a list that comes as fields of one name, as JSON, or parted by commas."""
    for value in values:
        try:
            items = json.loads(value)
        except ValueError:
            items = value.split(",")
        for item in items if isinstance(items, list) else [value]:
            if item := str(item).strip():
                yield item


# --- Models ------------------------------------------------------------------------------------

# OpenAI's names, dated ones too: gpt-4o-mini-transcribe-2025-12-15, gpt-live-transcribe, gpt-4o-transcribe-diarize.
_OPENAI = re.compile(r"whisper-1|gpt-(?:[\w.]+-)*transcribe(?:-[\w.]+)*")
# The names of Whisper's sizes and of the forms in which people publish them: openai/whisper-large-v3-turbo,
# Systran/faster-distil-whisper-small.en, ggml-base-q5_1.bin, large-v3.
_WHISPER = re.compile(
    r"(?:[\w.@-]+/)*(?:(?:ggml|faster|distil|mlx|whisper|openai)[-_])*"
    r"(?:whisper|(?:whisper-)?v[1-3]|tiny|base|small|medium|large|turbo)"
    r"(?:[-_.](?:v[1-3](?:\.5)?|turbo|en|ct2|ggml|mlx|bin|onnx|int8|fp16|float16|\d+bit|q\d(?:_\w)?))*"
)


def asked_model(name: str, there: Collection[str]) -> str:
    """The model to ask a Whisper server for; "" for the one that the settings choose.

    Programs and examples are full of OpenAI's and Whisper's usual names. They mean the settings' model, unless the
    servers have (`there`) that very one.
    """
    if name in there or not stands_for_default(name):
        return name
    return ""


def stands_for_default(name: str) -> bool:
    return bool(_OPENAI.fullmatch(name.lower()) or _WHISPER.fullmatch(name.lower()))
