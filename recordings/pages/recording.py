"""One recording: its page, the fragments of it, and what people press there or in the library."""

from dataclasses import dataclass

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
from recordings.library.organising import delete_recording
from recordings.models import Segment, Transcription
from recordings.pages.ids import number
from recordings.pages.rows import rows_of
from recordings.templatetags.reading import language_names
from recordings.transcripts.corrections import restore as show_again
from recordings.transcripts.sentences import ReadingLine, lines, text_language
from recordings.transcripts.words import shown_text
from recordings.work.jobs import cancel_transcription, queue_transcription
from recordings.work.places import places
from web.problems import Problem

SPEEDS = [f"{quarter / 4:g}" for quarter in range(2, 13)]  # 0.5 to 3

Status = Transcription.Status


def own(request: PageRequest, pk: int, transcription: int | None = None) -> listing.Entry:
    """The reader's recording. One of somebody else is not found, like one that never was."""
    try:
        return listing.find(request.user.pk, pk, transcription)
    except Problem as problem:
        raise Http404 from problem


@dataclass(frozen=True)
class Paragraph:
    """A segment as the page shows it, with the language for its `lang` attribute."""

    segment: Segment
    lines: list[ReadingLine]
    language: str


def text_context(request: PageRequest, pk: int) -> dict[str, object]:
    """The context of `_text.html`: how the newest transcription stands, and the text of the shown one. `looking`: the
    address names another one instead."""
    entry, looking = own(request, pk), False
    asked = number(request.GET.get("transcription", ""))
    if asked is not None and (entry.shown is None or asked != entry.shown.pk):
        entry, looking = own(request, pk, asked), True
    shown = entry.shown
    spoken = (shown.detected_language or shown.language) if shown else ""
    segments = list(shown.segments.all()) if shown else []
    return {
        "recording": entry.recording,
        "row": rows_of([entry], places())[0],
        "shown": shown,
        "looking": looking,
        "spoken": spoken,
        "count": entry.recording.transcriptions.count(),
        "partial": shown is not None and shown.status != Status.DONE,
        "restored": shown is not None and shown.pk == entry.recording.shown_id,
        "earlier": shown != entry.newest,
        "paragraphs": [
            Paragraph(segment, lines(segment), text_language(shown_text(segment), segment.language or spoken))
            for segment in segments
            if segment.text.strip() or segment.correction
        ],
    }


@require_safe
@login_required
def recording(request: PageRequest, pk: int) -> HttpResponse:
    context = text_context(request, pk) | {"speeds": SPEEDS, "spoken_languages": language_names()}
    return render(request, "recordings/recording.html", context)


@require_safe
@login_required
def text(request: PageRequest, pk: int) -> HttpResponse:
    return render(request, "recordings/_text.html", text_context(request, pk))


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
