"""The door for every other program: OpenAI's audio routes, so that a new base URL brings a program to the one gate.

    POST /v1/audio/transcriptions, /v1/audio/translations
    GET  /v1/models, /v1/models/{id}

As in OpenAI's reference (platform.openai.com/docs/api-reference/audio), errors too; their messages are English as
OpenAI's are, where the rest of the product has no sentence of its own. A file is cut at pauses as an upload is, and
one segment after the other takes its turn, so that a long file holds nobody up. Nothing is kept.
"""

import asyncio
import json
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing
from functools import wraps
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from pydantic import ValidationError

from accounts.auth import ApiRequest, Scope, identify, read_form
from recordings.api.v1_options import DEFAULT_MODEL, Options, asked_model, read_options, stands_for_default
from recordings.failures import answer_at, fault, problem_of
from recordings.intake.uploads import ReceivedFile
from recordings.models import Recording, Segment, Transcription, kept_tracks
from recordings.transcripts.exports import Transcript, as_srt, as_vtt
from recordings.work.transcribing import as_segment, moment, speech_in
from transcription import answer, service
from transcription.audio import Stretch, apart, wav
from transcription.audio.tracks import Track
from transcription.errors import QueueFull
from transcription.languages import LANGUAGES
from transcription.writing import gap
from web.bearer import bearer_secret
from web.problems import Problem, not_signed_in

MOST_SPANS = 50  # in a header, of which clients and proxies take 8 kB

View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]

# --- Errors ------------------------------------------------------------------------------------


