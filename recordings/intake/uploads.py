"""How a file comes in: streamed to disk and digested on the way, judged by its content, kept whole or not at all."""

import asyncio
import base64
import binascii
import hashlib
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Literal, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.http.multipartparser import (
    ChunkIter,
    InterBoundaryIter,
    LazyStream,
    MultiPartParserError,
)
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _

from recordings.events import recording_changed
from recordings.library.organising import adelete_recording
from recordings.models import Recording, Upload, kept_spans, kept_tracks, want_copy
from recordings.storage import quota, space
from recordings.storage.files import keeping
from recordings.text import filename_fault, one_line
from recordings.work.jobs import queue_transcription
from transcription.audio import AudioInfo, apart
from transcription.errors import BadAudio
from transcription.writing import head
from web.parts import Head, HeadTooLong, decoded, read_head
from web.patience import to_its_end
from web.problems import Problem

LOOK_EVERY = 4 * 1024**2  # bytes of a file between two looks at the room that the disk has


class ReceivedFile(TemporaryUploadedFile):
    """An upload on disk, whole, with the digest of its bytes."""

    sha256: str


class UploadHandler(FileUploadHandler):
    """Writes the file to FILE_UPLOAD_TEMP_DIR as it comes, and stops at MAX_UPLOAD_BYTES (Problem 413)."""

    def handle_raw_input(
        self,
        input_data: Any,
        META: Mapping[str, Any],
        content_length: int,
        boundary: Any,
        encoding: str | None = None,
    ) -> tuple[QueryDict, "MultiValueDict[str, UploadedFile[bytes]]"]:
        receiver = _Receiver(self.request)
        try:
            return _Form(input_data, boundary, receiver).read()
        except BaseException as failure:
            receiver.upload_interrupted()
            if isinstance(failure, HeadTooLong):
                raise Problem("bad_request", _("The headers of a part of the form are too long.")) from failure
            raise


class _Form:
    """A multipart form as it comes in, cut by Django at its boundaries; the parts' headers are read by `parts`.

    Django's own reader takes a file without a name for a field, refuses names that are not in UTF-8, and cuts paths and
    control characters off a name in silence.
    """

    def __init__(self, body: Any, boundary: bytes, receiver: "_Receiver") -> None:
        self._parts = InterBoundaryIter(LazyStream(ChunkIter(body, receiver.chunk_size)), b"--" + boundary)
        self._receiver = receiver
        self._post = QueryDict(mutable=True)
        self._files: MultiValueDict[str, UploadedFile[bytes]] = MultiValueDict()
        self._left = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        self._size = 0  # of the file so far

    def read(self) -> tuple[QueryDict, "MultiValueDict[str, UploadedFile[bytes]]"]:
        """The fields and the files. Raises Problem, and Django's errors for a form with too much in it."""
        unfinished = ""
        for number, part in enumerate(self._parts):
            if unfinished:  # the boundary after a file has come: the file is whole
                self._files.appendlist(unfinished, self._receiver.file_complete(self._size))
                unfinished = ""
            if number > settings.DATA_UPLOAD_MAX_NUMBER_FIELDS + 2:  # 2: before the first boundary, after the last
                raise TooManyFieldsSent
            head = read_head(part)
            if head and head.is_file:
                self._take(head, part)
                unfinished = head.name
            elif head:
                self._post.appendlist(head.name, self._value(head, part))
            deque(part, maxlen=0)  # what nobody reads
        if unfinished:
            raise Problem("cut_off")
        self._post._mutable = False
        return self._post, self._files

    def _value(self, head: Head, part: LazyStream) -> str:
        """A field's value. Its fields together may hold as much as Django allows."""
        raw = part.read(self._left + 1)
        self._left -= len(raw) + len(head.name)
        if self._left < 0:
            message = _("The field “%(name)s” is too long. If it is the file, give it a file name.")
            raise Problem("too_large", message % {"name": head.name[:50]}, param=head.name)
        if head.base64:
            with suppress(binascii.Error):
                raw = base64.b64decode(raw)
        return decoded(raw)

    def _take(self, head: Head, part: LazyStream) -> None:
        if len(self._files) >= settings.DATA_UPLOAD_MAX_NUMBER_FILES:
            raise TooManyFilesSent
        if fault := filename_fault(head.filename):
            raise Problem("invalid_filename", fault)
        self._receiver.new_file(head.name, head.filename, head.content_type, None)
        self._size = 0
        for chunk in _unpacked(part) if head.base64 else part:
            self._receiver.receive_data_chunk(chunk, self._size)
            self._size += len(chunk)


