"""Transcriptions as jobs: put in line, canceled, asked where they stand. The `Transcription` row is the job; see
`transcribing` for what a run of it does, and `runner` for who runs it."""

from collections import Counter
from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage
from django.db.models import QuerySet
from django.utils import timezone

from transcription import monitor
from transcription.gate import LANES, Lane

from .events import recording_changed
from .models import Recording, Transcription
from .runner import runner

Status = Transcription.Status

# A person waits at the page for a short clip; a long recording is work for the background.
SHORT_SECONDS = 60.0


async def queue_transcription(
    recording: Recording, *, language: str | None = None, model: str | None = None, prompt: str | None = None
) -> Transcription:
    """A new job for the recording, or the unfinished one that it has. None: as the recording says."""
    lane: Lane = "interactive" if recording.duration <= SHORT_SECONDS else "batch"
    transcription, created = await recording.transcriptions.aget_or_create(
        status__in=Transcription.UNFINISHED,
        defaults={
            "status": Status.QUEUED,
            "lane": lane,
            "language": recording.language if language is None else language,
            "model": model or "",
            "prompt": recording.prompt if prompt is None else prompt,
        },
    )
    if not created:
        return transcription
    runner.wake()
    await recording_changed(recording.pk, recording.owner_id)
    return transcription


async def cancel_transcription(recording: Recording) -> None:
    """End the recording's unfinished job, wherever it is. What was transcribed so far is kept."""
    unfinished = recording.transcriptions.filter(status__in=Transcription.UNFINISHED)
    ids = [pk async for pk in unfinished.values_list("pk", flat=True)]
    await unfinished.aupdate(status=Status.CANCELED, finished_at=timezone.now())
    for pk in ids:
        runner.cancel(pk)
    await recording_changed(recording.pk, recording.owner_id)


async def delete_recording(recording: Recording) -> None:
    """End its work, remove its rows and its file. Deleting twice does no harm."""
    pk, name = recording.pk, str(recording.original.name)
    await cancel_transcription(recording)
    await Recording.objects.filter(pk=pk).adelete()
    await sync_to_async(default_storage.delete)(name)
    await recording_changed(pk, recording.owner_id)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an unfinished job stands. `position`: 1 is next, None is running. `eta_seconds`: until it is done."""

    position: int | None
    eta_seconds: float | None


async def in_line() -> list[Transcription]:
    """The queued jobs in the order in which they start: by lane, then owners in turns, then by age."""
    queued = _standing(Transcription.objects.filter(status=Status.QUEUED)).order_by("pk")
    turns: Counter[tuple[str, int]] = Counter()
    ranked = []
    async for job in queued:
        whose = (job.lane, job.recording.owner_id)
        ranked.append(((LANES.index(job.lane), turns[whose], job.pk), job))
        turns[whose] += 1
    return [job for _, job in sorted(ranked, key=lambda pair: pair[0])]


async def places() -> dict[int, Place]:
    """The place of every unfinished job, by the id of its transcription."""
    rate = monitor.audio_rate()
    ahead = 0.0
    result = {}
    async for job in _standing(Transcription.objects.filter(status=Status.TRANSCRIBING)):
        left = max(0.0, job.recording.duration - job.seconds_done)
        ahead += left
        result[job.pk] = Place(None, left / rate if rate else None)
    for position, job in enumerate(await in_line(), 1):
        ahead += job.recording.duration
        result[job.pk] = Place(position, ahead / rate if rate else None)
    return result


def _standing(jobs: QuerySet[Transcription]) -> QuerySet[Transcription]:
    """Of thousands of jobs only what says where they stand, not their recordings' waveforms."""
    return jobs.select_related("recording").only("lane", "seconds_done", "recording__owner_id", "recording__duration")
