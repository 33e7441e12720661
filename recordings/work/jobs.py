"""Putting recordings in line, and canceling. The row of the `Transcription` is the job: once committed, never lost."""

from functools import partial

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from accounts.lanes import WorkLane
from recordings.events import recording_changed
from recordings.models import Recording, Transcription, want_copy
from recordings.work.places import standing
from recordings.work.runner import runner
from web.problems import Problem, retry_after

Status = Transcription.Status

# A person waits at the page for a short clip; a long recording is work for the background.
SHORT_SECONDS = 60.0
COME_BACK = 60  # seconds, where nobody knows yet how fast the servers are


def queue_transcription(
    recording: Recording,
    *,
    language: str | None = None,
    model: str | None = None,
    prompt: str | None = None,
    track: int | None = None,
    limited: bool = True,
    automatic: bool = False,
    lane: WorkLane = "interactive",
) -> Transcription:
    """Put the recording in line. Returns its new job, or the unfinished one that it has.

    language, model, prompt, track: None for those of the recording.
    track: the number of the one sound track to hear, 0 for all that belong together; the recording keeps it.
    limited: whether USER_MAX_QUEUED holds.
    automatic: nobody asked for the job, and nobody waits for it.
    lane: the highest in which the job may stand. That of a long recording is batch.
    Raises Problem 422 `no_such_track`, and 429 where the owner has USER_MAX_QUEUED unfinished jobs. The runner and the
    pages are told after the commit of the transaction under way.
    """
    require_track(track, len(recording.tracks))
    job = Transcription(
        recording=recording,
        lane=lane if recording.duration <= SHORT_SECONDS and not automatic else "batch",
        automatic=automatic,
        language=recording.language if language is None else language,
        model=model or "",
        prompt=recording.prompt if prompt is None else prompt,
        track=recording.track if track is None else track,
    )
    most = settings.USER_MAX_QUEUED if limited else None
    transcription = _put_in_line(job, most)
    if transcription is None:
        raise _line_full(recording.owner_id)
    return transcription


aqueue_transcription = sync_to_async(queue_transcription)


@transaction.atomic
def _put_in_line(job: Transcription, most: int | None) -> Transcription | None:
    """Save the job and return it, or the recording's unfinished one. None: the owner has `most` unfinished ones."""
    owner_id = job.recording.owner_id
    User.objects.select_for_update().filter(pk=owner_id).first()  # one at a time per owner, so that the count holds
    unfinished = Transcription.objects.filter(status__in=Transcription.UNFINISHED)
    if existing := unfinished.filter(recording=job.recording_id).first():
        if existing.automatic and not job.automatic:  # somebody asks now
            Transcription.objects.filter(pk=existing.pk).update(automatic=False)
        return existing
    if most is not None and unfinished.filter(recording__owner=owner_id).count() >= most:
        return None
    job.save(force_insert=True)
    if job.track != job.recording.track:
        Recording.objects.filter(pk=job.recording_id).update(track=job.track)
        want_copy(job.recording)
    transaction.on_commit(runner.wake, robust=True)
    recording_changed(job.recording_id, owner_id)
    return job


def require_track(number: int | None, there: int) -> None:
    """Raise Problem 422 where the recording has tracks, but not this one."""
    if number and there and number > there:
        raise Problem("no_such_track", detail=there)


def _line_full(owner_id: int) -> Problem:
    """The refusal of one job too many. It says to come back when the first of the owner's jobs will be done."""
    places = standing().places
    own = Transcription.objects.filter(recording__owner=owner_id, status__in=Transcription.UNFINISHED)
    etas = [places[pk].eta_seconds for pk in own.values_list("pk", flat=True) if pk in places]
    known = [eta for eta in etas if eta is not None]
    headers = retry_after(min(known, default=COME_BACK))
    return Problem("too_many_queued", headers=headers, most=settings.USER_MAX_QUEUED)


@transaction.atomic
def cancel_transcription(recording: Recording) -> None:
    """End the recording's unfinished job, in line or at work. The segments so far are kept."""
    if end_work(recording):
        recording_changed(recording.pk, recording.owner_id)


acancel_transcription = sync_to_async(cancel_transcription)


def end_work(recording: Recording) -> bool:
    """Cancel the recording's unfinished job, in the transaction under way. Returns whether there was one."""
    unfinished = recording.transcriptions.filter(status__in=Transcription.UNFINISHED)
    ids = list(unfinished.values_list("pk", flat=True))
    ended = unfinished.update(status=Status.CANCELED, finished_at=timezone.now())
    for pk in ids:
        transaction.on_commit(partial(runner.cancel, pk), robust=True)
    transaction.on_commit(runner.wake, robust=True)  # the next one may start
    return bool(ended)
