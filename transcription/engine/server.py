"""A Whisper server with OpenAI's routes: faster-whisper behind Starlette. It runs alone on any machine, too.

    POST /v1/audio/transcriptions, /v1/audio/translations    as OpenAI describes them, without streaming
    GET  /v1/models, /health

One transcription is computed at a time, in a thread, first come first served: `/health` answers meanwhile,
and a caller who hangs up makes room after the 30 s of audio at hand. The same request gets the same answer:
beam search without sampling, no text of earlier windows as context, no voice activity detection (which is the
caller's task). Who sees a repetition loop (`compression_ratio` above 2.4) may ask again with a `temperature`.
Errors are `{"error": {"message", "type", "param", "code"}}`.
"""

import asyncio
import html
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import anyio
import ctranslate2
import numpy as np
import numpy.typing as npt
import uvicorn
from faster_whisper import WhisperModel, format_timestamp
from faster_whisper.transcribe import Segment, TranscriptionInfo
from starlette.applications import Starlette
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from transcription import languages
from transcription.audio.media import opened
from transcription.audio.sound import Sound
from transcription.audio.waveform import Downmix
from transcription.errors import BadAudio

logger = logging.getLogger(__name__)

Samples = npt.NDArray[np.float32]
SAMPLE_RATE = 16_000  # Hz, what Whisper was trained on
MAX_UPLOAD_BYTES = 512 * 1024**2
# faster-whisper computes the spectrogram of the whole file at once: measured, 3 GB of memory for an hour.
MAX_HOURS = 1
FRAMES = 100  # a second, of a spectrogram
ROOM = 3 * FRAMES  # of silence behind the sound: with less, Whisper changes or repeats the last words
LEAST_CONTEXT = 10 * FRAMES  # with less, it hears single words worse
# English takes 5 tokens a second, fast Chinese or Thai 12, a script of which each letter is three tokens 25.
TOKENS, FIRST_TOKENS = 25, 15  # a second, and besides
# After the last word faster-whisper listens to what is left; where that is less, it is silence, and what comes out is
# the last word again ("Hello world world."), or a goodbye.
REST = 0.6  # seconds
FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
GRANULARITIES = {"segment", "word"}


class RequestError(HTTPException):
    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None):
        # After 413 the rest of the body is not read, so nothing else can come over this connection.
        super().__init__(status, message, {"Connection": "close"} if status == 413 else None)
        self.param = param
        self.code = code


class HungUp(Exception):
    """The caller is gone; nobody waits for the answer."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller asked for, checked."""

    task: str
    language: str | None
    prompt: str | None
    temperature: float
    response_format: str
    words: bool


class Model(WhisperModel):  # type: ignore[misc] # faster-whisper has no types
    """Looks at the sound and no further, where Whisper looks at 30 s, however short the sound is.

    faster-whisper fills the 30 s up with silence. Of that, ROOM is kept: measured with `base` on one core, the encoder
    takes 0.09 s instead of 0.6 s for a short clip, and each token of the decoder half as long, with as few errors. And
    no more is said than can be in the time: over 0.8 s of sound a repetition loop took 13 s, and takes 1 s.

    A window is encoded once, though detecting its language and transcribing it both ask for that. Not for two threads
    at once.
    """

    _features: Samples | None = None
    _encoded: ctranslate2.StorageView
    _seconds: float  # of sound in what was encoded

    def encode(self, features: Samples) -> ctranslate2.StorageView:
        if self._features is None or not np.array_equal(features, self._features):
            sound = np.flatnonzero(features.any(axis=0))  # faster-whisper fills up with zeros
            frames = int(sound[-1]) + 1 if len(sound) else 0
            self._seconds = frames / FRAMES
            self._encoded = super().encode(np.ascontiguousarray(features[:, : max(frames + ROOM, LEAST_CONTEXT)]))
            self._features = features
        return self._encoded

    def generate_with_fallback(
        self, encoder_output: ctranslate2.StorageView, prompt: list[int], tokenizer: Any, options: Any
    ) -> Any:
        most = round(FIRST_TOKENS + TOKENS * self._seconds)
        # CTranslate2 says no more than half of the tokens that it may have with the prompt.
        room = min(self.max_length - len(prompt), max(2 * most - len(prompt), most))
        return super().generate_with_fallback(encoder_output, prompt, tokenizer, replace(options, max_new_tokens=room))

    def detect_language(self, *, features: Samples, **options: Any) -> Any:
        # Without the last frame, which transcribing leaves out: so that the windows are the same.
        return super().detect_language(features=features[..., :-1], **options)


