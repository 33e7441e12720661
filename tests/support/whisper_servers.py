"""Small stand-ins for the Whisper servers of other makers. They accept and refuse the same requests.

Each follows the source of its project, which its docstring names. They are real HTTP servers on this machine.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

Form = dict[str, list[str]]


class Standin(ABC):
    """Base of the stand-ins. `forms`: the fields of all requests with a file, in order."""

    path = "/v1/audio/transcriptions"
    models: list[dict[str, Any]] | None = None  # None: the server has no list of models
    headers: dict[str, str] = {}

    def __init__(self) -> None:
        self.forms: list[Form] = []
        self.url = ""

    @abstractmethod
    def transcribe(self, form: Form) -> Response:
        """The answer to a request with a file."""

    def missing(self, path: str) -> Response:
        return JSONResponse({"detail": "Not Found"}, 404)

    @property
    def fields(self) -> Form:
        """The fields of the latest request."""
        return self.forms[-1]

    async def handle(self, request: Request) -> Response:
        response = await self._response(request)
        response.headers.update(self.headers)
        return response

    async def _response(self, request: Request) -> Response:
        if request.url.path == "/v1/models" and request.method == "GET" and self.models is not None:
            return JSONResponse({"object": "list", "data": self.models})
        if request.url.path != self.path or request.method != "POST":
            return self.missing(request.url.path)
        form: FormData = await request.form()
        fields = {name: [str(value) for value in form.getlist(name)] for name in form if name != "file"}
        if "file" not in form:
            return self.without_file()
        self.forms.append(fields)
        return self.transcribe(fields)

    def without_file(self) -> Response:
        return JSONResponse({"detail": [{"type": "missing", "loc": ["body", "file"], "msg": "Field required"}]}, 422)


def field(form: Form, name: str, default: str = "") -> str:
    return form.get(name, [default])[-1]


def words_of(*words: str) -> list[dict[str, Any]]:
    return [
        {"word": f" {word}", "start": 0.2 * n, "end": 0.2 * n + 0.2, "probability": 0.9} for n, word in enumerate(words)
    ]


SEGMENT = {"id": 0, "start": 0.0, "end": 1.0, "text": " Hello there.", "avg_logprob": -0.2, "no_speech_prob": 0.1}


class WhisperCpp(Standin):
    """whisper.cpp 1.9, examples/server/server.cpp. It has one path, takes sound for English by default, and gives
    tokens in the place of words."""

    headers = {"Server": "whisper.cpp"}

    def __init__(self, path: str = "/inference") -> None:
        super().__init__()
        self.path = path

    def missing(self, path: str) -> Response:
        return PlainTextResponse(f"File Not Found ({path})", 404)

    def without_file(self) -> Response:
        return JSONResponse({"error": "no 'file' field in the request"}, 400)

    def transcribe(self, form: Form) -> Response:
        german = field(form, "language", "en") in ("auto", "de")
        tokens = (" Gut", "en", " Tag", ".") if german else (" Good", " day", ".")
        words = [timed | {"word": token} for timed, token in zip(words_of(*tokens), tokens, strict=True)]
        text = "".join(tokens)
        if field(form, "response_format", "json") != "verbose_json":
            return JSONResponse({"text": f"{text}\n"})
        language = "german" if german else "english"
        answer = {"task": "transcribe", "language": language, "duration": 1.0, "text": f"{text}\n"}
        return JSONResponse(answer | {"segments": [SEGMENT | {"text": text, "words": words}]})


class Speaches(Standin):
    """speaches (src/speaches/routers/{stt,models,utils}.py). A model must be installed before it is used. The list has
    models of other kinds, too."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.models = [{"id": name, "object": "model", "task": "automatic-speech-recognition"} for name in names]
        self.models += [{"id": "speaches-ai/Kokoro-82M", "object": "model", "task": "text-to-speech"}]

    def transcribe(self, form: Form) -> Response:
        name = field(form, "model")
        if name not in [model["id"] for model in self.models or []]:
            words = f"Model '{name}' is not installed locally. You can download the model using `POST /v1/models`"
            return JSONResponse({"detail": words}, 404)
        if sorted(form.get("timestamp_granularities[]", [])) not in ([], ["segment"], ["word"], ["segment", "word"]):
            return PlainTextResponse("Internal Server Error", 500)  # an assertion of speaches fails
        answer = {"task": "transcribe", "language": "en", "duration": 1.0, "text": "Hello there."}
        return JSONResponse(answer | {"words": words_of("Hello", "there."), "segments": [SEGMENT]})


