"""The JSON API: recordings, their transcripts and sound, and the gate's stats."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, Literal, cast

from django.conf import settings
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from django.utils.translation import gettext_lazy as _
from ninja import File, Form, NinjaAPI, P, QueryEx, Status, UploadedFile
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.renderers import JSONRenderer

from accounts.auth import ApiRequest, Scope, needs
from accounts.idempotency import first_answer
from accounts.models import SocketTicket
from accounts.sessions import kept_as
from recordings.api.media import audio_response
from recordings.api.schemas import (
    Conflict,
    Format,
    Recorded,
    RecordingOut,
    RecordingPage,
    RecordingPatch,
    SegmentOut,
    SegmentPatch,
    SegmentStatus,
    SocketTicketOut,
    TranscribeIn,
    TranscriptionList,
    TranscriptOut,
    UploadForm,
    errors,
)
from recordings.api.shapes import (
    RecordingMemory,
    listed_recordings,
    listed_transcriptions,
    one_recording,
    one_segment,
    transcript_of,
)
from recordings.failures import answer, on_failure
from recordings.intake.form import ReceivedFile
from recordings.intake.uploads import accept_upload
from recordings.library.listing import afind, apage
from recordings.library.organising import achange_recording, adelete_recording
from recordings.models import Recording
from recordings.text import download_name
from recordings.transcripts.corrections import EditConflict, acorrect, arestore
from recordings.transcripts.exports import FORMATS
from recordings.work.jobs import acancel_transcription, aqueue_transcription
from recordings.work.line import job_counts
from transcription.monitor.stats import Stats, read_stats
from web.problems import Problem, not_found
from web.throttle import UPLOADS

ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Json(JSONRenderer):
    json_dumps_params = {"ensure_ascii": False}


class JsonApi(NinjaAPI):
    """Answers in one shape whatever happens, also where the framework answers by itself."""

    complete: Callable[[OpenAPISchema], None]  # adds the routes beside it to the specification

    @property
    def urls(self) -> tuple[list[Any], str, str]:
        patterns, app, namespace = super().urls
        for pattern in patterns:
            if asyncio.iscoroutinefunction(pattern.callback):
                pattern.callback = _in_shape(pattern.callback)
        return patterns, app, namespace

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """With what every POST takes and may answer, since `first_answer` stands before it."""
        schema = super().get_openapi_schema(**options)
        problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        for path in schema["paths"].values():
            if post := path.get("post"):
                post.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
                for status in (400, 404, 409):
                    post["responses"].setdefault(status, {"description": HTTPStatus(status).phrase, "content": problem})
        self.complete(schema)
        return schema


IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "description": "The same request with the same key gives the first answer again, for a day (of each person’s last "
    "2,000): its status code and the status of the work as they were, with the title and the text as they are now. 404 "
    "where the recording was deleted since.",
}


def _in_shape(view: Callable[..., Awaitable[HttpResponseBase]]) -> Callable[..., Awaitable[HttpResponseBase]]:
    @wraps(view)
    async def shaped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            response = await first_answer(request, lambda: view(request, *args, **kwargs), RecordingMemory())
        except Exception as failure:
            response = on_failure(request, failure)
        if response.status_code == 405:
            allowed = {"Allow": ", ".join(sorted(response.headers["Allow"].split(", ")))}
            response = answer(Problem("method_not_allowed", headers=allowed, method=request.method))
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return shaped


api = JsonApi(
    title="Stile 听序",
    version=settings.VERSION,
    urls_namespace="api-1",
    description="Recordings in, text out, through one gate that never overloads the Whisper server.\n\n"
    "Send `Authorization: Bearer <token>`; `manage.py create_token NAME` makes one. Errors are always "
    '`{"error": {"code", "message"}}`.\n\n'
    "A token reads titles, texts and sound with the scope `read` only. Without it, the answer to a change has the ids "
    "and the status of what was changed, and nothing else.",
    auth=needs(Scope.READ),
    renderer=Json(),
)
for handled in (Exception, Http404, HttpError, ValidationError):  # ninja has its own for each
    api.exception_handler(handled)(on_failure)


# --- Recordings --------------------------------------------------------------------------------


@api.get(
    "recordings/stats/asr-concurrency",
    auth=needs(Scope.STATS),
    response={200: Stats, **errors()},
    summary="What the gate does now, and has done",
    tags=["stats"],
)
async def stats(request: ApiRequest) -> Stats:
    return read_stats(await job_counts())


@api.post(
    "recordings",
    auth=needs(Scope.WRITE),
    response={201: Recorded, 200: Recorded, **errors(400, 413, 415, 507)},
    summary="Upload a recording",
    tags=["recordings"],
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


@api.get(
    "recordings",
    response={200: RecordingPage, **errors()},
    summary="List recordings, newest first",
    tags=["recordings"],
)
async def list_recordings(
    request: ApiRequest,
    q: QueryEx[str, P(max_length=200, description="Words in titles and transcripts.")] = "",
    status: Literal["new", "queued", "transcribing", "done", "failed", "canceled"] | None = None,
    limit: QueryEx[int, P(ge=1, le=100)] = 50,
    cursor: QueryEx[str | None, P(pattern=r"^[0-9]{1,18}$", description="The `next_cursor` of a page.")] = None,
) -> dict[str, Any]:
    entries, more = await apage(
        request.auth.user.pk,
        query=q.replace("\0", "").strip(),  # PostgreSQL takes no NUL
        status=status,
        before=int(cursor) if cursor else None,
        limit=limit,
    )
    return {"items": await listed_recordings(entries), "next_cursor": str(more) if more else None}


@api.get(
    "recordings/{int:id}",
    response={200: RecordingOut, **errors(404)},
    summary="Look at a recording",
    tags=["recordings"],
)
async def get_recording(request: ApiRequest, id: int) -> dict[str, Any]:
    return await one_recording(request.auth, id)


@api.patch(
    "recordings/{int:id}",
    auth=needs(Scope.WRITE),
    response={200: Recorded, **errors(400, 404)},
    summary="Change its title or language",
    tags=["recordings"],
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


@api.delete(
    "recordings/{int:id}",
    auth=needs(Scope.WRITE),
    response={204: None, **errors(404)},
    summary="Delete it, its work and its files",
    tags=["recordings"],
)
async def remove_recording(request: ApiRequest, id: int) -> Any:
    await adelete_recording((await afind(request.auth.user.pk, id)).recording)
    return Status(204, None)


@api.post(
    "ws-ticket",
    auth=needs(*Scope.values),
    response={200: SocketTicketOut, **errors()},
    summary="Get a ticket for a WebSocket",
    tags=["sockets"],
)
async def socket_ticket(request: ApiRequest) -> dict[str, Any]:
    """Append it as `?ticket=…`: it opens one socket, once, with the rights of the token or the session that asks."""
    token = request.auth.token
    secret = await SocketTicket.issue(token, "" if token else kept_as(request.session.session_key or ""))
    return {"ticket": secret, "expires_in": int(SocketTicket.LIFE.total_seconds())}


# --- Work --------------------------------------------------------------------------------------


@api.post(
    "recordings/{int:id}/transcribe",
    auth=needs(Scope.TRANSCRIBE, Scope.WRITE),
    response={202: Recorded, **errors(400, 404)},
    summary="Transcribe it (again)",
    tags=["transcriptions"],
)
async def transcribe(request: ApiRequest, response: HttpResponse, id: int, options: TranscribeIn | None = None) -> Any:
    """While one is queued or running, a second request answers with that same one."""
    recording = (await afind(request.auth.user.pk, id)).recording
    asked = options.model_dump() if options else {}
    try:
        await aqueue_transcription(recording, **asked)
    except IntegrityError:  # deleted in this very moment
        raise not_found() from None
    response["Location"] = request.path.removesuffix("/transcribe")
    return Status(202, await one_recording(request.auth, id))


@api.post(
    "recordings/{int:id}/cancel",
    auth=needs(Scope.TRANSCRIBE, Scope.WRITE),
    response={200: Recorded, **errors(404)},
    summary="Stop its transcription",
    tags=["transcriptions"],
)
async def cancel(request: ApiRequest, id: int) -> dict[str, Any]:
    """The audio and what was transcribed so far stay. Where nothing is queued or running, nothing changes."""
    await acancel_transcription((await afind(request.auth.user.pk, id)).recording)
    return await one_recording(request.auth, id)


@api.get(
    "recordings/{int:id}/transcriptions",
    response={200: TranscriptionList, **errors(404)},
    summary="All that were made of it, newest first",
    tags=["transcriptions"],
)
async def list_transcriptions(request: ApiRequest, id: int) -> dict[str, Any]:
    return {"items": await listed_transcriptions(await afind(request.auth.user.pk, id))}


@api.post(
    "recordings/{int:id}/transcriptions/{int:transcription}/restore",
    auth=needs(Scope.WRITE),
    response={200: Recorded, **errors(404, 409)},
    summary="Go back to an earlier one",
    tags=["transcriptions"],
)
async def restore_transcription(request: ApiRequest, id: int, transcription: int) -> dict[str, Any]:
    """Its text is the recording’s from now on, until a newer transcription is done. All are kept."""
    entry = await afind(request.auth.user.pk, id, transcription)
    await arestore(entry.recording, entry.shown)
    return await one_recording(request.auth, id)


# --- Text and sound ----------------------------------------------------------------------------


def _files(*media_types: str, status: int = 200) -> dict[str, Any]:
    schema = {"schema": {"type": "string"}}
    return {"responses": {status: {"content": dict.fromkeys(media_types, schema)}}}


@api.get(
    "recordings/{int:id}/transcript",
    response={200: TranscriptOut, **errors(404, 409)},
    openapi_extra=_files(*(media_type for name, (media_type, _) in FORMATS.items() if name != "json")),
    summary="Its text, as data or as a file",
    tags=["transcripts"],
)
async def transcript(
    request: ApiRequest,
    id: int,
    format: Format = "json",
    transcription: QueryEx[int | None, P(description="Another one’s than the text that is shown.")] = None,
) -> HttpResponse:
    """Of the transcription restored last, else of the newest that is done; before there is one, json gives what is
    there so far."""
    found = await transcript_of(await afind(request.auth.user.pk, id, transcription))
    if format != "json" and not found.transcription.finished:
        raise Problem("not_finished")
    media_type, write = FORMATS[format]
    content = await asyncio.to_thread(write, found)
    charset = "; charset=utf-8" if isinstance(content, str) else ""
    response = HttpResponse(content, content_type=media_type + charset)
    if format != "json":
        filename = download_name(found.recording.title, f".{format}")
        response["Content-Disposition"] = content_disposition_header(True, filename) or "attachment"
    return response


@api.patch(
    "recordings/{int:id}/segments/{int:index}",
    auth=needs(Scope.WRITE),
    response={200: SegmentOut | SegmentStatus, **errors(400, 404), 409: Conflict},
    summary="Correct a segment’s text",
    tags=["transcripts"],
)
async def correct_segment(request: ApiRequest, id: int, index: int, patch: SegmentPatch) -> Any:
    """The machine’s text is kept beside the correction. Send the `transcription` and the `version` that you read, and
    no change of somebody else’s is lost."""
    entry = await afind(request.auth.user.pk, id, patch.transcription)
    try:
        return await one_segment(
            request.auth, await acorrect(entry.recording, entry.shown, index, patch.text, patch.version)
        )
    except EditConflict as conflict:
        return Status(409, conflict.body() | {"segment": await one_segment(request.auth, conflict.segment)})


@api.api_operation(["HEAD"], "recordings/{int:id}/audio", include_in_schema=False)
@api.get(
    "recordings/{int:id}/audio",
    response={200: None, 206: None, 304: None, 416: None, **errors(404)},
    openapi_extra=_files("audio/*", "video/*"),
    summary="Its sound",
    tags=["recordings"],
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


@api.api_operation(ANY_METHOD, "{path:rest}", auth=None, include_in_schema=False)
async def nothing_here(request: HttpRequest, rest: str) -> None:
    raise not_found()
