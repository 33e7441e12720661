"""The library, a recording, and the fragments of both that an open page asks for again."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event
from pydantic import ValidationError

from accounts.auth import PageRequest as Request
from recordings.api.schemas import TranscribeIn
from recordings.failures import invalid_request, said
from recordings.library import listing as shelf
from recordings.library.organising import delete_recording
from recordings.messages import Place, about, place_words, took
from recordings.models import Recording, Segment, Transcription
from recordings.pages.moment import one_moment
from recordings.templatetags.reading import language_names
from recordings.transcripts import corrections as editing
from recordings.transcripts.sentences import Line, lines, text_language
from recordings.transcripts.transcript import shown_text
from recordings.work import jobs
from recordings.work.places import places as places_in_line
from transcription.monitor.stats import read_stats
from transcription.writing import tail
from web.codes import error_words
from web.problems import Problem

DIGITS = 18  # of an id that fits its 64 bits
PAGE = 50  # rows; a screen shows about ten
SPEEDS = [f"{quarter / 4:g}" for quarter in range(2, 13)]  # 0.5 to 3
BEFORE = 60  # characters that are shown of what was said before a hit
DRAWN = 12  # cells or dots on the rail; more than that is told in numbers only

Status = Transcription.Status


@dataclass(frozen=True)
class Hit:
    """Where a text says what was searched for: `before` it and `after` it in a sentence or two, and the address."""

    before: str
    match: str
    after: str
    address: str

    @classmethod
    def of(cls, segment: Segment, query: str) -> "Hit | None":
        """None where a database finds what Python does not: they fold case each in their own way."""
        for line in lines(segment):
            if found := re.search(re.escape(query), line.text, re.IGNORECASE):
                break
        else:
            return None
        before, after = line.text[: found.start()], line.text[found.end() :]
        if len(before) > BEFORE:
            before = "…" + tail(before, BEFORE)
        address = urlencode({"t": f"{line.start:g}", "q": query}, quote_via=quote)
        return cls(before, found.group(), after, f"#{address}")


@dataclass(frozen=True)
class Row:
    """A recording and how it stands, in words."""

    entry: shelf.Entry
    place: Place | None
    beginning: str = ""
    hit: Hit | None = None  # what was searched for

    @property
    def recording(self) -> Recording:
        return self.entry.recording

    @property
    def status(self) -> str:
        """Of an unfinished one as its place says, which is of the same moment as everyone else's."""
        if self.entry.newest is None:
            return "new"
        if self.entry.newest.status in Transcription.UNFINISHED and self.place:
            return Status.QUEUED if self.place.position else Status.TRANSCRIBING
        return self.entry.newest.status

    @property
    def unfinished(self) -> bool:
        return self.status in Transcription.UNFINISHED

    @property
    def percent(self) -> int:
        """Rounded down, so that 100 means done."""
        return int(self.entry.newest.progress * 100) if self.entry.newest else 0

    @property
    def words(self) -> str:
        run = self.entry.newest
        if run is None:
            return gettext("Not transcribed yet")
        if self.status == Status.QUEUED:
            return place_words(self.place)
        if self.status == Status.TRANSCRIBING:
            words = gettext("Transcribing %(percent)d%%") % {"percent": self.percent}
            eta = self.place.eta_seconds if self.place else None
            return words if eta is None else words + " · " + gettext("%(time)s left") % {"time": about(eta)}
        if run.status == Status.DONE and run.started_at and run.finished_at:
            return gettext("Done · took %(time)s") % {"time": took((run.finished_at - run.started_at).total_seconds())}
        return {Status.DONE: gettext("Done"), Status.FAILED: gettext("Failed")}.get(
            Status(run.status), gettext("Canceled")
        )

    @property
    def reason(self) -> str:
        """Why it failed; empty when it did not."""
        failed = self.entry.newest if self.status == Status.FAILED else None
        return error_words(failed.error_code) if failed else ""


def rows_of(entries: Sequence[shelf.Entry], places: Mapping[int, Place], query: str = "") -> list[Row]:
    """With a query or two, however many they are."""
    beginnings = shelf.beginnings(entries)
    hits = shelf.hits(entries, query) if query else {}
    rows = []
    for entry in entries:
        place = places.get(entry.newest.pk) if entry.newest else None
        shown = entry.shown.pk if entry.shown else 0
        hit = Hit.of(hits[shown], query) if shown in hits else None
        rows.append(Row(entry, place, beginnings.get(shown, ""), hit))
    return rows


def line() -> Mapping[int, Place]:
    """Everyone's place: transcription id to where it stands."""
    return places_in_line()


def own(request: Request, pk: int, transcription: int | None = None) -> shelf.Entry:
    """Somebody else's recording looks like none at all."""
    try:
        return shelf.find(request.user.pk, pk, transcription)
    except Problem as problem:
        raise Http404 from problem


def number(text: str) -> int | None:
    """An id from an address; None where it is none."""
    return int(text[:DIGITS]) if text.isdecimal() else None


@dataclass(frozen=True)
class Rail:
    """The gate made visible: a cell for every permit, a dot for all that waits: calls, then recordings in line.

    busy: permits that are out; a recording at work keeps one also between two of its calls.
    """

    limit: int
    busy: int
    trouble: str  # why no server answers: everything waits, nothing fails
    calls: int  # that wait
    in_line: int  # recordings
    unfinished: int  # of one's own, those at work too
    mine: frozenset[int]  # positions in line of one's own, from 1
    next_words: str  # where one's own first stands

    @property
    def cells(self) -> list[bool]:
        return [number < self.busy for number in range(min(self.limit, DRAWN))]

    @property
    def waiting(self) -> int:
        return self.calls + self.in_line

    @property
    def dots(self) -> list[bool]:
        return [number - self.calls in self.mine for number in range(1, min(self.waiting, DRAWN) + 1)]


