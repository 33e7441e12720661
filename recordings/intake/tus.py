"""Resumable uploads: the tus protocol, 1.0 (https://tus.io/protocols/resumable-upload), at /api/uploads.

A file comes in requests of any size. Each is appended in pieces of 8 MB (`pieces`) to the file's part on disk.
The size of the part alone says how far the upload has got. A connection that breaks keeps what has come; a server that
is killed loses the piece under way. A request that writes holds a lock on the part, which ends with its process.
"""

import asyncio
import binascii
import fcntl
import hashlib
import os
import time
from base64 import b64decode
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.http import http_date
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from pydantic import ValidationError

from accounts.auth import BearerToken, Caller, Scope, SessionCookie
from recordings.api.schemas import UploadMetadata
from recordings.failures import invalid_request, on_failure
from recordings.intake.uploads import ReceivedFile, accept_upload, too_large
from recordings.models import Recording, Upload
from recordings.storage import quota, space
from recordings.storage.files import second_name
from recordings.text import filename_fault
from web.parts import decoded
from web.patience import to_its_end
from web.problems import Problem, not_found
from web.throttle import UPLOADS

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,termination,checksum"
NOT_DONE = {"Upload-Concat": "concatenation", "Upload-Defer-Length": "creation-defer-length"}
ALGORITHMS = ("sha1", "sha256", "md5")  # sha1 is the one that the protocol asks of everybody
PIECE_TYPE = "application/offset+octet-stream"
BLOCK = 1024**2  # bytes that are copied at once
PATIENCE = 2.0  # seconds that a removal waits for the piece under way: 8 MB are written in far less
BAD_FILE = (400, 415, 422)  # what accept_upload says of one, whenever it comes

Handler = Callable[..., Coroutine[Any, Any, HttpResponse]]


# --- The protocol ------------------------------------------------------------------------------


def _resource(**handlers: Handler) -> Handler:
    """A view of one address: the protocol's version, the caller's right, and errors in the API's shape."""
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
            return _abilities()
        if method not in handlers:
            raise Problem("method_not_allowed", headers={"Allow": methods}, method=method)
        caller = await BearerToken(Scope.WRITE)(request) or await SessionCookie()(request)
        if method != "GET" and request.headers.get("Tus-Resumable") != VERSION:  # GET is not the protocol's
            raise Problem("version_unsupported", headers={"Tus-Version": VERSION}, version=VERSION)
        if key is None:
            return await handlers[method](request, caller)
        upload = await _find(caller, key)
        try:
            return await handlers[method](request, caller, upload)
        except FileNotFoundError:
            raise await _why_gone(upload) from None

    return view


def _abilities() -> HttpResponse:
    return HttpResponse(
        status=204,
        headers={
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(settings.MAX_UPLOAD_BYTES),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        },
    )


async def _create(request: HttpRequest, caller: Caller) -> HttpResponse:
    """What is wrong with the file's name, size or options is said now, before a byte of it is sent."""
    for header, extension in NOT_DONE.items():
        if header in request.headers:  # taken for an ordinary upload, each part would become a recording
            headers = {"Tus-Extension": EXTENSIONS}
            raise Problem("extension_unsupported", headers=headers, extension=extension)
    size = _number(request, "Upload-Length")
    if size == 0:
        raise Problem("empty_file")
    if size > settings.MAX_UPLOAD_BYTES:
        raise too_large()
    metadata = request.headers.get("Upload-Metadata", "")
    _options(metadata)
    UPLOADS.require(caller.user.pk)
    await sync_to_async(remove_expired)()
    upload = await sync_to_async(_open)(Upload(owner=caller.user, bytes=size, metadata=metadata))
    twin = None
    if request.content_type == PIECE_TYPE:
        try:
            twin = await to_its_end(_append(request, caller, upload, offset=0))
        except BaseException:  # its address was never told
            await sync_to_async(upload.discard)()
            raise
    response = HttpResponse(status=201, headers=await _state(upload, twin))
    response["Location"] = f"{request.path}/{upload.pk}"
    return response


async def _ask(request: HttpRequest, caller: Caller, upload: Upload) -> HttpResponse:
    headers = {"Upload-Length": str(upload.bytes), **await _state(upload)}
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    return HttpResponse(headers=headers)


async def _look(request: HttpRequest, caller: Caller, upload: Upload) -> HttpResponse:
    """The upload as JSON; one whose last byte came while the server was killed becomes a recording now."""
    state = await _state(upload)
    twin = None
    if upload.recording_id is None and state["Upload-Offset"] == str(upload.bytes):
        twin = await to_its_end(_complete(caller, upload))
    return await _shown(upload, twin)


