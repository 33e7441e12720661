"""A live session that has ended becomes a recording, with its captions as the transcript."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.core.files import File
from django.utils import timezone
from django.utils.translation import gettext as _

from recordings.events import recording_changed
from recordings.live.journal import Journal
from recordings.models import LiveSession, Recording, Segment, Transcription
from recordings.storage.files import keeping, second_name
from recordings.text import download_name
from recordings.work.jobs import queue_transcription
from transcription.audio.waveform import Peaks

BLOCK = 1024 * 1024  # bytes in memory


@dataclass(frozen=True, slots=True)
class SealedSound:
    """The WAV file of a session that has ended, and what its recording says about it."""

    path: Path
    bytes: int
    seconds: float
    sha256: str
    peaks: list[float]


def seal(journal: Journal) -> SealedSound | None:
    """Make a proper WAV file of the sound, and read it once. None if there is no sound. Blocks."""
    if not journal.size:
        return None
    journal.seal()
    digest, peaks = hashlib.sha256(), Peaks()
    with journal.path.open("rb") as file:
        digest.update(file.read(os.fstat(file.fileno()).st_size - journal.size))
        while block := file.read(BLOCK):
            digest.update(block)
            peaks.add(np.frombuffer(block, "<i2"))
        return SealedSound(journal.path, file.tell(), journal.seconds, digest.hexdigest(), peaks.values())


def make_recording(session: str, sound: SealedSound | None, *, all_captioned: bool) -> int | None:
    """Make the recording and return its id; None if there is no sound. A second call, after a crash, makes no other.

    If the last captions are missing, a job transcribes the recording. Until then the captions are the transcript.
    The storage gets a second name of the file, so that the first one stays until the rows are committed.
    Raises LiveSession.DoesNotExist if the owner was deleted.
    """
    if sound is None:
        return None
    row = LiveSession.objects.select_related("recording").get(pk=session)
    if row.recording:
        return row.recording.pk
    recording = _recording(row, sound)
    with _MovableFile(sound.path) as file, keeping(recording, file):
        recording.save()
        _transcript(row, recording)
        if all_captioned:
            recording_changed(recording.pk, recording.owner_id)
        else:
            queue_transcription(recording, limited=False, automatic=True)
        LiveSession.objects.filter(pk=session).update(recording=recording)
    return recording.pk


def _recording(row: LiveSession, sound: SealedSound) -> Recording:
    began = timezone.localtime(row.created_at)
    title = row.title or _("Live %(date)s") % {"date": f"{began:%Y-%m-%d %H:%M}"}
    return Recording(
        owner_id=row.owner_id,
        title=title,
        original_name=download_name(title, ".wav"),
        sha256=sound.sha256,
        bytes=sound.bytes,
        duration=sound.seconds,
        media_type="audio/wav",
        source=Recording.Source.LIVE,
        language=row.language,
        prompt=row.prompt,
        peaks=sound.peaks,
    )


def _transcript(row: LiveSession, recording: Recording) -> None:
    """Make a finished transcription of the captions. Those without text turned out to be silence and are left out."""
    captions = [caption for caption in row.captions.all() if caption.text]
    transcription = Transcription.objects.create(
        recording=recording,
        status=Transcription.Status.DONE,
        lane="live",
        language=row.language,
        prompt=row.prompt,
        detected_language=next((caption.language for caption in captions if caption.language), ""),
        segments_done=len(captions),
        segments_total=len(captions),
        seconds_done=recording.duration,
        attempts=1,
        started_at=row.created_at,
        finished_at=timezone.now(),
    )
    Segment.objects.bulk_create(
        Segment(
            transcription=transcription,
            index=index,
            start=min(caption.start, recording.duration),
            end=min(caption.end, recording.duration),
            text=caption.text,
            language=caption.language,
            words=caption.words,
        )
        for index, caption in enumerate(captions)
    )


class _MovableFile(File):  # type: ignore[type-arg]  # takes none at run time
    """A second name of a file, for the storage to move away. The file stays under its first name."""

    def __init__(self, path: Path) -> None:
        self._path = second_name(path, ".given")
        super().__init__(self._path.open("rb"), name=path.name)

    def temporary_file_path(self) -> str:
        return str(self._path)
