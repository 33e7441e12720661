"""Rows for tests of size: as many recordings as wanted, each done, with ten segments."""

from django.contrib.auth.models import User
from django.utils import timezone

from recordings.models import Recording, Segment, Transcription

SEGMENTS = 10
BATCH = 5_000


def fill_library(owner: User, recordings: int) -> None:
    """Give the owner so many recordings, ten segments each."""
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
