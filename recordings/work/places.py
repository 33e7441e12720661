"""Places in line: where each job stands, and when it will be done, from the measured speed of the servers."""

from bisect import bisect
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate
from typing import Literal, cast

from django.db.models import F
from django.db.models.functions import Greatest

from recordings.models import Transcription
from recordings.work.line import QueuedJob, read_line
from transcription.line import LANES, Lane
from transcription.monitor.capacity import Capacity, capacity

EVIDENCE = 3  # jobs that must be done before a time is estimated: the first ones wait for loading models, and climb

Status = Transcription.Status
State = Literal["queued", "transcribing", "taking turns", "halted"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an unfinished job stands.

    position: in line; 1 is next, None is at work.
    eta_seconds: until it is done; None where there is no evidence for it, or no server is there.
    state: of a job at work: “taking turns” where more jobs are at work than there are permits, “halted” while no
        server is there.
    """

    position: int | None
    eta_seconds: float | None
    state: State


@dataclass(frozen=True, slots=True)
class Standing:
    """All unfinished jobs and the servers, as they are at one moment.

    places: by the id of the transcription. in_line, at_work: how many of them there are.
    """

    places: Mapping[int, Place]
    capacity: Capacity
    in_line: int
    at_work: int

    @property
    def permits_out(self) -> int:
        """Permits that are out. A job at work keeps one between two of its calls too, while a server is there."""
        kept = 0 if self.capacity.away else min(self.capacity.permits, self.at_work)
        return max(self.capacity.out, kept)


def standing() -> Standing:
    """Where all jobs stand now. In `one_moment`, it is of the same moment as all else that is read there."""
    line = read_line()  # first: one that starts in between is at work, not lost
    running = Transcription.objects.filter(status=Status.TRANSCRIBING).order_by("pk")
    left = Greatest(F("recording__duration") - F("seconds_done"), 0.0)
    now = [QueuedJob(*row) for row in running.values_list("pk", "lane", "recording__owner_id", left)]
    at_work = {job.pk for job in now}
    waiting = [job for job in line if job.pk not in at_work]
    able = capacity()
    etas = estimates(now, waiting, able)
    if etas and not _has_evidence():
        etas = {}
    states = job_states(now, able)
    places = {job.pk: Place(None, etas.get(job.pk), states[job.pk]) for job in now}
    places |= {job.pk: Place(number, etas.get(job.pk), "queued") for number, job in enumerate(waiting, 1)}
    return Standing(places, able, len(waiting), len(now))


def job_states(jobs: Collection[QueuedJob], able: Capacity) -> dict[int, State]:
    """The state of each job at work. Lanes go one before the next; the jobs of the lane that has too few permits left
    take turns, and so do those of the lanes behind it."""
    if able.away:
        return {job.pk: "halted" for job in jobs}
    states: dict[int, State] = {}
    left = able.permits
    for lane in LANES:
        own = [job.pk for job in jobs if job.lane == lane]
        left -= len(own)
        states |= dict.fromkeys(own, "transcribing" if left >= 0 else "taking turns")
    return states


def _has_evidence() -> bool:
    return Transcription.objects.filter(status=Status.DONE).order_by()[:EVIDENCE].count() >= EVIDENCE


def estimates(now: Collection[QueuedJob], waiting: Iterable[QueuedJob], able: Capacity) -> dict[int, float]:
    """Seconds until each job is done, by its id. None where nothing was measured, and while no server is there.

    now: the jobs at work. waiting: those in line, in its order.
    """
    if not able.rate or able.away:
        return {}
    work = work_until_done([*now, *waiting], able.permits, started={job.pk for job in now})
    return {pk: seconds / able.rate for pk, seconds in work.items()}


def work_until_done(
    jobs: Iterable[QueuedJob], at_once: int, started: Collection[int] = frozenset()
) -> dict[int, float]:
    """For each job, by its id: the seconds of audio that all jobs will have transcribed when it is done.

    This follows the gate and the runner: one lane goes before the next; in a lane owners take turns, so all of them get
    the same; `at_once` jobs of an owner run at a time, and share what the owner gets.

    started: ids of the jobs at work, of which there may be more.
    """
    work: dict[int, float] = {}
    before = 0.0
    lanes: defaultdict[Lane, defaultdict[int, list[QueuedJob]]] = defaultdict(lambda: defaultdict(list))
    for job in jobs:
        lanes[cast(Lane, job.lane)][job.owner_id].append(job)
    for lane in LANES:
        owners = lanes[lane].values()
        totals = sorted(sum(job.seconds for job in owned) for owned in owners)
        sums = [0.0, *accumulate(totals)]
        for owned in owners:
            for pk, own in _sharing(owned, at_once, started):
                less = bisect(totals, own)  # owners that are done by then; the others got as much as this one
                work[pk] = before + sums[less] + own * (len(totals) - less)
        before += sums[-1]
    return work


def _sharing(jobs: Iterable[QueuedJob], at_once: int, started: Collection[int]) -> Iterator[tuple[int, float]]:
    """The jobs of one owner as they end: the id of each, and the seconds of the owner's audio done until then."""
    running: list[tuple[float, int]] = []  # by the share at which each ends
    share = total = 0.0

    def first() -> tuple[int, float]:
        nonlocal share, total
        total += (running[0][0] - share) * len(running)
        share, pk = heappop(running)
        return pk, total

    for job in jobs:
        while len(running) >= at_once and job.pk not in started:
            yield first()
        heappush(running, (share + job.seconds, job.pk))
    while running:
        yield first()
