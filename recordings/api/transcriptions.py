"""Transcriptions of a recording: begin and cancel one, list them, go back to an earlier one."""

from typing import Any

from django.db import IntegrityError
from django.http import HttpResponse
from ninja import Router, Status

from accounts.auth import ApiRequest, Scope, needs
from accounts.lanes import IN_OPENAPI
from recordings.api.schemas import (
    Recorded,
    TranscribeIn,
    TranscriptionList,
    errors,
)
from recordings.api.shapes import (
    listed_transcriptions,
    one_recording,
)
from recordings.library.listing import afind
from recordings.transcripts.corrections import arestore
from recordings.work.jobs import acancel_transcription, aqueue_transcription
from web.problems import not_found

router = Router(tags=["transcriptions"])


@router.post(
    "recordings/{int:id}/transcribe",
    auth=needs(Scope.TRANSCRIBE, Scope.WRITE),
    response={202: Recorded, **errors(400, 404)},
    openapi_extra={"parameters": [IN_OPENAPI]},
    summary="Transcribe it (again)",
)
async def transcribe(request: ApiRequest, response: HttpResponse, id: int, options: TranscribeIn | None = None) -> Any:
    """While one is queued or running, a second request answers with that same one."""
    recording = (await afind(request.auth.user.pk, id)).recording
    asked = options.model_dump() if options else {}
    try:
        await aqueue_transcription(recording, lane=request.auth.lane, **asked)
    except IntegrityError:  # deleted in this very moment
        raise not_found() from None
    response["Location"] = request.path.removesuffix("/transcribe")
    return Status(202, await one_recording(request.auth, id))


@router.post(
    "recordings/{int:id}/cancel",
    auth=needs(Scope.TRANSCRIBE, Scope.WRITE),
    response={200: Recorded, **errors(404)},
    summary="Stop its transcription",
)
async def cancel(request: ApiRequest, id: int) -> dict[str, Any]:
    """The audio and what was transcribed so far stay. Where nothing is queued or running, nothing changes."""
    await acancel_transcription((await afind(request.auth.user.pk, id)).recording)
    return await one_recording(request.auth, id)


@router.get(
    "recordings/{int:id}/transcriptions",
    response={200: TranscriptionList, **errors(404)},
    summary="All that were made of it, newest first",
)
async def list_transcriptions(request: ApiRequest, id: int) -> dict[str, Any]:
    return {"items": await listed_transcriptions(await afind(request.auth.user.pk, id))}


@router.post(
    "recordings/{int:id}/transcriptions/{int:transcription}/restore",
    auth=needs(Scope.WRITE),
    response={200: Recorded, **errors(404, 409)},
    summary="Go back to an earlier one",
)
async def restore_transcription(request: ApiRequest, id: int, transcription: int) -> dict[str, Any]:
    """Its text is the recording’s from now on, until a newer transcription is done. All are kept."""
    entry = await afind(request.auth.user.pk, id, transcription)
    await arestore(entry.recording, entry.shown)
    return await one_recording(request.auth, id)
