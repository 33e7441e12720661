"""The routes that make a text of a file: transcriptions and translations, whole or as a stream of events."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, BinaryIO, cast

from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from accounts.auth import ApiRequest, Caller
from recordings.intake.form import ReceivedFile
from recordings.work.hearing import Call, Hearing
from transcription import service
from transcription.answer import Transcript
from transcription.errors import QueueFull
from web.problems import Problem

from .door import door, problem_at_v1
from .models import asked_model
from .options import OpenAIOptions, read_options
from .texts import HeardText


@door("POST")
async def audio(request: ApiRequest, *, translate: bool) -> HttpResponseBase:
    """The text of the file: all of it at once, or with `stream` as server-sent events while it comes."""
    options = read_options(request.POST)
    file = request.FILES.get("file")
    if file is None:
        raise Problem("missing_file", param="file")
    owner = request.auth.user.pk
    hearing = Hearing(
        cast(BinaryIO, cast(ReceivedFile, file).file),
        _call(options, request.auth, translate=translate),
        language=options.spoken,
        owner=owner,
        kind="call",
        track=options.track,
    )
    heard = HeardText(options, hearing.speech, translate=translate)
    deltas = _deltas(hearing, heard)
    if not options.stream:
        async for _delta in deltas:
            pass
        return await asyncio.to_thread(heard.response)
    first = await anext(deltas, "")  # before the answer begins: an error has a status still
    events = _events(request, heard, first, deltas)
    return StreamingHttpResponse(events, content_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _call(options: OpenAIOptions, caller: Caller, *, translate: bool) -> Call:
    """Sends sound of the file to Whisper. Only the first call meets a full queue: later ones wait until there is room,
    since the work that was done would have to be done again."""
    begun = False

    async def call(wav: bytes, seconds: float) -> Transcript:
        nonlocal begun
        while True:
            try:
                transcript = await service.transcribe_audio(
                    wav,
                    seconds=seconds,
                    lane=caller.lane,
                    owner=f"user:{caller.user.pk}",
                    weight=caller.weight,
                    language=options.spoken,
                    prompt=options.expected,
                    model=asked_model(options.model, service.models()),
                    temperature=options.temperature,
                    translate=translate,
                )
            except QueueFull as full:
                if not begun:
                    raise
                await asyncio.sleep(full.retry_after)
            else:
                begun = True
                return transcript

    return call


async def _deltas(hearing: Hearing, heard: HeardText) -> AsyncGenerator[str]:
    """What each stretch adds to the text, as it comes. However this ends, the file is gone then."""
    async with hearing.stretches() as stretches:
        await hearing.check()
        async for stretch in stretches:
            if added := heard.add(stretch, await hearing.transcript(stretch)):
                yield added


async def _events(
    request: HttpRequest, heard: HeardText, first: str, deltas: AsyncGenerator[str]
) -> AsyncIterator[str]:
    async with aclosing(deltas):
        try:
            if first:
                yield _event({"type": "transcript.text.delta", "delta": first})
            async for delta in deltas:
                yield _event({"type": "transcript.text.delta", "delta": delta})
            done = {"type": "transcript.text.done", "text": heard.text, "usage": heard.usage}
            yield _event(done | heard.remarks)
        except Exception as failure:
            yield _event(problem_at_v1(request, failure).at_v1()[1])


def _event(content: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
