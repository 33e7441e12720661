"""Transcriptions as jobs: put in line, canceled, asked where they stand. The `Transcription` row is the job; see
`transcribing` for what a run of it does, and `runner` for who runs it."""

from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import accumulate, chain, count
from typing import cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, F, Max, Sum
from django.db.models.functions import Greatest
from django.utils import timezone

from recordings.events import recording_changed
from recordings.models import Recording, Transcription, want_copy
from recordings.work.runner import Queued, runner
from transcription import service
from transcription.line import LANES, Lane
from transcription.monitor.stats import audio_rate
from transcription.snapshot import Jobs
from web.problems import Problem, retry_after

Status = Transcription.Status

# A person waits at the page for a short clip; a long recording is work for the background.
SHORT_SECONDS = 60.0
COME_BACK = 60  # seconds, where nobody knows yet how fast the servers are


def queue_transcription(
    recording: Recording,
    *,
    language: str | None = None,
    model: str | None = None,
    prompt: str | None = None,
    track: int | None = None,
    limited: bool = True,
    automatic: bool = False,
) -> Transcription:
    """A new job for the recording, or the unfinished one that it has. None: as the recording says.

    automatic: nobody asked for it and nobody waits for it.
    track: the number of the one sound track to hear, 0 for all that belong together; the recording keeps it.
    Raises Problem 422 `no_such_track`, and 429 where the owner has USER_MAX_QUEUED unfinished ones already, unless
    not `limited`. The runner and the pages are told after the commit of the transaction under way.
    """
    require_track(track, len(recording.tracks))
    job = Transcription(
        recording=recording,
        lane="interactive" if recording.duration <= SHORT_SECONDS and not automatic else "batch",
        automatic=automatic,
        language=recording.language if language is None else language,
        model=model or "",
        prompt=recording.prompt if prompt is None else prompt,
        track=recording.track if track is None else track,
    )
    most = settings.USER_MAX_QUEUED if limited else None
    transcription = _put_in_line(job, most)
    if transcription is None:
        raise _line_full(recording.owner_id)
    return transcription


aqueue_transcription = sync_to_async(queue_transcription)


@transaction.atomic
def _put_in_line(job: Transcription, most: int | None) -> Transcription | None:
    """The job, or the recording's unfinished one; None where the owner has `most` unfinished ones."""
    owner_id = job.recording.owner_id
    User.objects.select_for_update().filter(pk=owner_id).first()  # one at a time per owner, so that the count holds
    unfinished = Transcription.objects.filter(status__in=Transcription.UNFINISHED)
    if existing := unfinished.filter(recording=job.recording_id).first():
        if existing.automatic and not job.automatic:  # now somebody has asked
            Transcription.objects.filter(pk=existing.pk).update(automatic=False)
        return existing
    if most is not None and unfinished.filter(recording__owner=owner_id).count() >= most:
        return None
    job.save(force_insert=True)
    if job.track != job.recording.track:
        Recording.objects.filter(pk=job.recording_id).update(track=job.track)
        want_copy(job.recording)
    transaction.on_commit(runner.wake, robust=True)
    recording_changed(job.recording_id, owner_id)
    return job


def require_track(number: int | None, there: int) -> None:
    """Raises Problem 422 where the recording has tracks, and not this one."""
    if number and there and number > there:
        raise Problem("no_such_track", detail=there)


def _line_full(owner_id: int) -> Problem:
    """Told to come back when the first of the owner's jobs will be done."""
    line = places()
    own = Transcription.objects.filter(recording__owner=owner_id, status__in=Transcription.UNFINISHED)
    etas = [line[pk].eta_seconds for pk in own.values_list("pk", flat=True) if pk in line]
    known = [eta for eta in etas if eta is not None]
    headers = retry_after(min(known, default=COME_BACK))
    return Problem("too_many_queued", headers=headers, most=settings.USER_MAX_QUEUED)


@transaction.atomic
def cancel_transcription(recording: Recording) -> None:
    """End the recording's unfinished job, wherever it is. What was transcribed so far is kept."""
    if end_work(recording):
        recording_changed(recording.pk, recording.owner_id)


acancel_transcription = sync_to_async(cancel_transcription)


