"""Finding recordings in a library, each with its newest transcription and the one whose text is shown."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

from asgiref.sync import sync_to_async
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from recordings.models import Recording, Segment, Transcription
from recordings.transcripts.words import shown_text
from transcription.writing import head, join
from web.problems import not_found

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

BEGINNING = 300  # characters of the text that a list shows


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording as lists and pages show it.

    newest: the transcription whose status is the recording's.
    shown: the transcription whose text is the recording's (see `library`).
    """

    recording: Recording
    newest: Transcription | None
    shown: Transcription | None


class Ids(TypedDict):
    newest_id: int | None
    text_id: int | None


class Corrections(TypedDict):
    corrections: int


def library(owner_id: int) -> "QuerySet[WithAnnotations[Recording, Ids]]":
    """The owner's recordings, with the ids of the newest transcription (`newest_id`) and of the shown one (`text_id`).

    The shown one is the one that a person went back to, else the newest that is done, else the newest that has text or
    may yet get some, else the newest.
    """
    runs = Transcription.objects.filter(recording=OuterRef("pk")).order_by("-id").values("id")
    newest = Subquery(runs[:1])
    text = Exists(Segment.objects.filter(transcription=OuterRef("pk")).exclude(text=""))
    return Recording.objects.filter(owner_id=owner_id).annotate(
        newest_id=newest,
        text_id=Coalesce(
            "shown_id",
            Subquery(runs.filter(status=Transcription.Status.DONE)[:1]),
            Subquery(runs.filter(Q(status__in=Transcription.UNFINISHED) | text)[:1]),
            newest,
        ),
    )


def find(owner_id: int, recording_id: int, transcription_id: int | None = None) -> Entry:
    """One recording of the owner. With `transcription_id`, that transcription is the shown one.

    Raises Problem 404 for the id of nothing, of somebody else's recording, or of another recording's transcription.
    """
    recording = library(owner_id).filter(pk=recording_id).first()
    if recording is None:
        raise not_found()
    entry = _entries([recording])[0]
    if transcription_id is None:
        return entry
    run = recording.transcriptions.filter(pk=transcription_id).first()
    if run is None:
        raise not_found()
    return replace(entry, shown=run)


afind = sync_to_async(find)


def transcriptions(recording: Recording) -> "QuerySet[WithAnnotations[Transcription, Corrections]]":
    """The transcriptions of a recording, the newest first, each with the number of corrected segments."""
    corrected = Count("segments", filter=Q(segments__correction__isnull=False))
    return recording.transcriptions.annotate(corrections=corrected).order_by("-id")


def several(owner_id: int, ids: Iterable[int]) -> list[Entry]:
    """The owner's recordings among the ids, in no order."""
    return _entries(list(library(owner_id).filter(pk__in=ids)))


def newer(owner_id: int, than: int, limit: int) -> list[Entry]:
    """The newest `limit` of the owner's recordings with ids over `than`, the newest first."""
    rows = library(owner_id).filter(pk__gt=than).order_by("-id")
    return _entries(list(rows[:limit]))


def page(
    owner_id: int, *, query: str, status: str | None, before: int | None, limit: int
) -> tuple[list[Entry], int | None]:
    """A page of the library: the newest `limit` recordings with ids under `before`.

    query: words in the title or the shown text. status: of the newest transcription, or "new" where there is none.
    Returns the recordings, and the id to go on from; None where there are no more.
    """
    rows = library(owner_id).order_by("-id")
    if before is not None:
        rows = rows.filter(pk__lt=before)
    if status == "new":
        rows = rows.filter(newest_id=None)
    elif status:
        rows = rows.filter(Exists(Transcription.objects.filter(pk=OuterRef("newest_id"), status=status)))
    if query:
        said = _saying(query).filter(transcription_id=OuterRef("text_id"))
        rows = rows.filter(Q(title__icontains=query) | Exists(said))
    found = list(rows[: limit + 1])
    return _entries(found[:limit]), found[limit - 1].pk if len(found) > limit else None


def _entries(recordings: "Sequence[WithAnnotations[Recording, Ids]]") -> list[Entry]:
    ids = {pk for row in recordings for pk in (row.newest_id, row.text_id) if pk}
    runs = Transcription.objects.in_bulk(ids)
    return [Entry(row, runs.get(row.newest_id), runs.get(row.text_id)) for row in recordings]


def _saying(query: str) -> QuerySet[Segment]:
    return Segment.objects.filter(Q(correction__icontains=query) | Q(correction=None, text__icontains=query))


def hits(entries: Iterable[Entry], query: str) -> dict[int, Segment]:
    """The first segment of each shown text that has the query in it, by the id of its transcription. One query."""
    shown = [entry.shown.pk for entry in entries if entry.shown]
    said = _saying(query)
    first = said.filter(transcription_id=OuterRef("transcription_id")).order_by("start", "index").values("pk")[:1]
    found = said.filter(transcription_id__in=shown, pk=Subquery(first))
    return {segment.transcription_id: segment for segment in found}


def beginnings(entries: Iterable[Entry]) -> dict[int, str]:
    """The first words of each shown text, also of an unfinished one, by the id of its transcription. One query."""
    pieces = defaultdict[int, list[str]](list)
    shown = [entry.shown.pk for entry in entries if entry.shown]
    # Three segments of up to 30 s have more text than is shown.
    first = Segment.objects.filter(transcription_id__in=shown, index__lt=3)
    for segment in first.order_by("transcription_id", "start", "index"):
        pieces[segment.transcription_id].append(shown_text(segment))
    return {pk: _cut(join(texts)) for pk, texts in pieces.items()}


def _cut(text: str) -> str:
    return text if len(text) <= BEGINNING else head(text, BEGINNING - 1).rstrip() + "…"