class WhisperServer:
    """One loaded model and the handlers around it."""

    def __init__(self, model: Model, name: str) -> None:
        self.model = model
        self.name = name
        self.started = int(time.time())
        self.turn = anyio.CapacityLimiter(1)

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "model": self.name, "device": self.model.model.device})

    async def models(self, request: Request) -> Response:
        model = {"id": self.name, "object": "model", "created": self.started, "owned_by": "stile"}
        return JSONResponse({"object": "list", "data": [model]})

    async def transcriptions(self, request: Request) -> Response:
        return await self._answer(request, "transcribe")

    async def translations(self, request: Request) -> Response:
        return await self._answer(request, "translate")

    async def _answer(self, request: Request, task: str) -> Response:
        async with BoundedRequest(request.scope, request.receive).form(max_files=1, max_fields=20) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise RequestError(400, "The audio must come as the multipart file 'file'.", param="file")
            options = self._options(form, task)
            gone = threading.Event()
            watcher = asyncio.create_task(_watch(request, gone))
            try:
                segments, info = await anyio.to_thread.run_sync(
                    self._transcribe, file.file, options, gone.is_set, limiter=self.turn
                )
            finally:
                watcher.cancel()
        return _response(segments, info, options)

    def _options(self, form: FormData, task: str) -> Options:
        def field(name: str) -> str:
            value = form.get(name)
            return value.strip() if isinstance(value, str) else ""

        if (model := field("model")) not in ("", self.name, "whisper-1"):
            message = f"There is no model {model!r} here; this server has {self.name!r}."
            raise RequestError(404, message, param="model", code="model_not_found")
        language = languages.code(field("language"))
        if language is None or (language and language not in self.model.supported_languages):
            message = f"The model {self.name!r} knows no language {field('language')!r}."
            raise RequestError(400, message, param="language")
        response_format = field("response_format") or "json"
        if response_format not in FORMATS:
            message = f"There is no format {response_format!r}; there are {', '.join(FORMATS)}."
            raise RequestError(400, message, param="response_format")
        granularities = {str(value) for value in form.getlist("timestamp_granularities[]")}
        if unknown := granularities - GRANULARITIES:
            message = f"Timestamps come by 'segment' or 'word', not by {', '.join(map(repr, sorted(unknown)))}."
            raise RequestError(400, message, param="timestamp_granularities[]")
        return Options(
            task=task,
            language=language or None,
            prompt=field("prompt") or None,
            temperature=_temperature(field("temperature")),
            response_format=response_format,
            words="word" in granularities,
        )

    def _transcribe(
        self, file: BinaryIO, options: Options, gone: Callable[[], bool]
    ) -> tuple[list[Segment], TranscriptionInfo]:
        if gone():  # while waiting for its turn
            raise HungUp
        began = time.monotonic()
        found, info = self.model.transcribe(
            decode(file),
            language=options.language,
            task=options.task,
            initial_prompt=options.prompt,
            temperature=options.temperature,
            word_timestamps=options.words,
            beam_size=5,
            condition_on_previous_text=False,
        )
        segments = []
        for segment in found:  # computed here, one window after the other
            if gone():
                raise HungUp
            if segment.seek and info.duration - segment.seek / FRAMES < REST:
                break
            segments.append(segment)
        logger.info("%.1f s of audio took %.1f s", info.duration, time.monotonic() - began)
        return segments, info


