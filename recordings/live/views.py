"""The pages with a microphone and with live captions: recorder, speaker, viewer, and overlay for streaming software.

Captions come to these pages over the sockets in `consumers`. When a session has become a recording, its viewers find
the text at the same address, to read and to download.
"""

import io
from collections.abc import Callable
from functools import wraps

import segno
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from accounts.auth import PageRequest
from recordings.library import listing
from recordings.live import sessions
from recordings.live.access import open_to
from recordings.live.journal import HEADER, SECOND
from recordings.live.room import room as find_room
from recordings.live.sound import longest
from recordings.models import LiveSession, Segment
from recordings.storage import quota
from recordings.templatetags.reading import language_names
from recordings.transcripts.exports import file_response
from recordings.transcripts.sentences import text_language
from recordings.transcripts.transcript import FullTranscript
from recordings.transcripts.words import shown_text

GIVEN = ("txt", "srt", "vtt", "docx")  # formats for viewers: the others hold more than the text and its times
SHOWN = 50  # past sessions; older ones are in the library, as recordings


@require_safe
@login_required
def record(request: PageRequest) -> HttpResponse:
    """The recorder, without captions. The recording stays in the browser until it is uploaded as a file."""
    most = min(longest(), settings.MAX_UPLOAD_BYTES - HEADER, quota.left(request.user.pk) - HEADER)
    context = {"spoken_languages": language_names(), "longest": max(0, int(most / SECOND))}
    return render(request, "live/record.html", context)


@never_cache  # going back to the page must not show sessions that have ended since
@require_safe
@login_required
def speaker(request: PageRequest) -> HttpResponse:
    own = LiveSession.objects.filter(owner=request.user).order_by("-created_at")
    context = {
        "spoken_languages": language_names(),
        "running": own.filter(ended_at=None, recording=None, prepared=False),
        "prepared": own.filter(prepared=True).first(),
        "past": own.filter(recording__isnull=False).select_related("recording")[:SHOWN],
    }
    return render(request, "live/speaker.html", context)


def watched(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Wrap a view for the owner, and for anyone who has the link while the session is public. For others: 404."""

    @never_cache
    @require_safe
    @wraps(view)
    def checked(request: HttpRequest, session: str, **more: str) -> HttpResponse:
        allowed = Q(public=True) | Q(owner=request.user.pk)
        return view(request, get_object_or_404(LiveSession, allowed, pk=session), **more)

    return checked


@watched
def viewer(request: HttpRequest, session: LiveSession) -> HttpResponse:
    """The captions as they come; once the session is a recording, its text."""
    transcript = _transcript(session)
    if transcript is None:
        return render(request, "live/viewer.html", {"session": session})
    spoken = transcript.language or ""
    said = [(segment.start, shown_text(segment), segment.language or spoken) for segment in transcript.segments]
    context = {
        "session": session,
        "recording": transcript.recording,
        "complete": transcript.transcription.finished,
        "formats": GIVEN,
        "paragraphs": [(start, text, text_language(text, language)) for start, text, language in said if text],
        "mine": session.owner_id == request.user.pk,
    }
    return render(request, "live/ended.html", context)


@watched
def text(request: HttpRequest, session: LiveSession, form: str) -> HttpResponse:
    """The text of a session that has ended, as a file."""
    transcript = _transcript(session)
    if transcript is None or form not in GIVEN:
        raise Http404
    return file_response(transcript, form)


def _transcript(session: LiveSession) -> FullTranscript | None:
    """The text that the owner's library shows of this session, corrections included. None while it is no recording."""
    if session.recording_id is None:
        return None
    entry = listing.find(session.owner_id, session.recording_id)
    if entry.shown is None:
        return None
    return FullTranscript(entry.recording, entry.shown, list(Segment.objects.filter(transcription=entry.shown)))


@watched
def overlay(request: HttpRequest, session: LiveSession) -> HttpResponse:
    return render(request, "live/overlay.html", {"session": session})


@watched
def qr(request: HttpRequest, session: LiveSession) -> HttpResponse:
    """The viewers' link as a picture. Black on white in dark pages too: many scanners read only that."""
    link = request.build_absolute_uri(reverse("recordings:viewer", args=[session.pk]))
    picture = io.BytesIO()
    segno.make(link, micro=False).save(picture, kind="svg", scale=6, light="#fff", svgclass=None, lineclass=None)
    return HttpResponse(picture.getvalue(), content_type="image/svg+xml")


@require_POST
@login_required
def link(request: PageRequest) -> JsonResponse:
    """Prepare a session, so that its link can be given away before anybody speaks."""
    session = sessions.prepare(request.user.pk)
    return JsonResponse({"session": session.pk, "public": session.public})


@never_cache
@require_safe
@login_required
def room(request: PageRequest) -> JsonResponse:
    """Whether captions can begin at once: a person who would wait may want to record without them."""
    found = find_room()
    return JsonResponse({"state": found.state, "seconds": found.seconds})


@require_POST
@login_required
def publish(request: PageRequest, session: str) -> HttpResponse:
    """Let anyone who has the link watch, or only the owner again."""
    found = LiveSession.objects.filter(pk=session, owner=request.user).first()
    if found is None:
        return HttpResponse(status=404)
    async_to_sync(open_to)(found, everyone=request.POST.get("public") == "on")
    return HttpResponseClientRefresh() if request.headers.get("HX-Request") else HttpResponse(status=204)
