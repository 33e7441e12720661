"""Taking back a change of several segments: a replacement in the whole text, a split, a join, other times.

The rows as they were travel with the answer, as a signed text that the caller sends back to undo the change. So nothing
is kept here, the rows come back exactly, and nobody can put rows there that never were.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.core import signing
from django.db import transaction

from recordings.events import text_changed
from recordings.models import Recording, Segment, Transcription
from web.problems import Problem

SALT = "recordings.undo"
LASTS = 24 * 3600  # seconds: a person looks at what was replaced, sleeps on it, and takes it back
ALL = ("start", "end", "text", "language", "words", "correction")


@dataclass(frozen=True)
class Rearranged:
    """What a change has done. segments: those changed or new. gone: the indexes of those that are no more.

    undo: what `undo` takes; empty where nothing changed.
    """

    segments: list[Segment]
    gone: list[int]
    undo: str


def rearranged(
    before: Iterable[dict[str, Any]], segments: list[Segment], gone: Collection[int] = (), *, whole: bool = True
) -> Rearranged:
    """A change that was made.

    before: the rows that were changed or deleted, by `row`. whole: it is undone as a whole or not at all. Else each
    segment is, if nobody changed it since.
    """
    if not segments:
        return Rearranged([], [], "")
    after = {segment.index: segment.version for segment in segments}
    told = {"of": segments[0].transcription_id, "before": list(before), "after": list(after.items()), "whole": whole}
    return Rearranged(segments, sorted(gone), signing.dumps(told, salt=SALT, compress=True))


def row(segment: Segment, fields: Collection[str] = ALL) -> dict[str, Any]:
    """The fields of a segment to put back, with its index and version."""
    return {name: getattr(segment, name) for name in ("index", "version", *fields)}


def transcription_of(undo: str) -> int:
    """The id of the transcription that the change was made in. Raises Problem 409 for what `rearranged` never wrote."""
    return int(_told(undo)["of"])


def _told(undo: str) -> dict[str, Any]:
    try:
        told: dict[str, Any] = signing.loads(undo, salt=SALT, max_age=LASTS)
    except signing.BadSignature as error:
        raise Problem("not_undoable") from error
    return told


def take_back(recording: Recording, shown: Transcription | None, undo: str) -> Rearranged:
    """Put the rows back that the change found. Raises Problem 409 where people changed them since."""
    told = _told(undo)
    before = {each["index"]: each for each in told["before"]}
    after: dict[int, int] = dict(told["after"])
    with transaction.atomic():
        rows = Segment.objects.filter(transcription=shown)
        found = {one.index: one for one in rows.select_for_update().filter(index__in=before.keys() | after.keys())}
        same = {index for index, version in after.items() if index in found and found[index].version == version}
        deleted = before.keys() - after.keys()
        if shown is None or not same or (told["whole"] and (same != after.keys() or deleted & found.keys())):
            raise Problem("not_undoable")
        gone = same - before.keys()
        rows.filter(index__in=gone).delete()
        restored = [_restored(found[index], before[index]) for index in sorted(same - gone)]
        fields = {name for each in before.values() for name in each} - {"index"}
        Segment.objects.bulk_update(restored, sorted(fields), batch_size=100)
        for index in sorted(deleted):
            segment = _restored(Segment(transcription=shown, version=before[index]["version"]), before[index])
            segment.save(force_insert=True)
            restored.append(segment)
        text_changed(recording.pk, recording.owner_id)
    return Rearranged(restored, sorted(gone), "")


def _restored(segment: Segment, before: dict[str, Any]) -> Segment:
    for name, value in before.items():
        if name != "version":
            setattr(segment, name, value)
    segment.version += 1
    return segment


atake_back = sync_to_async(take_back)
