"""The two addresses of resumable uploads: all of them, and one."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.http import http_date
from django.views.decorators.csrf import csrf_exempt

from accounts.auth import BearerToken, Caller, Scope, SessionCookie
from recordings.failures import on_failure
from recordings.intake.tus.completing import complete, make_recording
from recordings.intake.tus.part import append, begin, claimed, claimed_soon, wrong_offset
from recordings.intake.tus.protocol import (
    PIECE_TYPE,
    VERSION,
    abilities,
    read_metadata,
    require_checksum,
    require_known_extensions,
    require_piece,
    require_version,
    whole_number,
)
from recordings.models import Upload
from web.patience import to_its_end
from web.problems import Problem, not_found
from web.throttle import UPLOADS

Handler = Callable[..., Coroutine[Any, Any, HttpResponse]]


def _resource(**handlers: Handler) -> Handler:
    """The view of one address, with a handler for each method.

    It checks the version and the caller's right, finds the upload, and renders errors as the API does.
    """
    methods = ", ".join(sorted([*handlers, "OPTIONS"]))

    @csrf_exempt  # SessionCookie checks it
    async def view(request: HttpRequest, key: UUID | None = None) -> HttpResponse:
        try:
            response = await respond(request, key)
        except Exception as failure:
            response = on_failure(request, failure)
        response["Tus-Resumable"] = VERSION
        response["Cache-Control"] = "no-store"
        return response

    async def respond(request: HttpRequest, key: UUID | None) -> HttpResponse:
        method = str(request.method)
        if method == "OPTIONS":
            return abilities()
        if method not in handlers:
            raise Problem("method_not_allowed", headers={"Allow": methods}, method=method)
        caller = await BearerToken(Scope.WRITE)(request) or await SessionCookie()(request)
        require_version(request)
        if key is None:
            return await handlers[method](request, caller)
        upload = await _find(caller, key)
        try:
            return await handlers[method](request, caller, upload)
        except FileNotFoundError:
            raise await _why_gone(upload) from None

    return view


async def _create(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Begin an upload. A wrong name, size or option is refused here, before a byte of the file is sent."""
    require_known_extensions(request)
    size = whole_number(request, "Upload-Length")
    if size == 0:
        raise Problem("empty_file")
    if size > settings.MAX_UPLOAD_BYTES:
        raise Problem("too_large")
    metadata = request.headers.get("Upload-Metadata", "")
    read_metadata(metadata)
    UPLOADS.require(caller.user.pk)
    upload = await sync_to_async(begin)(Upload(owner=caller.user, bytes=size, metadata=metadata))
    twin = None
    if request.content_type == PIECE_TYPE:
        try:
            twin = await to_its_end(_append(request, caller, upload, offset=0))
        except BaseException:  # the client never learns its address
            await sync_to_async(upload.discard)()
            raise
    response = HttpResponse(status=201, headers=await _state(upload, twin))
    response["Location"] = f"{request.path}/{upload.pk}"
    return response


async def _ask(request: HttpRequest, caller: Caller, upload: Upload) -> HttpResponse:
    """How far the upload has got, in headers."""
    headers = {"Upload-Length": str(upload.bytes), **await _state(upload)}
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    return HttpResponse(headers=headers)


async def _look(request: HttpRequest, caller: Caller, upload: Upload) -> HttpResponse:
    """The upload as JSON. Where the server was killed after the last byte came, it becomes a recording now."""
    state = await _state(upload)
    twin = None
    if upload.recording_id is None and state["Upload-Offset"] == str(upload.bytes):
        twin = await to_its_end(complete(caller, upload))
    return await _shown(upload, twin)


async def _insist(request: HttpRequest, caller: Caller, upload: Upload) -> HttpResponse:
    """Make a recording although the owner has the same bytes: the decision that `duplicate=ask` waits for."""
    size = int((await _state(upload))["Upload-Offset"])
    if size < upload.bytes:
        raise wrong_offset(size)
    if upload.recording_id is None:
        await to_its_end(complete(caller, upload, duplicate="allow"))
    return await _shown(upload)


async def _shown(upload: Upload, twin: int | None = None) -> HttpResponse:
    state = await _state(upload, twin)
    body = {
        "id": str(upload.pk),
        "offset": int(state["Upload-Offset"]),
        "length": upload.bytes,
        "expires_at": upload.expires_at,
        "recording": upload.recording_id,
        "duplicate": twin,
    }
    return JsonResponse(body, headers=state)


async def _continue(request: HttpRequest, caller: Caller, upload: Upload) -> HttpResponse:
    """Add a piece."""
    require_piece(request)
    twin = await to_its_end(_append(request, caller, upload, whole_number(request, "Upload-Offset")))
    return HttpResponse(status=204, headers=await _state(upload, twin))


async def _terminate(request: HttpRequest, caller: Caller, upload: Upload) -> HttpResponse:
    """Forget the upload. A recording that was made of it stays."""
    if upload.recording_id:
        await upload.adelete()
    else:
        async with claimed_soon(upload):
            await sync_to_async(upload.discard)()
    return HttpResponse(status=204)


async def _find(caller: Caller, key: UUID) -> Upload:
    found = Upload.objects.filter(pk=key, owner=caller.user, expires_at__gt=timezone.now())
    if upload := await found.afirst():
        return upload
    raise not_found()


async def _state(upload: Upload, twin: int | None = None) -> dict[str, str]:
    """The headers that say how the upload stands. Raises FileNotFoundError where the part is gone.

    twin: as returned by `make_recording`.
    """
    offset = await asyncio.to_thread(lambda: upload.offset)
    state = {"Upload-Offset": str(offset), "Upload-Expires": http_date(upload.expires_at.timestamp())}
    if upload.recording_id:
        state["Stile-Recording"] = str(upload.recording_id)
    elif twin:
        state["Stile-Duplicate"] = str(twin)
    return state


async def _append(request: HttpRequest, caller: Caller, upload: Upload, offset: int) -> int | None:
    """Add the request's body at `offset`. With the last byte, make the recording; returns as `make_recording`."""
    piece = request._stream  # on disk, where it is large
    # Not asyncio.to_thread: it loses the language of the errors.
    await sync_to_async(require_checksum, thread_sensitive=False)(request, piece)
    if upload.recording_id:
        size = upload.bytes
        if offset != size or piece.seek(0, os.SEEK_END):
            raise wrong_offset(size)
        return None
    with claimed(upload) as part:
        size = await sync_to_async(append, thread_sensitive=False)(part, offset, piece, upload.bytes)
        return await make_recording(caller, upload) if size == upload.bytes else None


async def _why_gone(upload: Upload) -> Problem:
    """The answer where the part is missing: another request may have made the recording just now."""
    done = Upload.objects.filter(pk=upload.pk, recording__isnull=False)
    return Problem("upload_busy") if await done.aexists() else not_found()


uploads = _resource(POST=_create)
upload = _resource(HEAD=_ask, GET=_look, PATCH=_continue, POST=_insist, DELETE=_terminate)