async def _insist(request: HttpRequest, caller: Caller, upload: Upload) -> HttpResponse:
    """Make a recording of it although the same bytes are there: the answer to `duplicate=ask`."""
    size = int((await _state(upload))["Upload-Offset"])
    if size < upload.bytes:
        raise _elsewhere(size)
    if upload.recording_id is None:
        await to_its_end(_complete(caller, upload, duplicate="allow"))
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
    if request.content_type != PIECE_TYPE:
        raise Problem("wrong_content_type", type=PIECE_TYPE)
    twin = await to_its_end(_append(request, caller, upload, _number(request, "Upload-Offset")))
    return HttpResponse(status=204, headers=await _state(upload, twin))


async def _terminate(request: HttpRequest, caller: Caller, upload: Upload) -> HttpResponse:
    """The recording that came of it, if one did, stays."""
    if upload.recording_id:
        await upload.adelete()
    else:
        with ExitStack() as claim:
            await _claim_soon(claim, upload)
            await sync_to_async(upload.discard)()
    return HttpResponse(status=204)


async def _find(caller: Caller, key: UUID) -> Upload:
    found = Upload.objects.filter(pk=key, owner=caller.user, expires_at__gt=timezone.now())
    if upload := await found.afirst():
        return upload
    raise not_found()


async def _state(upload: Upload, twin: int | None = None) -> dict[str, str]:
    """`twin`: see `_make_recording`. Raises FileNotFoundError where the part is gone."""
    offset = await asyncio.to_thread(lambda: upload.offset)
    state = {"Upload-Offset": str(offset), "Upload-Expires": http_date(upload.expires_at.timestamp())}
    if upload.recording_id:
        state["Stile-Recording"] = str(upload.recording_id)
    elif twin:
        state["Stile-Duplicate"] = str(twin)
    return state


# --- What is sent ------------------------------------------------------------------------------


def _number(request: HttpRequest, header: str) -> int:
    value = request.headers.get(header, "")
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise Problem("bad_request", _("The %(header)s header must be a whole number.") % {"header": header})
    return int(value)


def _options(metadata: str) -> tuple[str, UploadMetadata]:
    """The file's name and what is asked for, from “key base64,key base64”. Raises Problem 400 or 422."""
    try:
        pairs = [pair.strip().partition(" ") for pair in metadata.split(",") if pair.strip()]
        texts = {key: decoded(b64decode(value, validate=True)) for key, _space, value in pairs}
    except ValueError as error:
        raise Problem("bad_request", _("The Upload-Metadata header cannot be read.")) from error
    name = texts.pop("filename", "")
    if wrong := filename_fault(name):
        raise Problem("invalid_filename", wrong)
    try:
        return name, UploadMetadata.model_validate(texts)
    except ValidationError as error:
        raise invalid_request(error) from error


def _checksum(request: HttpRequest, piece: BinaryIO) -> None:
    """Raises Problem 400 or 460 where the Upload-Checksum header, if any, is not of this piece."""
    header = request.headers.get("Upload-Checksum")
    if header is not None:
        algorithm, _space, digest = header.partition(" ")
        if algorithm not in ALGORITHMS:
            raise Problem("checksum_unsupported", algorithms=", ".join(ALGORITHMS))
        try:
            expected = b64decode(digest, validate=True)
        except binascii.Error as error:
            raise Problem("bad_request", _("The Upload-Checksum header cannot be read.")) from error
        found = hashlib.new(algorithm, usedforsecurity=False)
        while block := piece.read(BLOCK):
            found.update(block)
        if found.digest() != expected:
            raise Problem("checksum_mismatch")


# --- The part on disk --------------------------------------------------------------------------


def _open(upload: Upload) -> Upload:
    """What is announced counts as the owner's from now on. Raises Problem 413 or 507 where there is no room for it."""
    space.require(upload.bytes)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=upload.owner_id)  # one at a time per owner, so that the quota holds
        quota.require(upload.owner_id, upload.bytes)
        upload.save(force_insert=True)
        upload.part.touch(exist_ok=False)
    return upload


@contextmanager
def _claimed(upload: Upload) -> Iterator[BinaryIO]:
    """The part, for one at a time, whichever process they are in. Raises FileNotFoundError, or Problem 423."""
    with upload.part.open("r+b", buffering=0) as part:
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy() from None
        yield part


