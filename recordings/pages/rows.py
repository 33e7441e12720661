"""A recording as a row of the library: how it stands in words, and where its text has what was searched for."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext

from recordings.library import listing
from recordings.library.finding import TextHits, text_hits
from recordings.models import Recording, Transcription
from recordings.pages.failure import Failure
from recordings.pages.words import place_words, work_words
from recordings.search.hits import Hit
from recordings.search.query import Query
from recordings.work.places import Place, Standing

Status = Transcription.Status


@dataclass(frozen=True)
class RecordingRow:
    """A recording, how it stands in words, and what its text says."""

    entry: listing.Entry
    place: Place | None
    away: str = ""  # why it does not go on, where no server is there
    beginning: str = ""
    hit: Hit | None = None  # of a search

    @property
    def recording(self) -> Recording:
        return self.entry.recording

    @property
    def status(self) -> str:
        """The status. Of an unfinished one the place tells it, which is of the same moment as all other places."""
        if self.entry.newest is None:
            return "new"
        if self.entry.newest.status in Transcription.UNFINISHED and self.place:
            return Status.QUEUED if self.place.position else Status.TRANSCRIBING
        return self.entry.newest.status

    @property
    def unfinished(self) -> bool:
        return self.status in Transcription.UNFINISHED

    @property
    def percent(self) -> int:
        """Rounded down, so that 100 means done."""
        return int(self.entry.newest.progress * 100) if self.entry.newest else 0

    @property
    def words(self) -> str:
        """How it stands. Nothing is said of a transcription that is done: its text stands there."""
        run = self.entry.newest
        if run is None:
            return gettext("Not transcribed yet")
        if self.status == Status.QUEUED:
            return place_words(self.place)
        if self.status == Status.TRANSCRIBING:
            return work_words(self.place, self.percent)
        return {Status.DONE: "", Status.FAILED: gettext("Failed")}.get(Status(run.status), gettext("Canceled"))

    @property
    def failure(self) -> Failure | None:
        """How the transcription failed; None where it did not."""
        failed = self.entry.newest if self.status == Status.FAILED else None
        return Failure(failed) if failed else None


def rows_of(entries: Sequence[listing.Entry], now: Standing, query: str = "") -> list[RecordingRow]:
    """The rows of these recordings, in one database query, or three for a search."""
    away = now.capacity.away.translated(gettext) if now.capacity.away else ""
    beginnings = listing.beginnings(entries)
    hits = text_hits(entries, Query.parse(query), most=1)
    rows = []
    for entry in entries:
        if entry.newest:
            entry.newest.recording = entry.recording  # its progress needs it: of the same moment, and without a query
        place = now.places.get(entry.newest.pk) if entry.newest else None
        shown = entry.shown.pk if entry.shown else 0
        hit = next(iter(hits.get(shown, TextHits()).first), None)
        rows.append(RecordingRow(entry, place, away if place else "", beginnings.get(shown, ""), hit))
    return rows