def rail_of(request: Request, places: Mapping[int, Place]) -> Rail:
    stats = read_stats()
    troubles = [server.trouble or "" for server in stats.servers]
    waiting = {pk: place for pk, place in places.items() if place.position is not None}
    unfinished = Transcription.objects.filter(recording__owner=request.user.pk, status__in=Transcription.UNFINISHED)
    own_jobs = list(unfinished.values_list("id", flat=True))
    mine = sorted((waiting[pk] for pk in own_jobs if pk in waiting), key=lambda place: place.position or 0)
    return Rail(
        limit=stats.limit,
        busy=max(stats.active_tasks, min(stats.limit, len(places) - len(waiting))),
        trouble=troubles[0] if troubles and all(troubles) else "",
        calls=stats.queued_calls,
        in_line=len(waiting),
        unfinished=len(own_jobs),
        mine=frozenset(place.position for place in mine if place.position is not None),
        next_words=place_words(mine[0]) if mine else "",
    )


@require_safe
@login_required
def library(request: Request) -> HttpResponse:
    before = request.GET.get("before", "")
    query = request.GET.get("q", "").strip()
    with one_moment():
        entries, older = shelf.page(request.user.pk, query=query, status=None, before=number(before), limit=PAGE)
        places = line()
        rows, rail = rows_of(entries, places, query), rail_of(request, places)
    context = {
        "rows": rows,
        "older": older,
        "query": query,
        "newest": not before and not query,
        "paged": bool(before),
        "rail": rail,
        "max_bytes": settings.MAX_UPLOAD_BYTES,
        "max_size": filesizeformat(settings.MAX_UPLOAD_BYTES),
    }
    return render(request, "recordings/library.html", context)


@require_safe
@login_required
def rail(request: Request) -> HttpResponse:
    """The rail, and with it the rows named by `row` and those newer than `newest`, of the same moment: one request
    however many they are."""
    asked = [pk for pk in request.GET.getlist("row")[: 2 * PAGE] if pk.isdecimal() and len(pk) <= DIGITS]
    ids, newest = {int(pk) for pk in asked}, number(request.GET.get("newest", ""))
    with one_moment():
        places = line()
        moved = rows_of(shelf.several(request.user.pk, ids), places) if ids else []
        entries = [] if newest is None else shelf.newer(request.user.pk, newest, PAGE)
        context = {
            "rail": rail_of(request, places),
            "moved": moved,
            "newer": rows_of([entry for entry in entries if entry.recording.pk not in ids], places),
            "gone": ids - {row.recording.pk for row in moved},
        }
    return render(request, "recordings/_rail.html", context)


@dataclass(frozen=True)
class Paragraph:
    """A segment on the page."""

    segment: Segment
    lines: list[Line]
    language: str


def text_context(request: Request, pk: int) -> dict[str, object]:
    """What `_text.html` shows: how the newest transcription stands, and the text of the shown one, or of another that
    the address names, to look at."""
    entry, looking = own(request, pk), False
    asked = number(request.GET.get("transcription", ""))
    if asked is not None and (entry.shown is None or asked != entry.shown.pk):
        entry, looking = own(request, pk, asked), True
    shown = entry.shown
    spoken = (shown.detected_language or shown.language) if shown else ""
    segments = list(shown.segments.all()) if shown else []
    return {
        "recording": entry.recording,
        "row": rows_of([entry], line())[0],
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
def recording(request: Request, pk: int) -> HttpResponse:
    context = text_context(request, pk) | {"speeds": SPEEDS, "spoken_languages": language_names()}
    return render(request, "recordings/recording.html", context)


@require_safe
@login_required
def text(request: Request, pk: int) -> HttpResponse:
    return render(request, "recordings/_text.html", text_context(request, pk))


@require_safe
@login_required
def transcriptions(request: Request, pk: int) -> HttpResponse:
    """All that were made of a recording, to look at and go back to."""
    entry = own(request, pk)
    context = {"recording": entry.recording, "shown": entry.shown, "runs": shelf.transcriptions(entry.recording)}
    return render(request, "recordings/transcriptions.html", context)


@require_POST
@login_required
def restore(request: Request, pk: int, transcription: int) -> HttpResponse:
    entry = own(request, pk, transcription)
    try:
        editing.restore(entry.recording, entry.shown)
    except Problem as problem:
        return said(problem)
    return redirect("recordings:recording", pk)


def changed() -> HttpResponse:
    """Tells the row or the text around the pressed button to ask for itself again."""
    return trigger_client_event(HttpResponse(status=204), "changed")


@require_POST
@login_required
def transcribe(request: Request, pk: int) -> HttpResponse:
    """As the recording says, or as a form says that sends language, model and prompt."""
    try:
        options = TranscribeIn.model_validate(request.POST.dict())
        jobs.queue_transcription(own(request, pk).recording, **options.model_dump())
    except ValidationError as error:
        return said(invalid_request(error))
    except Problem as problem:
        return said(problem)
    except IntegrityError as error:  # deleted in this very moment
        raise Http404 from error
    return changed()


@require_POST
@login_required
def cancel(request: Request, pk: int) -> HttpResponse:
    jobs.cancel_transcription(own(request, pk).recording)
    return changed()


@require_POST
@login_required
def delete(request: Request, pk: int) -> HttpResponse:
    """Afterwards a row goes away by itself; the recording's own page gives way to the library."""
    delete_recording(own(request, pk).recording)
    if request.headers.get("HX-Target") == "text":
        return HttpResponseClientRedirect(reverse("recordings:library"))
    return HttpResponse()
