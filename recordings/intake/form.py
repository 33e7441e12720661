"""A file in a multipart form: streamed to disk, digested on the way, and whole or refused."""

import base64
import binascii
import hashlib
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest, QueryDict
from django.http.multipartparser import ChunkIter, InterBoundaryIter, LazyStream, MultiPartParserError
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _

from recordings.storage import space
from recordings.text import filename_fault
from web.parts import Head, HeadTooLong, decoded, read_head
from web.problems import Problem

LOOK_EVERY = 4 * 1024**2  # bytes of a file between two looks at the space on the disk


class ReceivedFile(TemporaryUploadedFile):
    """An uploaded file on disk, whole, with the SHA-256 digest of its bytes in hexadecimal."""

    sha256: str


class UploadHandler(FileUploadHandler):
    """Django's hook for forms with a file: writes it to FILE_UPLOAD_TEMP_DIR while it comes in.

    Raises Problem 413 past MAX_UPLOAD_BYTES, 507 where the disk is full, 400 for a form that is broken.
    """

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
    """A multipart form while it comes in. Django cuts it at its boundaries; `web.parts` reads the headers of its parts.

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
        """Returns the fields and the files. Raises Problem, and Django's errors for a form with too much in it."""
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
        """The value of a field. All fields together may hold DATA_UPLOAD_MAX_MEMORY_SIZE."""
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
        """Pass the bytes of a file to the receiver."""
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
    """Decode the bytes of a part in base64. Raises MultiPartParserError."""
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
    """Writes the chunks of one file to disk, and computes its digest."""

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
            raise Problem("too_large")
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
    """Remove the files that killed processes left: those that nobody wrote to for `older_than` seconds.

    A day by default, since other processes may share the folder.
    """
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*.upload"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime >= older_than:
                path.unlink()
