"""One recording: its page, and what people press there or in the library."""

from django.contrib.auth.decorators import login_required
from django.db import IntegrityError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event
from pydantic import ValidationError

from accounts.auth import PageRequest
from recordings.api.schemas import TranscribeIn
from recordings.failures import invalid_request, said
from recordings.library import listing
from recordings.library.moment import one_moment
from recordings.library.organising import delete_recording
from recordings.pages.text import Text, own
from recordings.templatetags.reading import language_names
from recordings.transcripts.corrections import restore as show_again
from recordings.work.jobs import cancel_transcription, queue_transcription
from web.problems import Problem

SPEEDS = [f"{quarter / 4:g}" for quarter in range(2, 13)]  # 0.5 to 3


@require_safe
@login_required
def recording(request: PageRequest, pk: int) -> HttpResponse:
    with one_moment():
        text = Text.asked(request, pk).whole()
    context = text | {"speeds": SPEEDS, "spoken_languages": language_names()}
    return render(request, "recordings/recording.html", context)


@require_safe
@login_required
def transcriptions(request: PageRequest, pk: int) -> HttpResponse:
    """All transcriptions of a recording, to look at one and to go back to it."""
    entry = own(request, pk)
    context = {"recording": entry.recording, "shown": entry.shown, "runs": listing.transcriptions(entry.recording)}
    return render(request, "recordings/transcriptions.html", context)


@require_POST
@login_required
def restore(request: PageRequest, pk: int, transcription: int) -> HttpResponse:
    entry = own(request, pk, transcription)
    try:
        show_again(entry.recording, entry.shown)
    except Problem as problem:
        return said(problem)
    return redirect("recordings:recording", pk)


def changed() -> HttpResponse:
    """The answer that makes the row or the text around the pressed button load itself again."""
    return trigger_client_event(HttpResponse(status=204), "changed")


@require_POST
@login_required
def transcribe(request: PageRequest, pk: int) -> HttpResponse:
    """Transcribe with the options of the recording, or of a form with language, model and prompt."""
    try:
        options = TranscribeIn.model_validate(request.POST.dict())
        queue_transcription(own(request, pk).recording, **options.model_dump())
    except ValidationError as error:
        return said(invalid_request(error))
    except Problem as problem:
        return said(problem)
    except IntegrityError as error:  # deleted in this very moment
        raise Http404 from error
    return changed()


@require_POST
@login_required
def cancel(request: PageRequest, pk: int) -> HttpResponse:
    cancel_transcription(own(request, pk).recording)
    return changed()


@require_POST
@login_required
def delete(request: PageRequest, pk: int) -> HttpResponse:
    """Delete the recording. Its row goes away by itself; its own page gives way to the library."""
    delete_recording(own(request, pk).recording)
    if request.headers.get("HX-Target") == "text":
        return HttpResponseClientRedirect(reverse("recordings:library"))
    return HttpResponse()
