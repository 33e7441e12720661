"""The program of the embedded engine: a Whisper server with OpenAI's routes, faster-whisper behind Starlette. It also
runs alone, on any machine.

    POST /v1/audio/transcriptions, /v1/audio/translations    as OpenAI describes them, without streaming
    GET  /v1/models, /health

Each transcription has a thread, and what several of them ask of the model is computed together (`batcher`). Requests
with the header `X-Stile-Live` have a line and batches of their own, beside those of all others. `/health` tells
the device, the largest batch, and how many transcriptions run and wait. When a caller hangs up, its computation ends
after the step under way.

The same request gets the same answer: beam search without sampling, no text of earlier windows as context, no voice
activity detection (which is the caller's task). Beside others, rounding may change a word of which the model is unsure.
A caller that finds a repetition loop (`compression_ratio` above 2.4) may ask again with a `temperature`.
Errors are `{"error": {"message", "type", "param", "code"}}`.
"""

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import BinaryIO

import anyio
import uvicorn
from faster_whisper.transcribe import Segment, TranscriptionInfo
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from transcription.engine import memory
from transcription.engine.answers import answer
from transcription.engine.batcher import Batcher, HungUp
from transcription.engine.model import AT_ONCE, WINDOW, Model, decode, largest_batch, load
from transcription.engine.options import EngineOptions, RequestError, read_options
from transcription.errors import BadAudio
from transcription.request import LIVE

logger = logging.getLogger(__name__)

MAX_UPLOAD_BYTES = 512 * 1024**2


class Companions:
    """Requests that are computed together. One batch more than are computed at once has places, to be prepared."""

    def __init__(self, largest: int, at_once: int) -> None:
        self.batcher = Batcher(largest, at_once)
        self.places = anyio.CapacityLimiter((at_once + 1) * largest)

    @property
    def running(self) -> int:
        return self.places.borrowed_tokens - self.batcher.waiting

    @property
    def waiting(self) -> int:
        return self.places.statistics().tasks_waiting + self.batcher.waiting


class WhisperServer:
    """One loaded model, and the handlers of the routes. largest: the most windows that are computed together."""

    def __init__(self, model: Model, name: str, largest: int) -> None:
        self.model = model
        self.name = name
        self.started = int(time.time())
        self.live, self.others = Companions(largest, 1), Companions(largest, AT_ONCE)
        self.long = threading.Lock()  # for audio longer than a window: its spectrogram may take gigabytes

    async def health(self, request: Request) -> Response:
        return JSONResponse(
            {
                "status": "ok",
                "model": self.name,
                "device": self.model.model.device,
                "batch": self.others.batcher.largest,
                "running": self.live.running + self.others.running,
                "waiting": self.live.waiting + self.others.waiting,
            }
        )

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
            options = read_options(form, task, self.name, self._knows)
            companions = self.live if LIVE in request.headers else self.others
            gone = threading.Event()
            watcher = asyncio.create_task(_watch(request, gone))
            try:
                segments, info = await anyio.to_thread.run_sync(
                    self._transcribe, file.file, options, companions.batcher, gone.is_set, limiter=companions.places
                )
            finally:
                watcher.cancel()
        return answer(segments, info, options)

    def _knows(self, language: str) -> bool:
        return language in self.model.supported_languages

    def _transcribe(
        self, file: BinaryIO, options: EngineOptions, batcher: Batcher, gone: Callable[[], bool]
    ) -> tuple[list[Segment], TranscriptionInfo]:
        if gone():  # while waiting for its turn
            raise HungUp
        began = time.monotonic()
        with ExitStack() as held:
            audio = decode(file, partial(held.enter_context, self.long))
            caller = held.enter_context(batcher.caller(gone, prompt=len(audio) <= WINDOW))
            found, info = self.model.shared_by(caller).transcribe(
                audio,
                language=options.language,
                task=options.task,
                initial_prompt=options.prompt,
                temperature=options.temperature,
                word_timestamps=options.words,
                beam_size=5,
                condition_on_previous_text=False,
            )
            segments = list(found)  # each window is computed here
        logger.info("%.1f s of audio took %.1f s", info.duration, time.monotonic() - began)
        return segments, info


class BoundedRequest(Request):
    """A request whose body has at most MAX_UPLOAD_BYTES. The form's file is written to disk as it comes."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        promised, come = int(self.headers.get("content-length", 0)), 0
        async for chunk in super().stream():
            come += len(chunk)
            if max(promised, come) > MAX_UPLOAD_BYTES:
                raise RequestError(413, f"The upload is larger than {MAX_UPLOAD_BYTES // 1024**2} MiB.")
            yield chunk


async def _watch(request: Request, gone: threading.Event) -> None:
    await request.receive()  # after the body, only the end of the connection comes
    gone.set()


def _on_error(request: Request, error: Exception) -> Response:
    """An error in OpenAI's shape. The message of the model's own error ("out of memory") stays: callers act on it."""
    status, message, headers = 500, str(error) or type(error).__name__, None
    match error:
        case BadAudio():
            status = 413 if error.code == "too_long" else 400
        case HungUp():
            status = 499  # as nginx has it
        case MemoryError():
            message = f"Out of memory: {message}"
        case HTTPException():
            status, message, headers = error.status_code, error.detail, error.headers
    body = {
        "message": message,
        "type": "server_error" if status >= 500 else "invalid_request_error",
        "param": getattr(error, "param", None),
        "code": getattr(error, "code", None),
    }
    return JSONResponse({"error": body}, status, headers=headers)


def create_app(folder: Path, name: str, batch: int | None = None) -> Starlette:
    """Load the model in `folder`, which takes seconds, and return an application that serves it as `name`.

    batch: the most windows that are computed together; None: as many as pay and have room in memory.
    """
    model = load(folder)
    server = WhisperServer(model, name, batch or largest_batch(model, folder))
    logger.info("%s runs on %s, at most %d at once", name, model.model.device, server.others.batcher.largest)
    return Starlette(
        routes=[
            Route("/health", server.health),
            Route("/v1/models", server.models),
            Route("/v1/audio/transcriptions", server.transcriptions, methods=["POST"]),
            Route("/v1/audio/translations", server.translations, methods=["POST"]),
        ],
        exception_handlers=dict.fromkeys((HTTPException, BadAudio, HungUp, Exception), _on_error),
    )


def serve(
    folder: Path, name: str, listener: socket.socket, *, batch: int | None = None, stop_with_stdin: bool = False
) -> None:
    """Serve until told to stop. The socket listens already, so calls wait while the model loads.

    batch: see `create_app`.
    `stop_with_stdin`: end at once when standard input ends, as it does when the parent process dies.
    """
    if stop_with_stdin:
        threading.Thread(target=_exit_with_stdin, daemon=True).start()
    memory.keep()
    began = time.monotonic()
    app = create_app(folder, name, batch)
    logger.info("%s is ready after %.1f s", name, time.monotonic() - began)
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[listener])


def _exit_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)  # also out of the middle of a computation
