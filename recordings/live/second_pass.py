"""The second pass: a job that transcribes a live session again, better, when there is nothing else to do."""

import asyncio
import logging
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from recordings.live.sessions import live
from recordings.models import Recording, Transcription
from recordings.work.jobs import aqueue_transcription
from transcription import service
from web.patience import in_database

log = logging.getLogger(__name__)

LOOK_AGAIN = 5.0  # seconds
FORGOTTEN = timedelta(days=1)  # since the end; after it nobody waits for a better text, but people can ask for one


async def make_second_passes() -> None:
    """Queue a second pass whenever the gate is idle. Until canceled."""
    while settings.LIVE_SECOND_PASS:
        await asyncio.sleep(LOOK_AGAIN)
        if _idle() and (recording := await in_database(_next)):
            try:
                await aqueue_transcription(recording, limited=False, automatic=True)
            except Exception:
                log.exception("Recording %d gets no second pass", recording.pk)


def _idle() -> bool:
    snapshot = service.snapshot()
    gates = [server.gate for server in snapshot.servers]
    return not any(live) and not (snapshot.line.queued or any(gate.active + gate.abandoned for gate in gates))


def _next() -> Recording | None:
    """The newest recording that has only its captions; None while there are unfinished jobs."""
    if Transcription.objects.filter(status__in=Transcription.UNFINISHED).exists():
        return None
    recent = Recording.objects.filter(live_session__ended_at__gt=timezone.now() - FORGOTTEN)
    others = Transcription.objects.exclude(lane="live").values("recording")
    return recent.exclude(pk__in=others).order_by("-pk").first()
