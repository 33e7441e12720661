"""The changes of a job's row while the job runs.

Each checks that the job still runs: it may have been canceled, or deleted. All but `claim` may be called again after an
attempt that failed: that may have been committed all the same.
"""

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from recordings.events import recording_changed
from recordings.models import Recording, Segment, Transcription, kept_spans, kept_tracks
from recordings.work.hearing import as_segment
from transcription.answer import Transcript
from transcription.audio import Stretch, apart

Status = Transcription.Status


class Stopped(Exception):
    """The job was canceled or deleted, so it runs no more."""


@transaction.atomic
def claim(pk: int) -> Transcription | None:
    """Mark the job as at work in this process, and return it. None: it is finished, or gone."""
    claimed = Transcription.objects.filter(pk=pk, status__in=Transcription.UNFINISHED).update(
        status=Status.TRANSCRIBING, held=True, attempts=F("attempts") + 1, started_at=timezone.now()
    )
    if not claimed:
        return None
    job = Transcription.objects.select_related("recording").get(pk=pk)
    recording_changed(job.recording_id, job.recording.owner_id)
    return job


def let_go(pk: int) -> None:
    """Note that no process works on the job any more. A job that is held at a start was at work in a process that ended
    uncleanly."""
    _running(pk).update(held=False)


def note_crash(job: Transcription) -> None:
    """Count one more decoder that ended uncleanly. Raises Stopped."""
    if not _running(job.pk).update(crashes=F("crashes") + 1):
        raise Stopped
    job.refresh_from_db(fields=["crashes"])


@transaction.atomic
def commit_segment(job: Transcription, stretch: Stretch, transcript: Transcript) -> None:
    """Commit a segment, and the job's progress with it. Raises Stopped."""
    if job.segments.filter(index=stretch.index).exists():
        return
    job.seconds_done = max(job.seconds_done, stretch.end)
    job.detected_language = job.detected_language or transcript.language or ""
    running = _running(job.pk).update(
        segments_done=F("segments_done") + 1,
        crashes=0,
        seconds_done=job.seconds_done,
        detected_language=job.detected_language,
    )
    if not running:
        raise Stopped
    segment = as_segment(stretch, transcript)
    segment.transcription = job
    segment.save(force_insert=True)
    recording_changed(job.recording_id, job.recording.owner_id)


@transaction.atomic
def finish(job: Transcription, total: int, speech: apart.Speech) -> None:
    """The job is done: it has `total` segments, and the recording what was learnt of its sound."""
    finished = _running(job.pk).update(
        status=Status.DONE,
        segments_total=total,
        segments_done=total,
        seconds_done=speech.duration,
        finished_at=timezone.now(),
    )
    if finished:
        Recording.objects.filter(pk=job.recording_id).update(
            duration=speech.duration,
            peaks=speech.peaks,
            damaged=kept_spans(speech.damaged),
            tracks=kept_tracks(speech.tracks),
            shown=_shown_after(job),
        )
        recording_changed(job.recording_id, job.recording.owner_id)


def _shown_after(job: Transcription) -> int | None:
    """The id of the transcription to show from now on; None: the newest.

    An automatic one does not take the place of a text that a person chose, or worked on: corrected, split, joined.
    """
    if not job.automatic:
        return None
    chosen: int | None = Recording.objects.values_list("shown", flat=True).get(pk=job.recording_id)
    worked_on = Segment.objects.filter(transcription__recording=job.recording_id).exclude(correction=None, version=0)
    return chosen or worked_on.order_by("-transcription").values_list("transcription", flat=True).first()


def fail(job: Transcription, code: str, message: str) -> None:
    """The job has failed: `code` is of the table `web.codes`, `message` is for the admin."""
    failed = {"error_code": code, "error_message": message, "finished_at": timezone.now()}
    if _running(job.pk).update(status=Status.FAILED, **failed):
        recording_changed(job.recording_id, job.recording.owner_id)


def _running(pk: int) -> QuerySet[Transcription]:
    return Transcription.objects.filter(pk=pk, status=Status.TRANSCRIBING)
