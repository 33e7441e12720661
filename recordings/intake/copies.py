"""Copies for browsers that cannot play the original: made beside the jobs, one of each person at a time.

A `LooseFile` with the name of the copy says that it is wanted. Its row is made together with the recording, and goes in
the transaction that gives the copy to the recording. So the next server makes what a killed one had begun.
"""

import asyncio
import logging
from collections.abc import Container
from contextlib import aclosing, suppress
from io import SEEK_END
from pathlib import PurePath
from typing import BinaryIO, NoReturn, cast

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import transaction
from django.db.models import F

from recordings.events import recording_changed
from recordings.models import LooseFile, Recording, Transcription, copy_name
from recordings.storage import space
from recordings.storage.files import discard
from transcription.audio import apart
from transcription.errors import BadAudio, CrashedDecoder
from web.patience import DATABASE_AWAY, in_database, patiently, to_its_end

log = logging.getLogger(__name__)

MAKERS = 2  # each takes a core
LOOK_AGAIN = 5.0  # seconds, for recordings that want a copy
CANNOT_WRITE = 300.0  # seconds until it is tried again, where the disk was full


async def make_copies() -> None:
    """Make every copy that is wanted, the shortest recording first, until canceled.

    MAKERS copies are made at a time, each of another person, so that hours of one person hold up nobody's minute.
    """
    choosing, owners = asyncio.Lock(), set[int]()
    async with asyncio.TaskGroup() as makers:
        for _ in range(MAKERS):
            makers.create_task(_keep_making(choosing, owners))


async def _keep_making(choosing: asyncio.Lock, owners: set[int]) -> NoReturn:
    """Make one copy after the other. `owners`: the persons whose copies are under way, here or at another maker."""
    pause = 0.0
    while True:
        await asyncio.sleep(pause)
        pause = LOOK_AGAIN
        async with choosing:
            recording = await in_database(_next, owners)
            if recording is None:
                continue
            owners.add(recording.owner_id)
        try:
            pause = await _try(recording)
        finally:
            owners.discard(recording.owner_id)


async def _try(recording: Recording) -> float:
    """Make the copy, or give it up where it cannot be made. Returns the seconds to wait before the next one."""
    wanted = LooseFile.objects.filter(name=copy_name(recording.pk))
    crashed = False
    await patiently(lambda: wanted.aupdate(crashes=F("crashes") + 1))  # if this try ends the process, it counts
    try:
        return 0.0 if await _make(recording) else LOOK_AGAIN
    except CrashedDecoder as error:
        crashed = True
        log.warning("The copy of recording %d: %s %s", recording.pk, error.code, error)
        return 0.0
    except (BadAudio, FileNotFoundError) as error:
        log.info("Recording %d gets no copy: %s", recording.pk, error)
        await _give_up(recording)
        return 0.0
    except (OSError, *DATABASE_AWAY):
        log.exception("The copy of recording %d cannot be written now", recording.pk)
        return CANNOT_WRITE
    except Exception:
        log.exception("Recording %d gets no copy, for a reason that nobody thought of", recording.pk)
        await _give_up(recording)
        return 0.0
    finally:
        if not crashed:
            with suppress(*DATABASE_AWAY):
                await wanted.filter(crashes__gt=0).aupdate(crashes=F("crashes") - 1)


def _next(owners: Container[int]) -> Recording | None:
    """The next recording that wants a copy, of nobody in `owners`. Gives up the copies that crashed too often."""
    for name in LooseFile.copies().filter(crashes__gte=Transcription.MOST_CRASHES).values_list("name", flat=True):
        log.warning("%s is given up: crashed_decoder, %d times in a row", name, Transcription.MOST_CRASHES)
        discard(name)
    wanted = {int(PurePath(name).stem) for name in LooseFile.copies().values_list("name", flat=True)}
    if not wanted:
        return None
    recordings = Recording.objects.in_bulk(wanted)
    for pk in wanted - recordings.keys():
        discard(copy_name(pk))  # the recording was deleted meanwhile
    free = (recording for recording in recordings.values() if recording.owner_id not in owners)
    return min(free, key=lambda recording: recording.duration, default=None)


async def _give_up(recording: Recording) -> None:
    await in_database(discard, copy_name(recording.pk))


async def _make(recording: Recording) -> bool:
    """Make the copy. Returns whether it was made: not if the recording was deleted meanwhile.

    Raises OSError where the disk is full: a copy takes nothing of the reserve.
    """
    if await asyncio.to_thread(space.left) < 0:
        raise space.no_space()
    original = await asyncio.to_thread(recording.original.storage.open, str(recording.original.name))
    with original, TemporaryUploadedFile("copy", "audio/webm", 0, None) as copy:  # each start clears its folder
        files = cast(BinaryIO, original), cast(BinaryIO, copy.file)
        steps = apart.copy(
            *files, max_hours=settings.MAX_AUDIO_HOURS, owner=recording.owner_id, track=recording.track or None
        )
        async with aclosing(steps):
            async for _seconds in steps:
                if not await Recording.objects.filter(pk=recording.pk).aexists():
                    return False
        await to_its_end(asyncio.to_thread(_store, recording, copy))
    return await in_database(_give, recording)


def _store(recording: Recording, copy: TemporaryUploadedFile) -> None:
    copy.size = copy.seek(0, SEEK_END)
    copy.seek(0)
    default_storage.delete(copy_name(recording.pk))  # left by a server that was killed
    default_storage.save(copy_name(recording.pk), copy)


def _give(recording: Recording) -> bool:
    """Give the stored copy to its recording. Returns whether the recording is there; if not, the copy is discarded."""
    with transaction.atomic():
        name = copy_name(recording.pk)
        given = Recording.objects.filter(pk=recording.pk).update(playable=name)
        if given:
            LooseFile.objects.filter(name=name).delete()
            recording_changed(recording.pk, recording.owner_id)
    if not given:
        discard(name)
    return bool(given)
