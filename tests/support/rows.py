"""Rows of recordings in any state."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.utils import timezone

from recordings.library.sharing import make_link
from recordings.models import Recording, Segment, Transcription
from tests.support.audio_files import tone

Status = Transcription.Status


def make_recording(owner: User, title: str, *, seconds: float = 60) -> Recording:
    sound = tone(min(seconds, 60))
    recording = Recording(
        owner=owner,
        title=title,
        original_name=f"{title}.wav",
        sha256="0" * 64,
        bytes=len(sound),
        duration=seconds,
        media_type="audio/wav",
        source=Recording.Source.UPLOAD,
        peaks=[0.2, 0.9] * 100,
    )
    recording.original.save("sound.wav", ContentFile(sound))
    return recording


def make_transcription(recording: Recording, status: Status, *texts: str, **fields: Any) -> Transcription:
    """A transcription with a segment of 20 s for each text, and the words spread evenly over it."""
    now = timezone.now()
    started = None if status == Status.QUEUED else now - timedelta(seconds=21)
    finished = now if status in (Status.DONE, Status.FAILED, Status.CANCELED) else None
    transcription = Transcription.objects.create(
        recording=recording, status=status, started_at=started, finished_at=finished, **fields
    )
    for index, text in enumerate(texts):
        add_segment(transcription, index, text)
    return transcription


def add_segment(transcription: Transcription, index: int, text: str, *, timed: bool = True) -> Segment:
    start = index * 20.0
    return Segment.objects.create(
        transcription=transcription,
        index=index,
        start=start,
        end=start + 19,
        text=text,
        words=words(text, start) if timed else [],
    )


def words(text: str, start: float) -> list[dict[str, Any]]:
    """The words of a text, or its characters if it has no spaces, spread evenly over 19 s from `start` on."""
    tokens = text.split() if " " in text else list(text)
    step = 19 / len(tokens)
    return [
        {"start": round(start + n * step, 3), "end": round(start + (n + 1) * step, 3), "word": word, "probability": 1}
        for n, word in enumerate(tokens)
    ]


def guest_path(recording: Recording, *, audio: bool = True) -> str:
    """Make a link for guests to the recording. Returns the path of its page."""
    _, secret = make_link(recording, audio=audio, days=30)
    return f"/s/{secret}/"


def recording(owner: str = "mei", title: str = "Meeting", **fields: Any) -> Recording:
    """A row of a recording, without a file."""
    user, _ = User.objects.get_or_create(username=owner)
    defaults = {"bytes": 10, "duration": 60.0, "media_type": "audio/wav", "source": "upload", "sha256": "0" * 64}
    return Recording.objects.create(owner=user, title=title, original="originals/none.wav", **defaults | fields)


def transcribed(made: Recording, *texts: str, status: str = "done", **fields: Any) -> Transcription:
    """A transcription of the recording with a segment of 2 s for each text. The text is also its one word."""
    run = Transcription.objects.create(recording=made, status=status, segments_done=len(texts), **fields)
    for index, text in enumerate(texts):
        Segment.objects.create(
            transcription=run,
            index=index,
            start=index * 30.0,
            end=index * 30.0 + 2,
            text=text,
            words=[{"start": index * 30.0, "end": index * 30.0 + 2, "word": text, "probability": 0.9}],
        )
    return run


SEGMENTS = 10
BATCH = 5_000


def fill_library(owner: User, recordings: int) -> None:
    """Give the owner this number of recordings, with ten segments each."""
    for start in range(0, recordings, BATCH):
        made = Recording.objects.bulk_create(
            Recording(
                owner=owner,
                title=f"Recording {number}",
                original=f"originals/{owner.pk}-{number}.wav",
                original_name=f"{number}.wav",
                sha256=f"{number:064x}",
                bytes=1000,
                duration=300.0,
                media_type="audio/wav",
                source=Recording.Source.UPLOAD,
                peaks=[0.5] * 100,
            )
            for number in range(start, min(start + BATCH, recordings))
        )
        runs = Transcription.objects.bulk_create(
            Transcription(
                recording=recording,
                status=Transcription.Status.DONE,
                segments_done=SEGMENTS,
                segments_total=SEGMENTS,
                finished_at=timezone.now(),
            )
            for recording in made
        )
        Segment.objects.bulk_create(
            Segment(
                transcription=run, index=index, start=30.0 * index, end=30.0 * index + 29, text=f"Sentence {index}."
            )
            for run in runs
            for index in range(SEGMENTS)
        )
