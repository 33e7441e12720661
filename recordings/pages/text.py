"""The text on the page of a recording: all of it at first, and then what an open page does not have yet."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice, repeat

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe
from django_htmx.http import reswap

from accounts.auth import PageRequest
from recordings.library import listing
from recordings.library.moment import one_moment
from recordings.models import Segment, Transcription
from recordings.pages.ids import number
from recordings.pages.rows import rows_of
from recordings.transcripts.sentences import ReadingLine, lines, text_language
from recordings.transcripts.words import shown_text
from recordings.work.places import standing
from web.problems import Problem

Status = Transcription.Status
JOINED = 1000  # so many parts of lines that were joined again a page may still show


def own(request: PageRequest, pk: int, transcription: int | None = None) -> listing.Entry:
    """The reader's recording. One of somebody else is not found, like one that never was."""
    try:
        return listing.find(request.user.pk, pk, transcription)
    except Problem as problem:
        raise Http404 from problem


@dataclass(frozen=True)
class Paragraph:
    """A segment as the page shows it.

    spoken: Whisper's code of the language of the recording.
    after: id of the element after which an open page inserts the segment; empty where it replaces an older one.
    """

    segment: Segment
    spoken: str
    after: str = ""

    @property
    def lines(self) -> list[ReadingLine]:
        return lines(self.segment)

    @property
    def language(self) -> str:
        """For the `lang` attribute."""
        return text_language(shown_text(self.segment), self.segment.language or self.spoken)


@dataclass(frozen=True)
class Text:
    """The text that a page shows. `looking`: the address names another transcription than the recording's own."""

    entry: listing.Entry
    looking: bool

    @classmethod
    def asked(cls, request: PageRequest, pk: int) -> "Text":
        """The text that the address names. Raises Http404."""
        entry, transcription = own(request, pk), number(request.GET.get("transcription", ""))
        if transcription is None or (entry.shown and entry.shown.pk == transcription):
            return cls(entry, looking=False)
        return cls(own(request, pk, transcription), looking=True)

    @property
    def spoken(self) -> str:
        shown = self.entry.shown
        return (shown.detected_language or shown.language) if shown else ""

    @property
    def segments(self) -> QuerySet[Segment]:
        return Segment.objects.filter(transcription=self.entry.shown)

    @property
    def paragraphs(self) -> list[Paragraph]:
        """All of the text."""
        return [Paragraph(segment, self.spoken) for segment in _visible(self.segments)]

    def whole(self) -> dict[str, object]:
        """The context of `_text.html`."""
        paragraphs = self.paragraphs
        return self._standing(bool(paragraphs)) | {"paragraphs": paragraphs}

    def changes(self, have: str) -> dict[str, object]:
        """The context of `_changes.html`. have: see `_versions`."""
        segments = list(self.segments.defer("words"))
        visible = _visible(segments)
        known = _versions(have, max((segment.index for segment in segments), default=-1) + 1 + JOINED)
        stale = {segment.index for segment in visible if known.get(segment.index) != str(segment.version)}
        indices = [segment.index for segment in visible]
        after = dict(zip(indices, ["standing", *(f"segment-{index}" for index in indices)], strict=False))
        return self._standing(bool(visible)) | {
            "paragraphs": [
                Paragraph(segment, self.spoken, "" if segment.index in known else after[segment.index])
                for segment in self.segments.filter(index__in=stale)
            ],
            "gone": known.keys() - indices,
        }

    def _standing(self, has_text: bool) -> dict[str, object]:
        """The context of `_standing.html`: how the newest transcription stands, and which one the text is of."""
        entry, shown = self.entry, self.entry.shown
        address = {"run": shown.pk} if shown else {}
        address |= {"transcription": shown.pk} if shown and self.looking else {}
        return {
            "recording": entry.recording,
            "address": f"{reverse('recordings:text', args=[entry.recording.pk])}?{urlencode(address)}",
            "row": rows_of([entry], standing())[0],
            "shown": shown,
            "looking": self.looking,
            "spoken": self.spoken,
            "count": entry.recording.transcriptions.count(),
            "has_text": has_text,
            "partial": shown is not None and shown.status != Status.DONE,
            "restored": shown is not None and shown.pk == entry.recording.shown_id,
            "earlier": shown != entry.newest,
        }


def _visible(segments: Iterable[Segment]) -> list[Segment]:
    """Those in which something was said, or written by a person."""
    return [segment for segment in segments if segment.text.strip() or segment.correction]


def _versions(have: str, count: int) -> dict[int, str]:
    """The versions of the segments that a page has, by index; of `count` segments at most.

    have: as `events.js` writes it: `0x7..2` for seven segments of version 0, a missing one, and one of version 2.
    """
    runs = (part.partition("x") for part in have.split("."))
    versions = chain.from_iterable(repeat(version, number(times) or 1) for version, _, times in runs)
    return {index: version for index, version in enumerate(islice(versions, count)) if version}


@require_safe
@login_required
def text(request: PageRequest, pk: int) -> HttpResponse:
    """The text for an open page: what the page does not `have`, or all of it where it has that of another transcription
    than `run`. A page that looks at another transcription names it as `transcription` too."""
    with one_moment():
        found = Text.asked(request, pk)
        have, run = request.GET.get("have"), number(request.GET.get("run", ""))
        shown, looked = found.entry.shown, "transcription" in request.GET
        whole = have is None or shown is None or run != shown.pk or found.looking != looked
        context = found.whole() if whole else found.changes(have or "") | {"peaks_wanted": "peaks" in request.GET}
    if whole:
        return render(request, "recordings/_text.html", context)
    return reswap(render(request, "recordings/_changes.html", context), "none")
