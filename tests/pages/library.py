"""Recordings in any state, made as rows."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.utils import timezone

from recordings.models import Recording, Segment, Transcription
from tests.pages.conftest import tone

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
    """With a segment of 20 s for each text, its words spread evenly."""
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
    tokens = text.split() if " " in text else list(text)
    step = 19 / len(tokens)
    return [
        {"start": round(start + n * step, 3), "end": round(start + (n + 1) * step, 3), "word": word, "probability": 1}
        for n, word in enumerate(tokens)
    ]


async def until(look: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    """Wait until `look` finds what is wanted: of what a page sends as it is left, the browser tells nothing."""
    for _ in range(600):
        if (found := await look()) == wanted:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(found)
