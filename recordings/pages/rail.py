"""The rail: the gate and the line, drawn above the library."""

from dataclasses import dataclass

from django.utils.translation import gettext

from accounts.auth import PageRequest
from recordings.models import Transcription
from recordings.pages.words import place_words
from recordings.work.places import Standing

DRAWN = 12  # cells or dots on the rail; more than that is told in numbers only


@dataclass(frozen=True)
class Rail:
    """The numbers of the rail: a cell for every permit, and a dot for every recording that waits.

    limit, busy: permits, and how many are out.
    turns: how many recordings are at work where these are more than the permits, else 0.
    away: why no server is there, so that all wait and nothing fails. slow: why less gets done than one sees. Empty
        where neither is so.
    waiting: recordings in line.
    unfinished: the reader's own jobs, in line or at work.
    mine: the positions of the reader's own jobs in line, from 1. next_words: the place of the first of them.
    """

    limit: int
    busy: int
    turns: int
    away: str
    slow: str
    waiting: int
    unfinished: int
    mine: frozenset[int]
    next_words: str

    @property
    def cells(self) -> list[bool]:
        return [number < self.busy for number in range(min(self.limit, DRAWN))]

    @property
    def dots(self) -> list[bool]:
        return [number in self.mine for number in range(1, min(self.waiting, DRAWN) + 1)]


def rail_of(request: PageRequest, now: Standing) -> Rail:
    able = now.capacity
    unfinished = Transcription.objects.filter(recording__owner=request.user.pk, status__in=Transcription.UNFINISHED)
    own = [now.places[pk] for pk in unfinished.values_list("id", flat=True) if pk in now.places]
    mine = {place.position: place for place in own if place.position is not None}
    return Rail(
        limit=able.permits,
        busy=now.permits_out,
        turns=now.at_work if now.at_work > able.permits and not able.away else 0,
        away=able.away.translated(gettext) if able.away else "",
        slow=able.slow.translated(gettext) if able.slow and now.at_work else "",
        waiting=now.in_line,
        unfinished=len(own),
        mine=frozenset(mine),
        next_words=place_words(mine[min(mine)]) if mine else "",
    )
