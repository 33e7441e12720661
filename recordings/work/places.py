"""Places in line: where each job stands, and when it will be done, from the measured speed of the servers."""

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate, chain, count

from asgiref.sync import sync_to_async
from django.db.models import F
from django.db.models.functions import Greatest

from recordings.models import Transcription
from recordings.work.line import QueuedJob, read_line
from transcription import service
from transcription.line import LANES
from transcription.monitor.stats import audio_rate


@dataclass(frozen=True, slots=True)
class Place:
    """Where an unfinished job stands.

    position: in line; 1 is next, None is at work.
    eta_seconds: until it is done; None where nobody knows how fast the servers are.
    """

    position: int | None
    eta_seconds: float | None


def places() -> dict[int, Place]:
    """The place of every unfinished job, by the id of its transcription."""
    line = read_line()  # first: one that starts in between is at work, not lost
    running = Transcription.objects.filter(status=Transcription.Status.TRANSCRIBING).order_by("pk")
    left = Greatest(F("recording__duration") - F("seconds_done"), 0.0)
    now = [QueuedJob(*row) for row in running.values_list("pk", "lane", "recording__owner_id", left)]
    started = {job.pk for job in now}
    waiting = [job for job in line if job.pk not in started]
    rate = audio_rate()
    work = work_until_done([*now, *waiting], service.total_limit())
    positions = chain(((job, None) for job in now), zip(waiting, count(1), strict=False))
    return {job.pk: Place(position, work[job.pk] / rate if rate else None) for job, position in positions}


aplaces = sync_to_async(places)


def work_until_done(jobs: Iterable[QueuedJob], at_once: int) -> dict[int, float]:
    """For each job, by its id: the seconds of audio that all jobs will have transcribed when it is done.

    This follows the gate and the runner: one lane goes before the next; in a lane owners take turns, so all of them get
    the same; `at_once` jobs of an owner run at a time, and share what the owner gets.
    """
    work: dict[int, float] = {}
    before = 0.0
    lanes: defaultdict[str, defaultdict[int, list[QueuedJob]]] = defaultdict(lambda: defaultdict(list))
    for job in jobs:
        lanes[job.lane][job.owner_id].append(job)
    for lane in LANES:
        owners = lanes[lane].values()
        totals = sorted(sum(job.seconds for job in owned) for owned in owners)
        sums = [0.0, *accumulate(totals)]
        for owned in owners:
            for pk, own in _sharing(owned, at_once):
                less = bisect(totals, own)  # owners that are done by then; the others got as much as this one
                work[pk] = before + sums[less] + own * (len(totals) - less)
        before += sums[-1]
    return work


def _sharing(jobs: Iterable[QueuedJob], at_once: int) -> Iterator[tuple[int, float]]:
    """The jobs of one owner as they end: the id of each, and the seconds of the owner's audio done until then."""
    running: list[tuple[float, int]] = []  # by the share at which each ends
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
