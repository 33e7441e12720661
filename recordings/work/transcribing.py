"""A run of a job: from the file to its segments, each through the gate by itself and committed as it comes."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from typing import BinaryIO, cast
from weakref import WeakValueDictionary

from anyio import CapacityLimiter
from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from recordings.events import recording_changed
from recordings.models import Recording, Segment, Transcription, kept_spans, kept_tracks
from recordings.work.arrivals import task_id
from recordings.work.hearing import Call, Hearing, as_segment
from recordings.work.runner import runner
from transcription import service
from transcription.answer import Transcript
from transcription.audio import Stretch, apart
from transcription.errors import CrashedDecoder, TranscriptionError, Withdrawn
from transcription.line import Lane
from web.patience import DATABASE_AWAY, patiently

log = logging.getLogger(__name__)

Status = Transcription.Status


_limiters = WeakValueDictionary[tuple[str, str], CapacityLimiter]()  # those of the jobs at work


class Stopped(Exception):
    """The job was canceled or deleted: it is nobody's any more."""


async def run_transcription(
    pk: int, stopping: Callable[[], bool] = lambda: False, at_gate: Callable[[], None] | None = None
) -> None:
    """Run the job to its end: done, or failed with a reason. The same coroutine wherever jobs run.

    Safe to call again after a crash: segments that were committed are not sent again. Once the process is `stopping`
    it ends early, with the segments under way; the row then stays as it is but for `held`, to be taken up again,
    and so it does when the coroutine is canceled. While the database is away, what was transcribed waits for it. Where
    it is away at the start, its error is raised (`DATABASE_AWAY`): the job is then unfinished, and the caller's to try
    again. `at_gate` is called when its first call stands at the gate; without it, the log tells that the job has
    arrived.
    """
    job = await sync_to_async(_claim)(pk)
    if job is None:
        return
    try:
        await _transcribe_again(job, stopping, at_gate)
    except Stopped:
        return
    except TranscriptionError as error:
        await _fail(job, error.code, str(error))
    except FileNotFoundError as error:
        await _fail(job, "source_missing", str(error))
    except DATABASE_AWAY:
        raise
    except Exception as error:
        log.exception("Transcription %d failed for a reason that nobody thought of", pk)
        await _fail(job, "internal_error", repr(error))
    finally:
        await _let_go(pk)


@transaction.atomic
def _claim(pk: int) -> Transcription | None:
    """Mark the job as at work in this process. None: it is finished, or gone."""
    claimed = Transcription.objects.filter(pk=pk, status__in=Transcription.UNFINISHED).update(
        status=Status.TRANSCRIBING, held=True, attempts=F("attempts") + 1, started_at=timezone.now()
    )
    if not claimed:
        return None
    job = Transcription.objects.select_related("recording").get(pk=pk)
    recording_changed(job.recording_id, job.recording.owner_id)
    return job


async def _let_go(pk: int) -> None:
    """No process works on the job any more. Of a job that is held at the next start, the process ended uncleanly."""
    with suppress(*DATABASE_AWAY):
        await Transcription.objects.filter(pk=pk, status=Status.TRANSCRIBING).aupdate(held=False)


async def _transcribe_again(
    job: Transcription, stopping: Callable[[], bool], at_gate: Callable[[], None] | None
) -> None:
    """Transcribe; where the process that reads the file ends uncleanly, again, up to MOST_CRASHES in all."""
    while job.crashes < Transcription.MOST_CRASHES:
        try:
            with _one_error():
                return await _transcribe(job, stopping, at_gate)
        except CrashedDecoder as crash:
            log.warning("Transcription %d: %s", job.pk, crash)
            await patiently(lambda: _note_crash(job))
    raise CrashedDecoder(f"{job.crashes} processes in a row ended uncleanly while they worked on this.")


async def _note_crash(job: Transcription) -> None:
    if not await Transcription.objects.filter(pk=job.pk, status=Status.TRANSCRIBING).aupdate(crashes=F("crashes") + 1):
        raise Stopped
    await job.arefresh_from_db(fields=["crashes"])


async def _transcribe(job: Transcription, stopping: Callable[[], bool], at_gate: Callable[[], None] | None) -> None:
    """Send every stretch of speech that has no segment yet, a few at a time."""
    done = {index async for index in job.segments.values_list("index", flat=True)}
    total = 0
    room = asyncio.Semaphore(service.total_limit() + 1)  # bounds memory; one more than fits, so that no permit idles
    original = job.recording.original
    file = await asyncio.to_thread(original.storage.open, str(original.name))
    hearing = Hearing(
        cast(BinaryIO, file),
        _call(job, stopping, at_gate),
        language=job.language,
        owner=job.recording.owner_id,
        kind="job",
        track=job.track,
        stopping=stopping,
    )
    async with hearing.stretches() as stretches, asyncio.TaskGroup() as tasks:
        async for stretch in stretches:
            if stopping():
                break
            total += 1
            if stretch.index not in done:
                await room.acquire()
                tasks.create_task(_segment(job, stretch, hearing)).add_done_callback(lambda _: room.release())
    if not stopping():
        await patiently(lambda: sync_to_async(_finish)(job, total, hearing.speech))