class BoundedRequest(Request):
    """A request with a body of at most MAX_UPLOAD_BYTES; the form's file goes to disk as it comes."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        promised, come = int(self.headers.get("content-length", 0)), 0
        async for chunk in super().stream():
            come += len(chunk)
            if max(promised, come) > MAX_UPLOAD_BYTES:
                raise RequestError(413, f"The upload is larger than {MAX_UPLOAD_BYTES // 1024**2} MiB.")
            yield chunk


async def _watch(request: Request, gone: threading.Event) -> None:
    await request.receive()  # after the body, nothing but the end of the connection comes
    gone.set()


def _temperature(value: str) -> float:
    try:
        temperature = float(value or 0)
    except ValueError:
        temperature = -1
    if not 0 <= temperature <= 1:
        raise RequestError(400, f"A temperature is a number from 0 to 1, not {value!r}.", param="temperature")
    return temperature


def decode(file: BinaryIO) -> Samples:
    """The sound of a file as 16 kHz mono, -1 to 1. Raises BadAudio."""
    downmix = Downmix()
    with opened(file) as media:
        blocks = [downmix(piece) for piece in Sound(media, rate=SAMPLE_RATE, max_hours=MAX_HOURS)]
    if not blocks:
        raise BadAudio("damaged", "Nothing in the file can be decoded: it is damaged.")
    return np.concatenate(blocks).astype(np.float32) / np.float32(32768)


def _response(segments: list[Segment], info: TranscriptionInfo, options: Options) -> Response:
    text = "".join(segment.text for segment in segments).strip()
    match options.response_format:
        case "json":
            return JSONResponse({"text": text})
        case "text":
            return PlainTextResponse(f"{text}\n")
        case "srt":
            return PlainTextResponse(srt(segments))
        case "vtt":
            return PlainTextResponse(vtt(segments), media_type="text/vtt")
    answer = {
        "task": options.task,
        "language": info.language,
        "duration": info.duration,
        "text": text,
        "segments": [asdict(segment) | {"id": number} for number, segment in enumerate(segments)],
    }
    if options.words:
        answer["words"] = [asdict(word) for segment in segments for word in segment.words or ()]
    return JSONResponse(answer)


def srt(segments: list[Segment]) -> str:
    def stamp(seconds: float) -> str:
        return str(format_timestamp(seconds, always_include_hours=True, decimal_marker=","))

    return "".join(
        f"{number}\n{stamp(segment.start)} --> {stamp(segment.end)}\n{segment.text.strip()}\n\n"
        for number, segment in enumerate(segments, 1)
    )


def vtt(segments: list[Segment]) -> str:
    cues = (
        f"{format_timestamp(segment.start)} --> {format_timestamp(segment.end)}\n"
        f"{html.escape(segment.text.strip(), quote=False)}\n\n"
        for segment in segments
    )
    return "WEBVTT\n\n" + "".join(cues)


def _on_error(request: Request, error: Exception) -> Response:
    """OpenAI's shape. What the model raises keeps its words ("out of memory"): callers act on them."""
    status, message, headers = 500, str(error) or type(error).__name__, None
    match error:
        case BadAudio():
            status = 413 if error.code == "too_long" else 400
        case HungUp():
            status = 499  # nginx's number; nobody reads it
        case HTTPException():
            status, message, headers = error.status_code, error.detail, error.headers
    body = {
        "message": message,
        "type": "server_error" if status >= 500 else "invalid_request_error",
        "param": getattr(error, "param", None),
        "code": getattr(error, "code", None),
    }
    return JSONResponse({"error": body}, status, headers=headers)


def load(folder: Path) -> Model:
    """The model: as 16-bit floats on a GPU that works, else as 8-bit integers on the CPU."""
    if ctranslate2.get_cuda_device_count():
        try:
            model = Model(str(folder), device="cuda", compute_type="float16")
            model.encode(np.zeros((model.model.n_mels, 3000), np.float32))
            return model
        # CUDA's libraries, which are not part of the driver, are missing; or the GPU knows no 16-bit floats.
        except (RuntimeError, ValueError) as error:
            logger.warning("The GPU cannot be used, the CPU computes instead: %s", error)
    return Model(str(folder), device="cpu", compute_type="int8")


def create_app(folder: Path, name: str) -> Starlette:
    """Load the model in `folder`, which takes seconds, and serve it as `name`."""
    server = WhisperServer(load(folder), name)
    return Starlette(
        routes=[
            Route("/health", server.health),
            Route("/v1/models", server.models),
            Route("/v1/audio/transcriptions", server.transcriptions, methods=["POST"]),
            Route("/v1/audio/translations", server.translations, methods=["POST"]),
        ],
        exception_handlers=dict.fromkeys((HTTPException, BadAudio, HungUp, Exception), _on_error),
    )


def serve(folder: Path, name: str, listener: socket.socket, *, stop_with_stdin: bool = False) -> None:
    """Serve until told to stop. The socket listens already: whoever calls while the model loads, waits.

    `stop_with_stdin`: end at once when standard input ends, as it does when the process that holds it dies.
    """
    if stop_with_stdin:
        threading.Thread(target=_exit_with_stdin, daemon=True).start()
    began = time.monotonic()
    app = create_app(folder, name)
    logger.info("%s is ready after %.1f s", name, time.monotonic() - began)
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[listener])


def _exit_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)  # also out of the middle of a computation