async def _claim_soon(claim: ExitStack, upload: Upload) -> None:
    """As `_claimed`, once the piece under way is written: who removes an upload has mostly just broken one off."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            claim.enter_context(_claimed(upload))
            return
        except Problem:
            if time.monotonic() > end:
                raise
        await asyncio.sleep(0.05)


def _busy() -> Problem:
    return Problem("upload_busy")


async def _why_gone(upload: Upload) -> Problem:
    """Between the look at the row and the look at the part, another request may have made the recording."""
    done = Upload.objects.filter(pk=upload.pk, recording__isnull=False)
    return _busy() if await done.aexists() else not_found()


async def _append(request: HttpRequest, caller: Caller, upload: Upload, offset: int) -> int | None:
    """Add the request's body at `offset`; with the last byte, the upload becomes a recording or waits for an answer."""
    piece = request._stream  # on disk, where it is large
    # Not asyncio.to_thread: it loses the language of what these two may have to say.
    await sync_to_async(_checksum, thread_sensitive=False)(request, piece)
    if upload.recording_id:
        size = upload.bytes
        if offset != size or piece.seek(0, os.SEEK_END):
            raise _elsewhere(size)
        return None
    with _claimed(upload) as part:
        size = await sync_to_async(_write, thread_sensitive=False)(part, offset, piece, upload.bytes)
        return await _make_recording(caller, upload) if size == upload.bytes else None


def _write(part: BinaryIO, offset: int, piece: BinaryIO, most: int) -> int:
    """Append all of the piece or nothing; returns the new size."""
    size = part.seek(0, os.SEEK_END)
    if size != offset:
        raise _elsewhere(size)
    length = piece.seek(0, os.SEEK_END)
    piece.seek(0)
    if size + length > most:
        raise Problem("too_large", _("This is more than the length that was announced for the upload."))
    space.require(length)
    try:
        while block := piece.read(BLOCK):
            left = memoryview(block)
            while left:
                left = left[part.write(left) :]
    except OSError:
        part.truncate(size)
        raise
    return size + length


def _elsewhere(size: int) -> Problem:
    return Problem("wrong_offset", offset=size)


# --- From a part to a recording ----------------------------------------------------------------


async def _complete(caller: Caller, upload: Upload, **instead: str) -> int | None:
    with _claimed(upload):
        return await _make_recording(caller, upload, **instead)


async def _make_recording(caller: Caller, upload: Upload, **instead: str) -> int | None:
    """By whoever holds the lock. A bad file goes at once; whatever else fails can be tried again. `instead`: options in
    place of those in the metadata. With duplicate="ask", returns the id of a recording of the same bytes, where there
    is one: nothing is made then, and the part waits for what the person decides."""
    await upload.arefresh_from_db(fields=["recording"])
    if upload.recording_id:
        return None
    name, options = _options(upload.metadata)
    wanted = options.model_dump() | instead
    asking = wanted["duplicate"] == "ask"
    if asking:
        wanted["duplicate"] = "reuse"
    if caller.token:
        wanted["source"] = Recording.Source.API
    file = await asyncio.to_thread(_LinkedPart, upload, name)
    try:
        recording, new = await accept_upload(caller.user, file, upload=upload, **wanted)
    except Problem as problem:
        if problem.status in BAD_FILE:
            await sync_to_async(upload.discard)()
        raise
    if asking and not new:
        return recording.pk
    upload.recording = recording
    await Upload.objects.filter(pk=upload.pk).aupdate(recording=recording)  # also where an earlier one is reused
    await asyncio.to_thread(upload.part.unlink, missing_ok=True)
    return None


class _LinkedPart(ReceivedFile):
    """The part under a second name, which may be moved or removed: the upload loses nothing if that goes wrong."""

    def __init__(self, upload: Upload, name: str) -> None:
        self.link = second_name(upload.part, ".upload")
        with self.link.open("rb") as whole:
            self.sha256 = hashlib.file_digest(whole, "sha256").hexdigest()
        UploadedFile.__init__(self, self.link.open("rb"), size=upload.bytes)
        self.name = name or None  # not the link's

    def temporary_file_path(self) -> str:
        return str(self.link)

    def close(self) -> None:
        UploadedFile.close(self)
        self.link.unlink(missing_ok=True)  # it is no longer there if it was moved to the storage


def remove_expired() -> None:
    """Forget uploads whose time is over, except one that is being written to at this moment."""
    for upload in Upload.expired():
        try:
            with _claimed(upload):
                upload.discard()
        except FileNotFoundError:
            upload.delete()
        except Problem:
            continue


uploads = _resource(POST=_create)
upload = _resource(HEAD=_ask, GET=_look, PATCH=_continue, POST=_insist, DELETE=_terminate)