def _door(method: str | None = None) -> Callable[[View], View]:
    """Lets in who has a token with the scope, with a form that has been read; every refusal is in OpenAI's shape."""

    def guard(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        async def guarded(request: ApiRequest, **kwargs: Any) -> HttpResponseBase:
            try:
                await _admit(request, method)
                response = await view(request, **kwargs)
            except Exception as failure:
                response = answer_at(request.path_info, _problem(request, failure))
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        return guarded

    return guard


async def _admit(request: ApiRequest, method: str | None) -> None:
    if method and request.method != method:
        message = f"This address takes {method} requests."
        raise Problem("method_not_allowed", message, headers={"Allow": method})
    if bearer_secret(request) is None:  # a session would need CSRF's token, which no such program has
        raise not_signed_in()
    request.auth = await identify(request)
    request.auth.require(Scope.TRANSCRIBE)
    await read_form(request)


def _problem(request: HttpRequest, failure: Exception) -> Problem:
    if isinstance(failure, ValidationError):
        return Problem("invalid_value", fault(failure), param=str(failure.errors()[0]["loc"][0]))
    return problem_of(request, failure)


def _json(content: Any, **options: Any) -> JsonResponse:
    return JsonResponse(content, json_dumps_params={"ensure_ascii": False}, **options)


# --- A file on its way -------------------------------------------------------------------------


class Hearing:
    """A file that is heard, and what was heard of it so far: `segments` are never saved."""

    def __init__(self, file: ReceivedFile, options: Options, owner: int, *, translate: bool) -> None:
        self._file = cast(BinaryIO, file.file)
        self._options = options
        self._owner = owner
        self._translate = translate
        self.duration = 0.0
        self.damaged: list[tuple[float, float]] = []
        self.tracks: list[Track] = []
        self._model = asked_model(options.model, service.models())
        self.language = options.spoken
        self._texts: list[str] = []  # of the segments, each with the gap before it
        self.segments: list[Segment] = []
        self.details: list[dict[str, Any]] = []

    async def deltas(self) -> AsyncGenerator[str]:
        """What each segment adds to the text, as it comes. However this ends, the file is gone then."""
        track = self._options.track
        reading = speech_in(self._file, owner=self._owner, kind="call", track=track)
        async with reading as (speech, stretches):
            limits = {"max_hours": settings.MAX_AUDIO_HOURS, "track": track or None}
            info = await apart.audio_info(self._file, owner=self._owner, **limits)
            self.duration = info.duration
            async for stretch in stretches:
                if added := self._add(stretch, await self._transcribe(stretch)):
                    yield added
            self.duration, self.damaged, self.tracks = speech.duration, speech.damaged, speech.tracks

    async def _transcribe(self, stretch: Stretch) -> answer.Transcript:
        while True:
            try:
                return await service.transcribe_audio(
                    b"".join(wav(stretch.samples)),
                    seconds=stretch.end - stretch.start,
                    lane="interactive",
                    owner=f"user:{self._owner}",
                    language=self._options.spoken,
                    prompt=self._options.expected,
                    model=self._model,
                    temperature=self._options.temperature,
                    translate=self._translate,
                )
            except QueueFull as full:
                if stretch.index == 0:
                    raise
                await asyncio.sleep(full.retry_after)  # what has begun is not sent home: it would all be done again

    def _add(self, stretch: Stretch, transcript: answer.Transcript) -> str:
        segment = as_segment(stretch, transcript)
        self.segments.append(segment)
        self.language = self.language or segment.language
        whole = answer.TranscriptSegment(0.0, stretch.end - stretch.start, transcript.text)
        for part in transcript.segments or (whole,):
            self.details.append(self._detail(stretch, part))
        text = " ".join(transcript.text.split())
        added = gap(self._texts[-1] if self._texts else "", text) + text
        self._texts += filter(None, [added])
        return added

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def _detail(self, stretch: Stretch, part: answer.TranscriptSegment) -> dict[str, Any]:
        """OpenAI's shape has numbers everywhere, and strict clients need them: 0 where the server gives none."""
        return {
            "id": len(self.details),
            "seek": round(stretch.start * 100),  # frames of 10 ms
            "start": moment(stretch, part.start),
            "end": moment(stretch, part.end),
            "text": part.text,
            "tokens": [],
            "temperature": self._options.temperature,
            "avg_logprob": part.avg_logprob or 0.0,
            "compression_ratio": part.compression_ratio or 0.0,
            "no_speech_prob": part.no_speech_prob or 0.0,
        }

    @property
    def usage(self) -> dict[str, Any]:
        return {"type": "duration", "seconds": math.ceil(self.duration)}

    @property
    def remarks(self) -> dict[str, Any]:
        """What a caller would not expect: what is damaged, and which of several tracks were heard; else nothing."""
        remarks: dict[str, Any] = {}
        if self.damaged:
            remarks["damaged"] = [{"start": round(start, 3), "end": round(end, 3)} for start, end in self.damaged]
        if len(self.tracks) > 1:
            remarks["tracks"] = kept_tracks(self.tracks)
        return remarks

    def response(self) -> HttpResponse:
        """The whole text in the format that was asked for, with the remarks in headers too: not every format has a
        place for them."""
        response = self._formatted()
        if self.damaged:
            spans = (f"{start:.3f}-{end:.3f}" for start, end in self.damaged[:MOST_SPANS])
            response["Stile-Damaged"] = ", ".join(spans)
        if len(self.tracks) > 1:
            heard = ", ".join(str(track.number) for track in self.tracks if track.heard)
            response["Stile-Tracks"] = f"{heard} of {len(self.tracks)}"
        return response

    def _formatted(self) -> HttpResponse:
        match self._options.response_format:
            case "json":
                return _json({"text": self.text, "usage": self.usage} | self.remarks)
            case "verbose_json":
                return _json(self._verbose())
            case "text":
                return HttpResponse(f"{self.text}\n", content_type="text/plain; charset=utf-8")
            case "srt":
                return HttpResponse(as_srt(self._transcript()), content_type="application/x-subrip; charset=utf-8")
            case "vtt":
                return HttpResponse(as_vtt(self._transcript()), content_type="text/vtt; charset=utf-8")

    def _transcript(self) -> Transcript:
        return Transcript(Recording(), Transcription(), self.segments)

    def _verbose(self) -> dict[str, Any]:
        result: dict[str, Any] = {
            "task": "translate" if self._translate else "transcribe",
            # OpenAI's own answers have names, not codes.
            "language": LANGUAGES[self.language].whisper if self.language else "",
            "duration": self.duration,
            "text": self.text,
            "usage": self.usage,
        } | self.remarks
        if "segment" in self._options.granularities:
            result["segments"] = self.details
        if "word" in self._options.granularities:
            result["words"] = [
                {"word": word["word"].strip(), "start": word["start"], "end": word["end"]}
                for segment in self.segments
                for word in segment.words
            ]
        return result


# --- Routes ------------------------------------------------------------------------------------


@_door("POST")
async def audio(request: ApiRequest, *, translate: bool) -> HttpResponseBase:
    """The file's text: when all of it is there, or with `stream` as server-sent events while it comes."""
    options = read_options(request.POST)
    file = request.FILES.get("file")
    if file is None:
        raise Problem("missing_file", param="file")
    hearing = Hearing(cast(ReceivedFile, file), options, request.auth.user.pk, translate=translate)
    deltas = hearing.deltas()
    if not options.stream:
        async for _delta in deltas:
            pass
        return await asyncio.to_thread(hearing.response)
    first = await anext(deltas, "")  # before the answer begins: a refusal has a status still
    events = _events(request, hearing, first, deltas)
    return StreamingHttpResponse(events, content_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _events(
    request: HttpRequest, hearing: Hearing, first: str, deltas: AsyncGenerator[str]
) -> AsyncIterator[str]:
    async with aclosing(deltas):
        try:
            if first:
                yield _event({"type": "transcript.text.delta", "delta": first})
            async for delta in deltas:
                yield _event({"type": "transcript.text.delta", "delta": delta})
            done = {"type": "transcript.text.done", "text": hearing.text, "usage": hearing.usage}
            yield _event(done | hearing.remarks)
        except Exception as failure:
            yield _event(_problem(request, failure).at_v1()[1])


def _event(content: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


@_door("GET")
async def models(request: ApiRequest) -> HttpResponse:
    return _json({"object": "list", "data": [_model(name) for name in _models()]})


@_door("GET")
async def model(request: ApiRequest, *, name: str) -> HttpResponse:
    if name not in _models() and not stands_for_default(name):
        raise Problem("model_not_found", param="model", model=name)
    return _json(_model(name))


def _models() -> list[str]:
    """The model that the settings choose, and the name that stands for it everywhere."""
    return list(dict.fromkeys([settings.ASR_MODEL or DEFAULT_MODEL, DEFAULT_MODEL]))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "stile"}


@_door()
async def nothing_here(request: ApiRequest, *, rest: str) -> HttpResponse:
    raise Problem("not_found", f"There is nothing at /v1/{rest}.")


urlpatterns = [
    path("audio/transcriptions", audio, {"translate": False}),
    path("audio/translations", audio, {"translate": True}),
    path("models", models),
    path("models/<path:name>", model),
    path("<path:rest>", nothing_here),
]
