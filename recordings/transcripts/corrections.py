"""What people do to a text: correct it beside the machine's, and go back to an earlier one."""

from asgiref.sync import sync_to_async
from django.db.models import F
from django.utils import timezone

from recordings.events import text_changed
from recordings.models import Recording, Segment, Transcription
from web.problems import Problem, not_found


class EditConflict(Problem):
    """Somebody changed the line since it was read. `segment`: as it stands now."""

    def __init__(self, segment: Segment) -> None:
        super().__init__("edit_conflict")
        self.segment = segment


def correct(
    recording: Recording, shown: Transcription | None, index: int, text: str | None, version: int | None
) -> Segment:
    """Put a person's text beside the machine's in the transcription `shown`; None takes it away.

    With the `version` that was read, a change made since raises EditConflict, unless it is the very same: then this
    is an earlier try of it, whose answer was lost. The database decides which of two at once is first. Raises
    Problem 404 where there is no such segment.
    """
    rows = Segment.objects.filter(transcription=shown, index=index)
    segment = rows.first()
    if segment is None:
        raise not_found()
    correction = None if text == segment.text else text
    unchanged = rows if version is None else rows.filter(version=version)
    changed = unchanged.update(correction=correction, version=F("version") + 1)
    segment = rows.first()
    if segment is None:  # deleted in this very moment
        raise not_found()
    if not changed and segment.correction != correction:
        raise EditConflict(segment)
    text_changed(recording.pk, recording.owner_id)
    return segment


acorrect = sync_to_async(correct)


def restore(recording: Recording, shown: Transcription | None) -> None:
    """Show the text of the transcription `shown` from now on, until a newer transcription is done.

    Raises Problem 409 where it is not done.
    """
    if shown is None or shown.status != Transcription.Status.DONE:
        raise Problem("not_done")
    Recording.objects.filter(pk=recording.pk).update(shown=shown, updated_at=timezone.now())
    text_changed(recording.pk, recording.owner_id)


arestore = sync_to_async(restore)