def _unpacked(part: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a part in base64. Raises MultiPartParserError."""
    rest = b""
    try:
        for chunk in part:
            letters = rest + b"".join(chunk.split())
            whole = len(letters) // 4 * 4
            rest = letters[whole:]
            yield base64.b64decode(letters[:whole], validate=True)
    except binascii.Error:
        rest = b"?"
    if rest:
        raise MultiPartParserError("Not base64")


class _Receiver(FileUploadHandler):
    file: ReceivedFile

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self._digest = hashlib.sha256()
        self._look_at = 0

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        sweep()
        # No suffix from the person's name: a long one would be refused by the file system.
        self.file = ReceivedFile("upload", self.content_type or "", 0, self.charset or "")
        self.file.name = self.file_name or None

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if start + len(raw_data) > settings.MAX_UPLOAD_BYTES:
            raise too_large()
        if start >= self._look_at:
            space.require(LOOK_EVERY)
            self._look_at = start + LOOK_EVERY
        self.file.write(raw_data)
        self._digest.update(raw_data)

    def file_complete(self, file_size: int) -> "UploadedFile[bytes]":
        self.file.seek(0)
        self.file.size = file_size
        self.file.sha256 = self._digest.hexdigest()
        return self.file

    def upload_interrupted(self) -> None:
        if hasattr(self, "file"):
            with suppress(OSError):  # a full disk: what is still buffered cannot be written, and need not
                self.file.close()


def sweep(older_than: float = 24 * 3600) -> None:
    """Remove what killed processes left half-received; a file untouched for `older_than` seconds is nobody's.

    A day by default, since other hosts may share the folder; a process that is alone may pass 0 at its start.
    """
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*.upload"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime >= older_than:
                path.unlink()


def too_large() -> Problem:
    return Problem("too_large")


async def accept_upload(
    owner: User,
    file: ReceivedFile,
    *,
    source: str,
    title: str = "",
    language: str = "",
    prompt: str = "",
    track: int = 0,
    transcribe: bool = True,
    duplicate: Literal["allow", "reuse"] = "allow",
    upload: Upload | None = None,
) -> tuple[Recording, bool]:
    """Make a recording of a whole file and queue its transcription; returns it and whether it is new.

    All or nothing: a failure, or the caller's cancellation at any moment, leaves neither file nor row. With
    duplicate="reuse" the owner's newest recording of the same bytes is returned as it is. `upload`, by which the file
    came, gets the recording in the transaction that makes it. Raises Problem 400, 415 or 422 where the file is not
    audio that can be transcribed, 413 where the owner has no room for it.
    """
    recording = Recording(
        owner=owner,
        title=title or _title(file.name or ""),
        original_name=file.name or "",
        sha256=file.sha256,
        bytes=file.size or 0,
        source=source,
        language=language,
        prompt=prompt,
        track=track,
    )
    try:
        if duplicate == "reuse" and (existing := await _twins(recording).afirst()):
            file.close()
            return existing, False
        info = await _probe(file, owner, track)
    except BaseException:
        file.close()
        raise
    recording.duration, recording.media_type = info.duration, info.media_type
    recording.damaged, recording.tracks = kept_spans(info.damaged), kept_tracks(info.tracks)
    making = asyncio.ensure_future(_make(recording, file, info.plays, transcribe, duplicate, upload))
    try:
        return await to_its_end(making)
    except asyncio.CancelledError:
        await to_its_end(_take_back(making))
        raise


async def _make(
    recording: Recording, file: ReceivedFile, plays: bool, transcribe: bool, duplicate: str, upload: Upload | None
) -> tuple[Recording, bool]:
    try:
        return await sync_to_async(_keep)(recording, file, plays, transcribe, duplicate, upload)
    finally:
        file.close()


async def _take_back(making: asyncio.Future[tuple[Recording, bool]]) -> None:
    try:
        kept, created = await making
    except Exception:
        return  # nothing was made
    if created:
        await adelete_recording(kept)


def _title(name: str) -> str:
    """From a file's name, if anything of it can be read: U+FFFD stands for what cannot."""
    stem = head(one_line(PurePath(name).stem), 255)
    return stem if stem.strip("\ufffd .-_") else _("Recording")


def _twins(recording: Recording) -> QuerySet[Recording]:
    return Recording.objects.filter(owner_id=recording.owner_id, sha256=recording.sha256).order_by("-id")


async def _probe(file: ReceivedFile, owner: User, track: int) -> AudioInfo:
    sound = cast(BinaryIO, file.file)
    try:
        return await apart.audio_info(sound, max_hours=settings.MAX_AUDIO_HOURS, owner=owner.pk, track=track or None)
    except BadAudio as error:
        raise Problem(error.code, detail=error.detail or "?") from error


class _Known(Exception):
    """The same bytes are a recording already."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording


def _keep(
    recording: Recording, file: ReceivedFile, plays: bool, transcribe: bool, duplicate: str, upload: Upload | None
) -> tuple[Recording, bool]:
    """Move the file into the storage and make the rows, all or nothing."""
    try:
        with keeping(recording, file):
            # One at a time per owner: of two equal uploads at once the second finds the first, and the quota holds.
            User.objects.select_for_update().get(pk=recording.owner_id)
            if duplicate == "reuse" and (existing := _twins(recording).first()):
                raise _Known(existing)
            quota.require(recording.owner_id, recording.bytes, besides=upload)
            recording.save()
            if not plays:
                want_copy(recording)
            if upload:
                Upload.objects.filter(pk=upload.pk).update(recording=recording)
            if transcribe:
                queue_transcription(recording)
            else:
                recording_changed(recording.pk, recording.owner_id)
    except _Known as known:
        return known.recording, False
    return recording, True
