"""Finding recordings in a library, each with its newest transcription and the one whose text is shown."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

from asgiref.sync import sync_to_async
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from recordings.models import Recording, Segment, Transcription
from recordings.search.index import index
from recordings.search.query import Query
from recordings.transcripts.words import shown_text
from transcription.writing import head, join
from web.problems import not_found

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

BEGINNING = 300  # characters of the text that a list shows
NEAR = 4  # times as many recordings as a page shows are looked at for common words


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
    owner_id: int, *, query: str, status: str | None, before: int | None, limit: int, only: int | None = None
) -> tuple[list[Entry], int | None]:
    """A page of the library: the newest `limit` recordings with ids under `before`.

    query: words and phrases that all stand in the title, or in one segment of the shown text (see `search.query`).
    status: of the newest transcription, or "new" where there is none. only: the id of the one to look at.
    Returns the recordings, and the id to go on from; None where there are no more.
    """
    rows = library(owner_id).order_by("-id")
    if only is not None:
        rows = rows.filter(pk=only)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    if status == "new":
        rows = rows.filter(newest_id=None)
    elif status:
        rows = rows.filter(Exists(Transcription.objects.filter(pk=OuterRef("newest_id"), status=status)))
    if query:
        wanted = Query.parse(query)
        near = _near(rows, wanted, limit)
        rows = rows.filter(pk__in=near) if near else _having(rows, wanted)
    found = list(rows[: limit + 1])
    return _entries(found[:limit]), found[limit - 1].pk if len(found) > limit else None


def _entries(recordings: "Sequence[WithAnnotations[Recording, Ids]]") -> list[Entry]:
    ids = {pk for row in recordings for pk in (row.newest_id, row.text_id) if pk}
    runs = Transcription.objects.in_bulk(ids)
    return [Entry(row, runs.get(row.newest_id), runs.get(row.text_id)) for row in recordings]


def _having(
    rows: "QuerySet[WithAnnotations[Recording, Ids]]", query: Query
) -> "QuerySet[WithAnnotations[Recording, Ids]]":
    """Those of the recordings that have the words, found from the few that the index names."""
    if not query:
        return rows.none()
    titles, texts = index().titles(query), index().transcriptions(query)
    said = Transcription.objects.filter(pk__in=texts).values("recording_id")
    return rows.filter(Q(pk__in=titles) | Q(pk__in=said, text_id__in=texts))


def _near(rows: "QuerySet[WithAnnotations[Recording, Ids]]", query: Query, limit: int) -> list[int]:
    """The ids of those that have the words among the newest recordings, where the words are so common that these fill
    the page; else nothing. The database would gather hundreds of thousands of hits first, to show twenty of them."""
    if not query or not index().common(query):
        return []
    newest = dict(rows.values_list("pk", "text_id")[: NEAR * (limit + 1)])
    runs = [run for run in newest.values() if run]
    said = {run for run, _, _ in index().segments(query, runs, most=1)} if runs else set()
    titled = set(
        Recording.objects.filter(Q(pk__in=list(newest)) & Q(pk__in=index().titles(query))).values_list("pk", flat=True)
    )
    found = [pk for pk, run in newest.items() if run in said or pk in titled]
    return found if len(found) > limit else []


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
