"""From a whole file to a recording: judged by its content, then kept, with its job in line."""

import asyncio
from pathlib import PurePath
from typing import BinaryIO, Literal, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.lanes import WorkLane
from recordings.events import recording_changed
from recordings.intake.form import ReceivedFile
from recordings.library.organising import adelete_recording
from recordings.models import Recording, Upload, kept_spans, kept_tracks, want_copy
from recordings.storage import quota
from recordings.storage.files import keeping
from recordings.text import one_line
from recordings.work.jobs import queue_transcription
from transcription.audio import AudioInfo, apart
from transcription.errors import BadAudio
from transcription.writing import head
from web.patience import to_its_end
from web.problems import Problem


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
    lane: WorkLane = "interactive",
    duplicate: Literal["allow", "reuse"] = "allow",
    upload: Upload | None = None,
) -> tuple[Recording, bool]:
    """Make a recording of a whole file, and put its job in line. Returns the recording, and whether it is new.

    All or nothing: a failure, or a cancellation of the caller at any moment, leaves neither file nor row.

    lane: see `queue_transcription`.
    duplicate: with "reuse", the owner's newest recording of the same bytes is returned as it is.
    upload: the resumable upload by which the file came. It gets the recording in the transaction that makes it.
    Raises Problem 400, 415 or 422 where the file is not audio that can be transcribed, 413 where the owner's quota is
    used up, 429 where too many of the owner's transcriptions are in line.
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
        info = await _info(file, owner, track)
    except BaseException:
        file.close()
        raise
    recording.duration, recording.media_type = info.duration, info.media_type
    recording.damaged, recording.tracks = kept_spans(info.damaged), kept_tracks(info.tracks)
    making = asyncio.ensure_future(_make(recording, file, info.plays, lane if transcribe else None, duplicate, upload))
    try:
        return await to_its_end(making)
    except asyncio.CancelledError:
        await to_its_end(_take_back(making))
        raise


async def _make(
    recording: Recording, file: ReceivedFile, plays: bool, lane: WorkLane | None, duplicate: str, upload: Upload | None
) -> tuple[Recording, bool]:
    try:
        return await sync_to_async(_keep)(recording, file, plays, lane, duplicate, upload)
    finally:
        file.close()


async def _take_back(making: asyncio.Future[tuple[Recording, bool]]) -> None:
    """Delete what was made, if anything was."""
    try:
        kept, created = await making
    except Exception:
        return  # nothing was made
    if created:
        await adelete_recording(kept)


def _title(name: str) -> str:
    """A title from the name of a file, if anything of that can be read. U+FFFD stands for what cannot."""
    stem = head(one_line(PurePath(name).stem), 255)
    return stem if stem.strip("\ufffd .-_") else _("Recording")


def _twins(recording: Recording) -> QuerySet[Recording]:
    """The owner's recordings of the same bytes, the newest first."""
    return Recording.objects.filter(owner_id=recording.owner_id, sha256=recording.sha256).order_by("-id")


async def _info(file: ReceivedFile, owner: User, track: int) -> AudioInfo:
    """What the file holds. Raises Problem 400, 415 or 422."""
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
    recording: Recording, file: ReceivedFile, plays: bool, lane: WorkLane | None, duplicate: str, upload: Upload | None
) -> tuple[Recording, bool]:
    """Move the file into the storage and make the rows, all or nothing.

    lane: that of the job; None: there shall be no job.
    """
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
            if lane:
                queue_transcription(recording, lane=lane)
            else:
                recording_changed(recording.pk, recording.owner_id)
    except _Known as known:
        return known.recording, False
    return recording, True