def end_work(recording: Recording) -> bool:
    """Cancel the recording's unfinished job, in the transaction under way. Returns whether there was one."""
    unfinished = recording.transcriptions.filter(status__in=Transcription.UNFINISHED)
    ids = list(unfinished.values_list("pk", flat=True))
    ended = unfinished.update(status=Status.CANCELED, finished_at=timezone.now())
    for pk in ids:
        transaction.on_commit(partial(runner.cancel, pk), robust=True)
    transaction.on_commit(runner.wake, robust=True)  # fewer wait
    return bool(ended)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an unfinished job stands. `position`: 1 is next, None is running. `eta_seconds`: until it is done."""

    position: int | None
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class _Line:
    """The queued jobs in order, and what the line had as its mark when they were read."""

    mark: Mapping[str, object]
    jobs: list[Queued]


_last = _Line({}, [])


def read_line() -> list[Queued]:
    """The queued jobs in the order in which they start: by lane, then owners in turns, then by age.

    Reads them only where the line has changed since: thousands may wait, and every open page asks. Ids only grow, so
    two lines of the same count, sum and newest are the same.
    """
    global _last
    queued = Transcription.objects.filter(status=Status.QUEUED)
    mark = queued.aggregate(Count("pk"), Sum("pk"), Max("created_at"), Sum("crashes"))
    if mark == _last.mark:
        return _last.jobs
    turns: Counter[tuple[str, int]] = Counter()
    ranked = []
    columns = ("pk", "lane", "recording__owner_id", "recording__duration", "crashes")
    for row in queued.order_by("pk").values_list(*columns):
        job = Queued(*row)
        ranked.append((LANES.index(cast(Lane, job.lane)), turns[job.lane, job.owner_id], job))
        turns[job.lane, job.owner_id] += 1
    _last = _Line(mark, [job for _, _, job in sorted(ranked)])
    return _last.jobs


in_line = sync_to_async(read_line)


async def job_counts() -> Jobs:
    """How many wait in line, and how many are at work, as the database has it."""
    unfinished = Transcription.objects.filter(status__in=Transcription.UNFINISHED)
    counts = unfinished.values_list("status").annotate(count=Count("pk")).order_by()
    return Jobs(**{status: count async for status, count in counts})


def places() -> dict[int, Place]:
    """The place of every unfinished job, by the id of its transcription."""
    line = read_line()  # first: one that starts in between is at work, not lost
    running = Transcription.objects.filter(status=Status.TRANSCRIBING).order_by("pk")
    left = Greatest(F("recording__duration") - F("seconds_done"), 0.0)
    now = [Queued(*row) for row in running.values_list("pk", "lane", "recording__owner_id", left)]
    started = {job.pk for job in now}
    waiting = [job for job in line if job.pk not in started]
    rate = audio_rate()
    work = work_until_done([*now, *waiting], service.total_limit())
    positions = chain(((job, None) for job in now), zip(waiting, count(1), strict=False))
    return {job.pk: Place(position, work[job.pk] / rate if rate else None) for job, position in positions}


aplaces = sync_to_async(places)


def work_until_done(jobs: Iterable[Queued], at_once: int) -> dict[int, float]:
    """Seconds of audio that will have been transcribed when each job is done, its own included, by its id.

    As the gate and the runner have it: a lane before the next; within a lane owners in turns, so that all progress
    alike; `at_once` jobs of an owner at a time, which share what the owner gets.
    """
    work: dict[int, float] = {}
    before = 0.0
    lanes: defaultdict[str, defaultdict[int, list[Queued]]] = defaultdict(lambda: defaultdict(list))
    for job in jobs:
        lanes[job.lane][job.owner_id].append(job)
    for lane in LANES:
        owners = lanes[lane].values()
        totals = sorted(sum(job.seconds for job in owned) for owned in owners)
        sums = [0.0, *accumulate(totals)]
        for owned in owners:
            for pk, own in _sharing(owned, at_once):
                less = bisect(totals, own)  # of these owners everything is done by then, of the others as much
                work[pk] = before + sums[less] + own * (len(totals) - less)
        before += sums[-1]
    return work


def _sharing(jobs: Iterable[Queued], at_once: int) -> Iterator[tuple[int, float]]:
    """The id of each job of one owner, as it ends, and the seconds of audio transcribed for the owner until then."""
    running: list[tuple[float, int]] = []  # by where each one's share ends
    share = total = 0.0

    def first() -> tuple[int, float]:
        nonlocal share, total
        total += (running[0][0] - share) * len(running)
        share, pk = heappop(running)
        return pk, total

    for job in jobs:
        if len(running) >= at_once:
            yield first()
        heappush(running, (share + job.seconds, job.pk))
    while running:
        yield first()
