"""The run of a job: from the file to its segments, each of which is one call and is committed at once."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from typing import BinaryIO, cast
from weakref import WeakValueDictionary

from anyio import CapacityLimiter
from asgiref.sync import sync_to_async
from django.utils import timezone

from recordings.models import Transcription
from recordings.work.arrivals import task_id
from recordings.work.hearing import Call, Hearing
from recordings.work.progress import Stopped, claim, commit_segment, fail, finish, let_go, note_crash
from recordings.work.runner import runner
from transcription import service
from transcription.answer import Transcript
from transcription.audio import Stretch
from transcription.errors import CrashedDecoder, TranscriptionError, Withdrawn
from transcription.line import Lane
from web.patience import DATABASE_AWAY, in_database

log = logging.getLogger(__name__)

_limiters = WeakValueDictionary[tuple[str, str], CapacityLimiter]()  # by owner and lane, of the jobs at work


async def run_transcription(
    pk: int, stopping: Callable[[], bool] = lambda: False, at_gate: Callable[[], None] | None = None
) -> None:
    """Run a job to its end: done, or failed with a reason. This is the one way in which jobs run.

    After a crash it may be called again: segments that were committed are not sent again. While the database is away,
    what was transcribed waits for it.

    stopping: whether the process is about to end. The run then ends with the segments under way; the job stays
        unfinished, to be taken up again. The same holds for a run that is canceled.
    at_gate: is called when the first call stands at the gate. Without it, the log tells of the job's arrival here.
    Raises DATABASE_AWAY where the database is away at the start.
    """
    job = await sync_to_async(claim)(pk)
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
        with suppress(*DATABASE_AWAY):
            await sync_to_async(let_go)(pk)


async def _transcribe_again(
    job: Transcription, stopping: Callable[[], bool], at_gate: Callable[[], None] | None
) -> None:
    """Transcribe, and again where the process that reads the file ends uncleanly, MOST_CRASHES times in all."""
    while job.crashes < Transcription.MOST_CRASHES:
        try:
            with _one_error():
                return await _transcribe(job, stopping, at_gate)
        except CrashedDecoder as crash:
            log.warning("Transcription %d: %s", job.pk, crash)
            await in_database(note_crash, job)
    raise CrashedDecoder(f"{job.crashes} processes in a row ended uncleanly while they worked on this.")


async def _transcribe(job: Transcription, stopping: Callable[[], bool], at_gate: Callable[[], None] | None) -> None:
    """Send every stretch of speech that has no segment yet, several at a time."""
    done = {index async for index in job.segments.values_list("index", flat=True)}
    total = 0
    under_way: set[asyncio.Task[None]] = set()
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
                # Bounds the sound in memory. One stretch more than there are permits is ready, so that no permit idles.
                while len(under_way) > service.total_limit():
                    await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                under_way.add(task := tasks.create_task(_segment(job, stretch, hearing)))
                task.add_done_callback(under_way.discard)
    if not stopping():
        await in_database(finish, job, total, hearing.speech)


def _call(job: Transcription, stopping: Callable[[], bool], at_gate: Callable[[], None] | None) -> Call:
    """The function that sends a stretch to Whisper. The wait of the first call began when the job was put in line."""
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
                on_retry=lambda *_: held.close(),  # a retry may wait for minutes; the others go on
                waited=_in_line(job) if first else 0.0,
                announce=at_gate if first else None,
                task_id=task_id(job.pk) if first else f"{task_id(job.pk)}_{number}",
            )

    return call


def _places(owner: str, lane: str) -> CapacityLimiter:
    """The places at the gate for all jobs of one owner in one lane: as many as the servers have permits.

    A call beyond them would stand behind the owner's own calls, and count as waiting while nobody waits for it.
    """
    return _limiters.setdefault((owner, lane), CapacityLimiter(1))


def _in_line(job: Transcription) -> float:
    """Seconds since the job was put in line. 0 for a job that is taken up again: its wait was counted before."""
    return max(0.0, (timezone.now() - job.created_at).total_seconds()) if job.attempts == 1 else 0.0


async def _segment(job: Transcription, stretch: Stretch, hearing: Hearing) -> None:
    """Send a stretch, and commit its segment. Does nothing where the process is stopping."""
    try:
        transcript = await hearing.transcript(stretch)
    except Withdrawn:
        return
    await in_database(commit_segment, job, stretch, transcript)
    runner.clear(job.pk)


async def _fail(job: Transcription, code: str, message: str) -> None:
    log.warning("Transcription %d failed: %s %r", job.pk, code, message)
    await in_database(fail, job, code, message)


@contextmanager
def _one_error() -> Iterator[None]:
    """Unwrap an exception group and raise its most informative member: Stopped, then TranscriptionError, then any."""
    try:
        yield
    except BaseExceptionGroup as group:
        for kind in (Stopped, TranscriptionError, Exception):
            if found := group.subgroup(kind):
                raise _leaf(found) from group
        raise


def _leaf(error: BaseException) -> BaseException:
    return _leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