class Vllm(Standin):
    """vLLM (vllm/entrypoints/openai/speech_to_text/speech_to_text.py).

    times: whether its model gives times. wants_language: a newer version, which cannot write its answer without a
    language.
    """

    def __init__(self, *, times: bool = True, wants_language: bool = False) -> None:
        super().__init__()
        self.times, self.wants_language = times, wants_language
        self.models = [{"id": "openai/whisper-large-v3", "object": "model", "owned_by": "vllm", "max_model_len": 448}]

    def transcribe(self, form: Form) -> Response:
        if (name := field(form, "model")) != "openai/whisper-large-v3":
            return self._error(404, f"The model `{name}` does not exist.", "NotFoundError", "model")
        if field(form, "response_format", "json") != "verbose_json":
            return JSONResponse({"text": " Hello there.", "usage": {"type": "duration", "seconds": 1}})
        if not self.times:
            return self._error(400, f"Currently do not support verbose_json for {name}", "BadRequestError")
        if self.wants_language and not field(form, "language"):
            words = "1 validation error for TranscriptionResponseVerbose\nlanguage\n  Input should be a valid string"
            return self._error(400, words, "BadRequestError")
        answer = {"duration": "1.0", "language": field(form, "language"), "text": " Hello there.", "words": None}
        return JSONResponse(answer | {"segments": [SEGMENT | {"no_speech_prob": None}]})

    @staticmethod
    def _error(status: int, message: str, kind: str, param: str | None = None) -> Response:
        return JSONResponse({"error": {"message": message, "type": kind, "param": param, "code": status}}, status)


class VoxBox(Standin):
    """vox-box 0.0.21 (vox_box/server/routers.py, backends/stt/faster_whisper.py). Its granularities have no brackets in
    their name, and errors have the status 200."""

    models = [{"id": "faster-whisper-base", "object": "model"}]

    def without_file(self) -> Response:
        return JSONResponse({"status_code": 400, "detail": "Field file is required", "headers": None})

    def transcribe(self, form: Form) -> Response:
        if field(form, "response_format", "json") != "verbose_json":
            return JSONResponse({"text": "Hello there."})
        answer: dict[str, Any] = {"task": "transcribe", "language": "en", "duration": 1.0, "text": "Hello there."}
        words = "word" in form.get("timestamp_granularities", [])
        return JSONResponse(answer | ({"words": words_of("Hello", "there.")} if words else {"segments": [SEGMENT]}))


class OldVoxBox(VoxBox):
    """vox-box with a newer faster-whisper, whose segments have no `_asdict`: each request for times fails."""

    def transcribe(self, form: Form) -> Response:
        if field(form, "response_format") == "verbose_json":
            words = "Failed to transcribe audio, 'Word' object has no attribute '_asdict'"
            return JSONResponse({"status_code": 500, "detail": words, "headers": None})
        return super().transcribe(form)


class OpenAi(Standin):
    """OpenAI's service (platform.openai.com/docs/api-reference/audio). It refuses unknown fields, and only whisper-1
    gives times."""

    models = [{"id": name, "object": "model"} for name in ("gpt-4o", "gpt-4o-transcribe", "whisper-1")]
    known = frozenset(["model", "response_format", "timestamp_granularities[]", "language", "prompt", "temperature"])

    def transcribe(self, form: Form) -> Response:
        if unknown := set(form) - self.known:
            return self._error(f"Unrecognized request argument supplied: {unknown.pop()}", None, None)
        name, asked = field(form, "model"), field(form, "response_format")
        if name != "whisper-1" and asked == "verbose_json":
            words = f"response_format 'verbose_json' is not compatible with model '{name}'. Use 'json' or 'text'."

            return self._error(words, "response_format", "unsupported_value")
        if asked == "json":
            return JSONResponse({"text": "Hello there.", "usage": {"type": "duration", "seconds": 1}})
        words_and_times = [{"word": "Hello", "start": 0.0, "end": 0.4}, {"word": "there", "start": 0.4, "end": 0.8}]
        answer = {"task": "transcribe", "language": "english", "duration": 1.0, "text": "Hello there."}
        return JSONResponse(answer | {"words": words_and_times, "segments": [SEGMENT]})

    @staticmethod
    def _error(message: str, param: str | None, code: str | None) -> Response:
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
        return JSONResponse({"error": error}, 400)


