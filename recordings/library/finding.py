"""Searching a library: the recordings whose titles or shown texts have the words, and where they have them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from asgiref.sync import sync_to_async
from django.db.models import Q

from recordings.library import listing
from recordings.models import Segment
from recordings.search.hits import Hit, Piece, marked
from recordings.search.index import index
from recordings.search.query import Query


@dataclass(frozen=True, slots=True)
class TextHits:
    """What a text has of a query: its first hits, and how many segments have one."""

    first: Sequence[Hit] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """A recording that a search has found. `title`: in pieces, with what was searched for marked."""

    entry: listing.Entry
    title: list[Piece]
    said: TextHits

    @property
    def more(self) -> int:
        """How many segments have the words besides those of the hits."""
        return self.said.count - len(self.said.first)


def search(
    owner_id: int, typed: str, *, before: int | None = None, limit: int, hits: int, recording: int | None = None
) -> tuple[list[Found], int | None]:
    """A page of what is found: the newest `limit` of the owner's recordings with ids under `before`, or one of them,
    each with its first `hits`. Returns it, and the id to go on from; None where there are no more.

    Raises Problem 404 where `recording` is the id of nothing or of somebody else's.
    """
    query = Query.parse(typed)
    if recording is not None:
        listing.find(owner_id, recording)
    if not query:
        return [], None
    entries, more = listing.page(owner_id, query=typed, status=None, before=before, limit=limit, only=recording)
    said = text_hits(entries, query, hits)
    return [
        Found(entry, marked(entry.recording.title, query), said.get(entry.shown.pk if entry.shown else 0, TextHits()))
        for entry in entries
    ], more


asearch = sync_to_async(search)


def text_hits(entries: Sequence[listing.Entry], query: Query, most: int) -> dict[int, TextHits]:
    """What the shown texts of these recordings have of a query, by the ids of their transcriptions. Two queries."""
    shown = [entry.shown.pk for entry in entries if entry.shown]
    if not shown or not query:
        return {}
    found = index().segments(query, shown, most)
    if not found:
        return {}
    numbers, counts = defaultdict[int, list[int]](list), dict[int, int]()
    for run, number, count in found:
        numbers[run].append(number)
        counts[run] = count
    wanted = reduce(or_, (Q(transcription_id=run, index__in=listed) for run, listed in numbers.items()))
    hits = defaultdict[int, list[Hit]](list)
    for segment in Segment.objects.filter(wanted).order_by("transcription_id", "start", "index"):
        hits[segment.transcription_id].append(Hit.of(segment, query))
    return {run: TextHits(first, counts[run]) for run, first in hits.items()}
