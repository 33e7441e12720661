"""The part of an upload: the file on disk that grows while the pieces come.

A request that writes holds a lock on it, which ends with its process.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import BinaryIO

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from recordings.intake.tus.protocol import BLOCK
from recordings.models import Upload
from recordings.storage import quota, space
from web.problems import Problem

PATIENCE = 2.0  # seconds that a removal waits for the piece under way: 8 MB are written in far less


def begin(upload: Upload) -> Upload:
    """Save a new upload, with an empty part, after those that expired are gone. Its announced size counts against its
    owner's quota from now on.

    Raises Problem 413 or 507 where there is no space for it.
    """
    remove_expired()
    space.require(upload.bytes)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=upload.owner_id)  # one at a time per owner, so that the quota holds
        quota.require(upload.owner_id, upload.bytes)
        upload.save(force_insert=True)
        upload.part.touch(exist_ok=False)
    return upload


@contextmanager
def claimed(upload: Upload) -> Iterator[BinaryIO]:
    """The part, open and locked against all other requests, in this process and others.

    Raises FileNotFoundError, and Problem 423 where another request has the lock.
    """
    with upload.part.open("r+b", buffering=0) as part:
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Problem("upload_busy") from None
        yield part


@asynccontextmanager
async def claimed_soon(upload: Upload) -> AsyncIterator[None]:
    """As `claimed`, but wait up to PATIENCE for the lock: a client that removes an upload has mostly just broken off a
    piece, which is still being written."""
    end = time.monotonic() + PATIENCE
    with ExitStack() as lock:
        while True:
            try:
                lock.enter_context(claimed(upload))
                break
            except Problem:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(0.05)
        yield


def append(part: BinaryIO, offset: int, piece: BinaryIO, most: int) -> int:
    """Append all of the piece to the part, or nothing, and return the new size.

    offset: the size that the client believes the part to have. most: the size of the whole file.
    Raises Problem 409 for another size, 413 past the whole, 507 on a full disk; OSError.
    """
    size = part.seek(0, os.SEEK_END)
    if size != offset:
        raise wrong_offset(size)
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


def wrong_offset(size: int) -> Problem:
    """The answer to a piece that does not continue the part of this size."""
    return Problem("wrong_offset", offset=size)


def remove_expired() -> None:
    """Forget the uploads that have expired, except one that a request writes to at this moment."""
    for upload in Upload.expired():
        try:
            with claimed(upload):
                upload.discard()
        except FileNotFoundError:
            upload.delete()
        except Problem:
            continue
