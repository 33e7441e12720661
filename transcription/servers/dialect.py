"""How a Whisper server wants to be asked. Servers differ in address, model, format and the names of fields.

Most servers take the requests that OpenAI's service takes. The others, by their source code:

- whisper.cpp (examples/server/server.cpp) listens at /inference, or at its --inference-path. It takes speech for
  English unless the language is `auto`. A field makes it translate. It computes the probability of each language unless
  a field forbids it.
- vLLM (entrypoints/openai/speech_to_text) gives times for some models only, and newer versions only if the request
  names a language. Otherwise it refuses the format.
- vox-box (server/routers.py) reads `timestamp_granularities` without the brackets of OpenAI's name.
"""

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal
from urllib.parse import urlsplit

from transcription.errors import AnswerError, Misconfigured, Rejected, ServerError
from transcription.request import AsrRequest
from transcription.sentence import Sentence, _

ENDPOINT = "/audio/transcriptions"
DEFAULT_MODEL = "whisper-1"  # OpenAI's name, which servers with one model take for theirs
BRACKETS, NO_BRACKETS = "timestamp_granularities[]", "timestamp_granularities"
MOST_MODELS = 1000  # kept of a server's list
NAMED_MODELS = 20  # named in a sentence

Format = Literal["verbose_json", "json", "text"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to ask one server.

    url: where it takes audio. model: asked for if a request names no other.
    granularities: the names of the fields that ask for times of words and segments.
    wants_language: it gives times only if the request names a language.
    whisper_cpp: it takes the fields of whisper.cpp.
    models: the names in its list of models. LiteLLM and open-asr-server also list patterns: openai/*, tiny*
    """

    url: str
    model: str = DEFAULT_MODEL
    response_format: Format = "verbose_json"
    granularities: tuple[str, ...] = (BRACKETS,)
    wants_language: bool = False
    whisper_cpp: bool = False
    models: tuple[str, ...] = ()

    def address(self, request: AsrRequest) -> str:
        """The URL for a request."""
        translations = request.translate and not self.whisper_cpp
        return f"{self.url.removesuffix('transcriptions')}translations" if translations else self.url

    def fields(self, request: AsrRequest) -> dict[str, str | list[str]]:
        """The fields of a request's form, without the file."""
        times = self.response_format == "verbose_json" and (bool(request.language) or not self.wants_language)
        fields: dict[str, str | list[str]] = {
            "model": request.model or self.model,
            "response_format": "json" if self.response_format == "verbose_json" and not times else self.response_format,
            "temperature": str(request.temperature),
        }
        if times:
            fields |= {name: ["segment", "word"] for name in self.granularities}
        if self.whisper_cpp:
            fields |= {"language": "auto", "no_language_probabilities": "true"}
            fields |= {"translate": "true"} if request.translate else {}
        return fields | {name: value for name in ("language", "prompt") if (value := getattr(request, name))}

    @property
    def finding(self) -> Sentence:
        """What the administrator should know of the server."""
        if self.response_format != "verbose_json":
            return _(
                "Ready for the model {}, but it gives no times: words and subtitles have those of their sentence.",
                self.model,
            )
        if self.wants_language:
            return _("Ready for the model {}. It gives times only to recordings whose language is named.", self.model)
        return _("Ready for the model {}.", self.model)

    @property
    def lists_model(self) -> bool:
        """Whether the server's list has the model."""
        return any(fnmatchcase(self.model, pattern) for pattern in self.models)

    @property
    def model_finding(self) -> Sentence:
        """What the administrator should do if the server does not know the model."""
        if self.models:
            names = ", ".join(self.models[:NAMED_MODELS])
            return _("The Whisper server has no model {}. Name one of its models in ASR_MODEL: {}.", self.model, names)
        return _("The Whisper server does not know the model {}. Name one of its models in ASR_MODEL.", self.model)


# The requests that a server is offered, one after the other, until it takes one. The most detailed comes first.
VARIANTS: tuple[dict[str, Any], ...] = (
    {"granularities": (BRACKETS, NO_BRACKETS)},
    {"granularities": (BRACKETS,)},
    {"granularities": ()},
    {"granularities": (BRACKETS,), "wants_language": True},
    {"response_format": "json"},
    {"response_format": "text"},
)

Try = Callable[[Dialect], Awaitable[None]]  # sends a second of silence; raises `AnswerError`
Look = Callable[
    [str], Awaitable[tuple[bytes, str]]
]  # GETs an address: the body of a good answer, and the server's name


async def learn(url: str, model: str, attempt: Try, look: Look) -> Dialect:
    """The dialect in which a server takes a second of silence. A guess, if it refuses each for reasons of its own.

    url: the endpoint of the settings. model: the model of the settings; empty if they name none.
    Raises what `attempt` and `look` raise, and `Misconfigured` if the settings must be changed.
    """
    guess: Dialect | None = None
    refused: Misconfigured | None = None
    for place in _addresses(url):
        dialect = await _introduced(place, model, look)
        try:
            return await _suited(dialect, attempt)
        except Misconfigured as error:
            if error.what != "address":
                raise
            refused = refused or error
        except (Rejected, ServerError):
            guess = guess or (dialect if place == url else None)
    if guess is None and refused:
        raise refused
    return guess or Dialect(url, model or DEFAULT_MODEL)


async def _introduced(place: str, model: str, look: Look) -> Dialect:
    """The first dialect for an address: with the model of the settings, else the only model of the server."""
    openai = place.endswith(ENDPOINT)
    body, software = await look(f"{place.removesuffix(ENDPOINT)}/models") if openai else (b"", "")
    models = _models(body)
    names = [name for name in models if "*" not in name]
    only = names[0] if len(names) == 1 else DEFAULT_MODEL
    whisper_cpp = "whisper.cpp" in software.lower() or ENDPOINT not in place
    return Dialect(place, model or only, whisper_cpp=whisper_cpp, models=models)


async def _suited(dialect: Dialect, attempt: Try) -> Dialect:
    """The first variant that the server takes. Raises its first refusal if it takes none."""
    refused: AnswerError | None = None
    for variant in VARIANTS:
        offered = replace(dialect, **variant)
        try:
            await attempt(offered)
        except Misconfigured as error:
            if error.what not in ("format", "field"):
                raise
            refused = refused or error
        except (Rejected, ServerError) as error:
            refused = refused or error
        else:
            return offered
    raise refused or ServerError("The server was offered nothing.")


def _addresses(url: str) -> Iterator[str]:
    """The addresses at which the server may listen: that of the settings, with and without the path that was added to
    it, and those of OpenAI and of whisper.cpp."""
    base, parts = url.removesuffix(ENDPOINT), urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    places = [url, base, f"{origin}/v1{ENDPOINT}", f"{origin}/inference"]
    return (place for place in dict.fromkeys(places) if urlsplit(place).path not in ("", "/", "/v1"))


def _models(body: bytes) -> tuple[str, ...]:
    """The models in a list of OpenAI's form, without those that are not for the recognition of speech."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    found = (answer.get("data") or answer.get("models")) if isinstance(answer, dict) else answer
    entries = [
        entry if isinstance(entry, dict) else {"id": entry} for entry in (found if isinstance(found, list) else [])
    ]
    names = (entry.get("id") or entry.get("name") for entry in entries[:MOST_MODELS] if _hears(entry))
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str) and name))


def _hears(entry: dict[str, Any]) -> bool:
    """Whether the model may turn speech into text. speaches, Xinference and LiteLLM tell the purpose of a model."""
    told = " ".join(
        str(entry[name]) for name in ("task", "mode", "model_type", "model_ability") if entry.get(name)
    ).lower()
    other = (
        "text-to-speech",
        "text2audio",
        "audio_speech",
        "voice-activity",
        "speaker",
        "chat",
        "llm",
        "embed",
        "image",
    )
    return any(kind in told for kind in ("recognition", "transcri", "audio2text")) or not any(
        kind in told for kind in other
    )


def endpoint(url: str) -> str:
    """The URL for transcriptions, from a base URL such as the OpenAI SDK takes. A full URL is returned as it is.

    Raises ValueError if it is not an HTTP address.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not the address of a Whisper server, such as http://host:8000/v1.")
    base = url.strip().rstrip("/")
    return base if base.endswith(ENDPOINT) else base + ENDPOINT
