"""The line of jobs, in the database: which start next."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

from asgiref.sync import sync_to_async
from django.db.models import Count, Max, Sum

from recordings.models import Transcription
from transcription.line import LANES, Lane
from transcription.snapshot import Jobs


class QueuedJob(NamedTuple):
    """A job in line, as far as its turn depends on it.

    seconds: the duration of its recording
    crashes: how many processes in a row ended uncleanly while they worked on it
    """

    pk: int
    lane: str
    owner_id: int
    seconds: float
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class _JobLine:
    """The queued jobs in order, and the mark of the line when they were read."""

    mark: Mapping[str, object]
    jobs: list[QueuedJob]


_last = _JobLine({}, [])


def read_line() -> list[QueuedJob]:
    """The queued jobs in the order in which they start: by lane, then owners in turns, then by age.

    The rows are read only if the line has changed since the last call: thousands may wait, and every open page asks.
    Ids only grow, so two lines with the same number and sum of ids are the same; crashes move a job in the line.
    """
    global _last
    queued = Transcription.objects.filter(status=Transcription.Status.QUEUED)
    mark = queued.aggregate(Count("pk"), Sum("pk"), Max("created_at"), Sum("crashes"))
    if mark == _last.mark:
        return _last.jobs
    turns: Counter[tuple[str, int]] = Counter()
    ranked = []
    columns = ("pk", "lane", "recording__owner_id", "recording__duration", "crashes")
    for row in queued.order_by("pk").values_list(*columns):
        job = QueuedJob(*row)
        ranked.append((LANES.index(cast(Lane, job.lane)), turns[job.lane, job.owner_id], job))
        turns[job.lane, job.owner_id] += 1
    _last = _JobLine(mark, [job for _, _, job in sorted(ranked)])
    return _last.jobs


in_line = sync_to_async(read_line)


async def job_counts() -> Jobs:
    """How many wait in line, and how many are at work, as the database has it."""
    unfinished = Transcription.objects.filter(status__in=Transcription.UNFINISHED)
    counts = unfinished.values_list("status").annotate(count=Count("pk")).order_by()
    return Jobs(**{status: count async for status, count in counts})
