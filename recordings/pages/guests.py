"""What guests see by a link: the text of a recording, the same as a file, and the sound if the link says so.

The secret of the link stands in the address of these pages. So they send no Referer, and they name each other by
relative addresses: a page without the secret in it may be compressed. Whether the guest has an account changes nothing.
"""

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial, wraps
from typing import Any, Literal, get_args

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from recordings.api.media import audio_response
from recordings.api.shapes import transcript_of
from recordings.api.transcripts import transcript_file
from recordings.failures import said
from recordings.library.listing import afind, find
from recordings.library.sharing import aopened, aworks
from recordings.models import GuestLink
from recordings.pages.recording import SPEEDS
from recordings.pages.text import Text
from web.problems import Problem
from web.throttle import BAD_LINKS, GUESTS

# There is no JSON for guests: beside each correction it has the text that the owner took away.
Kept = Literal["txt", "docx", "md", "srt", "vtt"]
FILES: tuple[Kept, ...] = get_args(Kept)
HEADERS = {
    "Cache-Control": "private, no-cache",  # kept, but asked about: the link may have ended
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}
View = Callable[[HttpRequest, str], Coroutine[Any, Any, HttpResponseBase]]


def gone() -> Problem:
    """The refusal of a link that was never made, has expired or was ended."""
    return Problem("not_found", _("This link has expired or was turned off."))


def as_page(request: HttpRequest, problem: Problem) -> HttpResponse:
    context = {"gone": problem.status == 404, "words": problem.message}
    return render(request, "guests/refused.html", context, status=problem.status)


def as_words(request: HttpRequest, problem: Problem) -> HttpResponse:
    """For the script of a page, which shows the sentence beside the player."""
    return said(problem)


def by_link(
    view: Callable[[HttpRequest, GuestLink], Awaitable[HttpResponseBase]],
    refused: Callable[[HttpRequest, Problem], HttpResponse] = as_page,
) -> View:
    """Wrap a view for whoever has the secret of a link that works.

    Everybody else gets the same refusal after the same work, whether the link was never made, has expired or was ended;
    and past BAD_LINKS of them a 429.
    """

    @require_safe
    @wraps(view)
    async def opened(request: HttpRequest, secret: str) -> HttpResponseBase:
        headers = HEADERS
        try:
            link = await aopened(secret)
            if link is None:
                BAD_LINKS.require(request.META.get("REMOTE_ADDR", ""))
                raise gone()
            GUESTS.require(link.pk)
            response = await view(request, link)
        except Problem as problem:
            response = refused(request, problem)
            headers = HEADERS | problem.headers
        for name, value in headers.items():
            response.headers[name] = value
        return response

    return opened


@by_link
async def page(request: HttpRequest, link: GuestLink) -> HttpResponse:
    """The recording’s page for guests."""
    return await sync_to_async(_page)(request, link)


def _page(request: HttpRequest, link: GuestLink) -> HttpResponse:
    recording = link.recording
    text = Text(find(recording.owner_id, recording.pk), looking=False)
    context = {
        "link": link,
        "recording": recording,
        "spoken": text.spoken,
        "paragraphs": text.paragraphs,
        "unfinished": text.entry.shown is not None and not text.entry.shown.finished,
        "speeds": SPEEDS,
    }
    return render(request, "guests/recording.html", context)


@by_link
async def text(request: HttpRequest, link: GuestLink) -> HttpResponse:
    """The text as a file, for guests to keep."""
    format = next((name for name in FILES if name == request.GET.get("format")), None)
    if format is None:
        raise gone()
    found = await transcript_of(await afind(link.recording.owner_id, link.recording_id))
    return await transcript_file(found, format)


@partial(by_link, refused=as_words)
async def audio(request: HttpRequest, link: GuestLink) -> HttpResponseBase:
    """The sound, in ranges. A link that ends while a range is sent ends the sending."""
    if not link.audio:
        raise gone()
    title = link.recording.title  # the name of the file as it was uploaded is the owner's
    return await audio_response(request, link.recording, title=title, allowed=lambda: aworks(link))
