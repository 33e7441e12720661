"""Recordings: upload, list, change and delete them, and listen to them."""

from typing import Any, Literal, cast

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _
from ninja import File, Form, P, QueryEx, Router, Status, UploadedFile

from accounts.auth import ApiRequest, Scope, needs
from accounts.lanes import IN_OPENAPI
from recordings.api.media import audio_response
from recordings.api.schemas import (
    Recorded,
    RecordingOut,
    RecordingPage,
    RecordingPatch,
    UploadForm,
    errors,
    files,
)
from recordings.api.shapes import (
    listed_recordings,
    one_recording,
)
from recordings.intake.form import ReceivedFile
from recordings.intake.uploads import accept_upload
from recordings.library.listing import afind
from recordings.library.organising import achange_recording, adelete_recording
from recordings.models import Recording
from recordings.search.query import LONGEST
from web.problems import Problem
from web.throttle import UPLOADS

router = Router(tags=["recordings"])


@router.post(
    "recordings",
    auth=needs(Scope.WRITE),
    response={201: Recorded, 200: Recorded, **errors(400, 413, 415, 507)},
    openapi_extra={"parameters": [IN_OPENAPI]},
    summary="Upload a recording",
)
async def upload(
    request: ApiRequest,
    response: HttpResponse,
    form: Form[UploadForm],
    file: File[UploadedFile],
) -> Any:
    """Audio or video in any usual format. 201 with the new recording, whose transcription is in line; the text
    is there when `status` is `done`."""
    received, created = cast(ReceivedFile, file), True
    recording = await _made_before(request, received)
    if recording is None:
        UPLOADS.require(request.auth.user.pk)
        recording, created = await accept_upload(
            request.auth.user,
            received,
            title=form.title,
            language=form.language,
            prompt=form.prompt,
            track=form.track,
            source=Recording.Source.API if request.auth.token else Recording.Source.UPLOAD,
            transcribe=form.transcribe,
            lane=request.auth.lane,
            duplicate=form.duplicate,
        )
    response["Location"] = f"{request.path}/{recording.pk}"
    return Status(201 if created else 200, await one_recording(request.auth, recording.pk))


async def _made_before(request: ApiRequest, file: ReceivedFile) -> Recording | None:
    """What an earlier try of this very request made, which was killed before it could say so (see `idempotency`)."""
    begun_at = getattr(request, "begun_at", None)
    if begun_at is None:
        return None
    same = Recording.objects.filter(owner=request.auth.user, sha256=file.sha256, created_at__gte=begun_at)
    return await same.afirst()


@router.get(
    "recordings",
    response={200: RecordingPage, **errors()},
    summary="List recordings, newest first",
)
async def list_recordings(
    request: ApiRequest,
    q: QueryEx[str, P(max_length=LONGEST, description="Words in titles and transcripts, as in `/api/search`.")] = "",
    status: Literal["new", "queued", "transcribing", "done", "failed", "canceled"] | None = None,
    limit: QueryEx[int, P(ge=1, le=100)] = 50,
    cursor: QueryEx[str | None, P(pattern=r"^[0-9]{1,18}$", description="The `next_cursor` of a page.")] = None,
) -> dict[str, Any]:
    items, more = await listed_recordings(
        request.auth.user.pk,
        query=q.replace("\0", "").strip(),  # PostgreSQL takes no NUL
        status=status,
        before=int(cursor) if cursor else None,
        limit=limit,
    )
    return {"items": items, "next_cursor": str(more) if more else None}


@router.get(
    "recordings/{int:id}",
    response={200: RecordingOut, **errors(404)},
    summary="Look at a recording",
)
async def get_recording(request: ApiRequest, id: int) -> dict[str, Any]:
    return await one_recording(request.auth, id)


@router.patch(
    "recordings/{int:id}",
    auth=needs(Scope.WRITE),
    response={200: Recorded, **errors(400, 404)},
    summary="Change its title or language",
)
async def patch_recording(request: ApiRequest, id: int, patch: RecordingPatch) -> dict[str, Any]:
    """The language is a hint for transcriptions to come."""
    recording = (await afind(request.auth.user.pk, id)).recording
    changes = patch.model_dump(exclude_none=True)
    if changes.get("title") == "":
        raise Problem("invalid_request", _("title: A recording needs a title."))
    if changes:
        await achange_recording(recording, **changes)
    return await one_recording(request.auth, id)


@router.delete(
    "recordings/{int:id}",
    auth=needs(Scope.WRITE),
    response={204: None, **errors(404)},
    summary="Delete it, its work and its files",
)
async def remove_recording(request: ApiRequest, id: int) -> Any:
    await adelete_recording((await afind(request.auth.user.pk, id)).recording)
    return Status(204, None)


@router.api_operation(["HEAD"], "recordings/{int:id}/audio", include_in_schema=False)
@router.get(
    "recordings/{int:id}/audio",
    response={200: None, 206: None, 304: None, 416: None, **errors(404)},
    openapi_extra=files("audio/*", "video/*"),
    summary="Its sound",
)
async def audio(
    request: ApiRequest,
    id: int,
    original: QueryEx[bool, P(description="The file that was uploaded, also where there is a copy.")] = False,
    download: QueryEx[bool, P(description="As an attachment, for saving.")] = False,
) -> HttpResponseBase:
    """As it was uploaded, or where browsers cannot play that, a copy in WebM as soon as there is one. `Range` (one
    range), `If-Range` and `If-None-Match` are obeyed."""
    recording = (await afind(request.auth.user.pk, id)).recording
    return await audio_response(request, recording, original=original, download=download)
