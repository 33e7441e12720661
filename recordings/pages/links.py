"""The panel “Share” of a recording: a fragment with its links for guests, and what people press there."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST
from pydantic import ValidationError

from accounts.auth import PageRequest
from recordings.api.schemas import LinkIn
from recordings.api.shapes import guest_address
from recordings.failures import invalid_request, said
from recordings.library.sharing import end_link, links_of, make_link
from recordings.models import Recording
from recordings.pages.text import own
from web.origins import on_this_machine
from web.problems import Problem, not_found


@never_cache  # it may show a secret
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def links(request: PageRequest, pk: int) -> HttpResponse:
    """The panel. A POST makes a link first; the answer is the only one that shows its address."""
    recording = own(request, pk).recording
    if request.method != "POST":
        return _panel(request, recording)
    try:
        options = LinkIn.model_validate(request.POST.dict())
        link, secret = make_link(recording, **options.model_dump())
    except ValidationError as error:
        return said(invalid_request(error))
    except Problem as problem:
        return said(problem)
    address = guest_address(request, secret)
    return _panel(request, recording, made=link, address=address, unreachable=on_this_machine(address))


@never_cache
@require_POST
@login_required
def end(request: PageRequest, pk: int, link: int) -> HttpResponse:
    """End a link, and show the panel without it. A link that another window ended is gone in any case."""
    recording = own(request, pk).recording
    try:
        end_link(recording, link)
    except Problem as problem:
        if problem.code != not_found().code:
            raise
    return _panel(request, recording, ended=True)


def _panel(request: PageRequest, recording: Recording, **more: object) -> HttpResponse:
    pictures = recording.media_type.startswith("video/") and not recording.playable
    context = {"recording": recording, "links": links_of(recording), "pictures": pictures} | more
    return render(request, "recordings/_links.html", context)
