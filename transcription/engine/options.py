"""The fields of a request to the embedded Whisper server, read and checked."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from transcription import languages

FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
GRANULARITIES = {"segment", "word"}


class RequestError(HTTPException):
    """A request that the server refuses, with OpenAI's `param` and `code`."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None):
        # After 413 the rest of the body is not read, so nothing else can come over this connection.
        super().__init__(status, message, {"Connection": "close"} if status == 413 else None)
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The fields of a request, checked."""

    task: str
    language: str | None
    prompt: str | None
    temperature: float
    response_format: str
    words: bool


def read_options(form: FormData, task: str, name: str, knows: Callable[[str], bool]) -> EngineOptions:
    """The options of a form. name: that of the model; knows: whether it knows a language. Raises RequestError."""

    def field(key: str) -> str:
        value = form.get(key)
        return value.strip() if isinstance(value, str) else ""

    if (model := field("model")) not in ("", name, "whisper-1"):
        message = f"There is no model {model!r} here; this server has {name!r}."
        raise RequestError(404, message, param="model", code="model_not_found")
    language = languages.code(field("language"))
    if language is None or (language and not knows(language)):
        message = f"The model {name!r} knows no language {field('language')!r}."
        raise RequestError(400, message, param="language")
    response_format = field("response_format") or "json"
    if response_format not in FORMATS:
        message = f"There is no format {response_format!r}; there are {', '.join(FORMATS)}."
        raise RequestError(400, message, param="response_format")
    granularities = {str(value) for value in form.getlist("timestamp_granularities[]")}
    if unknown := granularities - GRANULARITIES:
        message = f"Timestamps come by 'segment' or 'word', not by {', '.join(map(repr, sorted(unknown)))}."
        raise RequestError(400, message, param="timestamp_granularities[]")
    return EngineOptions(
        task=task,
        language=language or None,
        prompt=field("prompt") or None,
        temperature=_temperature(field("temperature")),
        response_format=response_format,
        words="word" in granularities,
    )


def _temperature(value: str) -> float:
    try:
        temperature = float(value or 0)
    except ValueError:
        temperature = -1
    if not 0 <= temperature <= 1:
        raise RequestError(400, f"A temperature is a number from 0 to 1, not {value!r}.", param="temperature")
    return temperature
