"""A recording as a row of the library: how it stands in words, and where its text says what was searched for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from django.utils.translation import gettext

from recordings.library import listing
from recordings.models import Recording, Segment, Transcription
from recordings.pages.failure import Failure
from recordings.pages.words import place_words, work_words
from recordings.transcripts.sentences import lines
from recordings.work.places import Place, Standing
from transcription.writing import tail

BEFORE = 60  # characters that are shown of what was said before a hit

Status = Transcription.Status


@dataclass(frozen=True)
class Hit:
    """The place in a text that matches a search, with the sentence around it.

    address: the fragment that leads to it on the page of the recording.
    """

    before: str
    match: str
    after: str
    address: str

    @classmethod
    def of(cls, segment: Segment, query: str) -> "Hit | None":
        """The first match in a segment; None where only the database finds one, whose upper and lower case differ."""
        for line in lines(segment):
            if found := re.search(re.escape(query), line.text, re.IGNORECASE):
                break
        else:
            return None
        before, after = line.text[: found.start()], line.text[found.end() :]
        if len(before) > BEFORE:
            before = "…" + tail(before, BEFORE)
        address = urlencode({"t": f"{line.start:g}", "q": query}, quote_via=quote)
        return cls(before, found.group(), after, f"#{address}")


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
    """The rows of these recordings, in one database query, or two for a search."""
    away = now.capacity.away.translated(gettext) if now.capacity.away else ""
    beginnings = listing.beginnings(entries)
    hits = listing.hits(entries, query) if query else {}
    rows = []
    for entry in entries:
        if entry.newest:
            entry.newest.recording = entry.recording  # its progress needs it: of the same moment, and without a query
        place = now.places.get(entry.newest.pk) if entry.newest else None
        shown = entry.shown.pk if entry.shown else 0
        hit = Hit.of(hits[shown], query) if shown in hits else None
        rows.append(RecordingRow(entry, place, away if place else "", beginnings.get(shown, ""), hit))
    return rows