class LiteLlm(Standin):
    """LiteLLM's proxy 1.110 (proxy/proxy_server.py, route_llm_request.py, common_utils/http_parsing_utils.py) before
    speaches. It has many models, and answers a wrong one with 400. It makes one list of both spellings of a field."""

    models = [{"id": name, "object": "model"} for name in ("gpt-4o", "whisper", "openai/*")]

    def transcribe(self, form: Form) -> Response:
        if (name := field(form, "model")) != "whisper":
            words = f"/audio/transcriptions: Invalid model name passed in model={name}. Call `/v1/models`."
            error = {"message": words, "type": "None", "param": "None", "code": "400"}
            return JSONResponse({"error": error}, 400)
        merged = [
            value for key in ("timestamp_granularities[]", "timestamp_granularities") for value in form.get(key, [])
        ]
        if len(merged) != len(set(merged)):
            words = "litellm.InternalServerError: InternalServerError: OpenAIException - Internal Server Error"
            return JSONResponse({"error": {"message": words, "type": None, "param": None, "code": "500"}}, 500)
        answer = {"text": "Hello there.", "language": "en", "duration": 1.0, "words": words_of("Hello", "there.")}
        return JSONResponse(answer | {"segments": [SEGMENT]})


class FasterWhisperServer(Standin):
    """faster-whisper-server 0.0.3 (faster_whisper_server/api.py). It has no list of models, reads neither `model` nor
    granularities, and gives segments without words."""

    def transcribe(self, form: Form) -> Response:
        if field(form, "response_format", "json") != "verbose_json":
            return JSONResponse({"text": " Hello there."})
        answer = {"task": "transcribe", "language": "en", "duration": 1.0, "text": " Hello there."}
        return JSONResponse(answer | {"segments": [SEGMENT]})


class OpenAsrServer(Standin):
    """open-asr-server 0.3.0 (open_asr_server/routes.py). It lists patterns of names, and the models that are loaded."""

    models = [{"id": name, "object": "model"} for name in ("base*", "large*", "tiny*", "tiny.en")]

    def transcribe(self, form: Form) -> Response:
        if not (name := field(form, "model")).startswith(("base", "large", "tiny")):
            words = f"Model '{name}' not found. Available patterns: ['tiny*', 'base*', 'large*']"
            return JSONResponse({"detail": words}, 404)
        answer = {"text": "Hello there.", "language": "unknown", "duration": 1.0, "words": None}
        return JSONResponse(answer | {"segments": [{"id": 0, "start": 0.0, "end": 1.0, "text": "Hello there."}]})


class WhisperLiveKit(Standin):
    """WhisperLiveKit 0.2.26 (whisperlivekit/basic_server.py). It takes any name of a model, and gives words without
    probabilities."""

    models = [{"id": "faster-whisper/base", "object": "model"}]

    def transcribe(self, form: Form) -> Response:
        words = [{"word": "Hello", "start": 0.0, "end": 0.4}, {"word": "there.", "start": 0.4, "end": 0.8}]
        segments = [{"id": 0, "start": 0.0, "end": 0.8, "text": "Hello there."}]
        answer = {"task": "transcribe", "language": "unknown", "duration": 1.0, "text": "Hello there."}
        return JSONResponse(
            answer | {"words": words, "segments": segments, "usage": {"type": "duration", "seconds": 1}}
        )


class Xinference(Standin):
    """Xinference (xinference/api/restful_api.py, model/audio/whisper.py). A model has the name that it was launched
    with. Of several granularities the last counts. Numbers that it does not know are 0."""

    models = [
        {"id": "my-whisper", "model_type": "audio", "model_ability": ["audio2text"]},
        {"id": "qwen", "model_type": "LLM", "model_ability": ["chat"]},
    ]

    def transcribe(self, form: Form) -> Response:
        if (name := field(form, "model")) != "my-whisper":
            return JSONResponse({"detail": f"Model not found in the model list, uid: {name}"}, 400)
        if field(form, "response_format", "json") != "verbose_json":
            return JSONResponse({"text": " Hello there."})
        answer: dict[str, Any] = {"task": "transcribe", "language": "english", "duration": 0.8, "text": " Hello there."}
        if field(form, "timestamp_granularities[]") == "word":
            return JSONResponse(answer | {"words": words_of("Hello", "there.")})
        zeros = {"avg_logprob": 0.0, "compression_ratio": 0.0, "no_speech_prob": 0.0}
        return JSONResponse(answer | {"segments": [SEGMENT | zeros]})


@contextmanager
def served(*servers: Standin) -> Iterator[None]:
    """Run the stand-ins, each on its own port. `url` is then the base URL."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []
    try:
        for server in servers:
            running.append(_started(server))
        yield
    finally:
        for process, _thread in running:
            process.should_exit = True
        for _process, thread in running:
            thread.join(10)


def _started(server: Standin) -> tuple[uvicorn.Server, threading.Thread]:
    async def handle(request: Request) -> Response:
        return await server.handle(request)

    app = Starlette(routes=[Route("/{path:path}", handle, methods=["GET", "POST"])])
    config = uvicorn.Config(app, port=0, log_config=None, server_header=False, lifespan="off")
    listener = config.bind_socket()
    server.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    process = uvicorn.Server(config)
    thread = threading.Thread(target=process.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    return process, thread