def _call(job: Transcription, stopping: Callable[[], bool], at_gate: Callable[[], None] | None) -> Call:
    """Sends the sound of the job to Whisper. The first call is the job's own: its wait began in the line of jobs."""
    owner = f"user:{job.recording.owner_id}"
    places = _places(owner, job.lane)
    numbers = count(1)

    async def call(audio: bytes, seconds: float) -> Transcript:
        places.total_tokens = max(1, service.total_limit())
        await places.acquire_on_behalf_of(place := object())
        with ExitStack() as held:
            held.callback(places.release_on_behalf_of, place)
            number = next(numbers)
            first = number == 1
            return await service.transcribe_audio(
                audio,
                seconds=seconds,
                lane=cast(Lane, job.lane),
                owner=owner,
                language=job.language,
                prompt=job.prompt,
                model=job.model,
                durable=True,
                withdrawn=stopping,
                on_retry=lambda *_: held.close(),  # it may wait for minutes, and the others go on
                waited=_in_line(job) if first else 0.0,
                announce=at_gate if first else None,
                task_id=task_id(job.pk) if first else f"{task_id(job.pk)}_{number}",
            )

    return call


def _places(owner: str, lane: str) -> CapacityLimiter:
    """At the gate, for all jobs of one owner in one lane: as many as the servers take. What is ready beyond that would
    only stand in line behind the owner's own, and count as waiting while nobody waits for it."""
    return _limiters.setdefault((owner, lane), CapacityLimiter(1))


def _in_line(job: Transcription) -> float:
    """Seconds since it was put in line; 0 for one that is taken up again, which was let in before."""
    return max(0.0, (timezone.now() - job.created_at).total_seconds()) if job.attempts == 1 else 0.0


async def _segment(job: Transcription, stretch: Stretch, hearing: Hearing) -> None:
    try:
        transcript = await hearing.transcript(stretch)
    except Withdrawn:
        return
    await patiently(lambda: sync_to_async(_commit)(job, stretch, transcript))
    runner.clear(job.pk)


@transaction.atomic
def _commit(job: Transcription, stretch: Stretch, transcript: Transcript) -> None:
    """The segment and the job's progress, or neither: nothing is written for a job that does not run any more.

    May be called again where an earlier call failed: it may have been committed all the same.
    """
    if job.segments.filter(index=stretch.index).exists():
        return
    job.seconds_done = max(job.seconds_done, stretch.end)
    job.detected_language = job.detected_language or transcript.language or ""
    running = Transcription.objects.filter(pk=job.pk, status=Status.TRANSCRIBING).update(
        segments_done=F("segments_done") + 1,
        crashes=0,
        seconds_done=job.seconds_done,
        detected_language=job.detected_language,
    )
    if not running:
        raise Stopped
    segment = as_segment(stretch, transcript)
    segment.transcription = job
    segment.save(force_insert=True)
    recording_changed(job.recording_id, job.recording.owner_id)


@transaction.atomic
def _finish(job: Transcription, total: int, speech: apart.Speech) -> None:
    finished = Transcription.objects.filter(pk=job.pk, status=Status.TRANSCRIBING).update(
        status=Status.DONE,
        segments_total=total,
        segments_done=total,
        seconds_done=speech.duration,
        finished_at=timezone.now(),
    )
    if finished:
        Recording.objects.filter(pk=job.recording_id).update(
            duration=speech.duration,
            peaks=speech.peaks,
            damaged=kept_spans(speech.damaged),
            tracks=kept_tracks(speech.tracks),
            shown=_shown_after(job),
        )
        recording_changed(job.recording_id, job.recording.owner_id)


def _shown_after(job: Transcription) -> int | None:
    """None: the newest. What nobody asked for takes the place of no text that a person chose, or corrected."""
    if not job.automatic:
        return None
    chosen: int | None = Recording.objects.values_list("shown", flat=True).get(pk=job.recording_id)
    corrected = Segment.objects.filter(transcription__recording=job.recording_id).exclude(correction=None)
    return chosen or corrected.order_by("-transcription").values_list("transcription", flat=True).first()


async def _fail(job: Transcription, code: str, message: str) -> None:
    log.warning("Transcription %d failed: %s %r", job.pk, code, message)
    await patiently(lambda: sync_to_async(_mark_failed)(job, code, message))


def _mark_failed(job: Transcription, code: str, message: str) -> None:
    running = Transcription.objects.filter(pk=job.pk, status=Status.TRANSCRIBING)
    if running.update(status=Status.FAILED, error_code=code, error_message=message, finished_at=timezone.now()):
        recording_changed(job.recording_id, job.recording.owner_id)


@contextmanager
def _one_error() -> Iterator[None]:
    """Of the errors that ended a group of tasks together, the one that says most."""
    try:
        yield
    except BaseExceptionGroup as group:
        for kind in (Stopped, TranscriptionError, Exception):
            if found := group.subgroup(kind):
                raise _leaf(found) from group
        raise


def _leaf(error: BaseException) -> BaseException:
    return _leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
