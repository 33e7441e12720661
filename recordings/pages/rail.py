"""The rail: the gate and the line, drawn above the library."""

from collections.abc import Mapping
from dataclasses import dataclass

from accounts.auth import PageRequest
from recordings.models import Transcription
from recordings.pages.words import place_words
from recordings.work.places import Place
from transcription.monitor.stats import read_stats

DRAWN = 12  # cells or dots on the rail; more than that is told in numbers only


@dataclass(frozen=True)
class Rail:
    """The numbers of the rail: a cell for every permit, and a dot for all that waits, calls before recordings.

    limit, busy: permits, and how many are out. A recording at work keeps one between two of its calls too.
    trouble: why no server answers, so that all wait and nothing fails; empty where one does.
    calls, in_line: calls and recordings that wait.
    unfinished: the reader's own jobs, in line or at work.
    mine: the positions of the reader's own jobs in line, from 1. next_words: the place of the first of them.
    """

    limit: int
    busy: int
    trouble: str
    calls: int
    in_line: int
    unfinished: int
    mine: frozenset[int]
    next_words: str

    @property
    def cells(self) -> list[bool]:
        return [number < self.busy for number in range(min(self.limit, DRAWN))]

    @property
    def waiting(self) -> int:
        return self.calls + self.in_line

    @property
    def dots(self) -> list[bool]:
        return [number - self.calls in self.mine for number in range(1, min(self.waiting, DRAWN) + 1)]


def rail_of(request: PageRequest, places: Mapping[int, Place]) -> Rail:
    stats = read_stats()
    troubles = [server.trouble or "" for server in stats.servers]
    waiting = {pk: place for pk, place in places.items() if place.position is not None}
    unfinished = Transcription.objects.filter(recording__owner=request.user.pk, status__in=Transcription.UNFINISHED)
    own_jobs = list(unfinished.values_list("id", flat=True))
    mine = sorted((waiting[pk] for pk in own_jobs if pk in waiting), key=lambda place: place.position or 0)
    return Rail(
        limit=stats.limit,
        busy=max(stats.active_tasks, min(stats.limit, len(places) - len(waiting))),
        trouble=troubles[0] if troubles and all(troubles) else "",
        calls=stats.queued_calls,
        in_line=len(waiting),
        unfinished=len(own_jobs),
        mine=frozenset(place.position for place in mine if place.position is not None),
        next_words=place_words(mine[0]) if mine else "",
    )
