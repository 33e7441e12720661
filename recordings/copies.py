"""Copies for browsers that cannot play the original: made in the server process, beside the jobs, one at a time.

That a copy is wanted is a `LooseFile` of its name, made together with the recording; it goes in the transaction that
gives the copy to the recording. So what a killed server had begun, the next one makes.
"""

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from contextlib import aclosing
from io import SEEK_END
from pathlib import PurePath
from typing import BinaryIO, TypeVar, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import transaction

from transcription.audio import apart
from transcription.errors import BadAudio

from . import room
from .events import recording_changed
from .models import LooseFile, Recording, copy_name
from .patience import DATABASE_AWAY, patiently

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_AGAIN = 5.0  # seconds, for recordings that want a copy
CANNOT_WRITE = 300.0  # seconds until it is tried again, where the disk was full


def want_copy(recording: Recording) -> None:
    """To be called in the transaction that makes the recording."""
    LooseFile.objects.create(name=copy_name(recording.pk))


async def make_copies() -> None:
    """Make every copy that is wanted, of the shortest recording first, until canceled."""
    pause = 0.0
    while True:
        await asyncio.sleep(pause)
        pause = LOOK_AGAIN
        if recording := await patiently(sync_to_async(_next)):
            try:
                pause = 0.0 if await _make(recording) else LOOK_AGAIN
            except (BadAudio, FileNotFoundError) as error:
                log.info("Recording %d gets no copy: %s", recording.pk, error)
                await _give_up(recording)
            except (OSError, *DATABASE_AWAY):
                log.exception("The copy of recording %d cannot be written now", recording.pk)
                pause = CANNOT_WRITE
            except Exception:
                log.exception("Recording %d gets no copy, for a reason that nobody thought of", recording.pk)
                await _give_up(recording)


def _next() -> Recording | None:
    wanted = {int(PurePath(name).stem) for name in LooseFile.copies().values_list("name", flat=True)}
    if not wanted:
        return None
    recordings = Recording.objects.in_bulk(wanted)
    for pk in wanted - recordings.keys():
        LooseFile.discard(copy_name(pk))  # the recording was deleted meanwhile
    return min(recordings.values(), key=lambda recording: recording.duration, default=None)


async def _give_up(recording: Recording) -> None:
    await patiently(lambda: sync_to_async(LooseFile.discard)(copy_name(recording.pk)))


async def _make(recording: Recording) -> bool:
    """Whether it was made; not where the recording was deleted meanwhile. Raises OSError where the disk is full: a copy
    takes nothing of its reserve."""
    if await asyncio.to_thread(room.left) < 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    original = await asyncio.to_thread(recording.original.storage.open, str(recording.original.name))
    with original, TemporaryUploadedFile("copy", "audio/webm", 0, None) as copy:  # its folder is cleared up at starts
        files = cast(BinaryIO, original), cast(BinaryIO, copy.file)
        steps = apart.copy(*files, max_hours=settings.MAX_AUDIO_HOURS, owner=recording.owner_id)
        async with aclosing(steps):
            async for _seconds in steps:
                if not await Recording.objects.filter(pk=recording.pk).aexists():
                    return False
        await _to_its_end(lambda: _store(recording, copy))
    if given := await patiently(lambda: _give(recording)):
        await recording_changed(recording.pk, recording.owner_id)
    return given


async def _to_its_end(work: Callable[[], T]) -> T:
    """The work in a thread. It cannot be stopped there: who is canceled waits until it has let go of the files."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        working.exception()
        raise


def _store(recording: Recording, copy: TemporaryUploadedFile) -> None:
    copy.size = copy.seek(0, SEEK_END)
    copy.seek(0)
    default_storage.delete(copy_name(recording.pk))  # of a server that was killed before it could give it
    default_storage.save(copy_name(recording.pk), copy)


@sync_to_async
def _give(recording: Recording) -> bool:
    with transaction.atomic():
        name = copy_name(recording.pk)
        given = Recording.objects.filter(pk=recording.pk).update(playable=name)
        if given:
            LooseFile.objects.filter(name=name).delete()
    if not given:
        LooseFile.discard(name)
    return bool(given)
