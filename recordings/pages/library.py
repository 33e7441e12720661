"""The library, and the fragment that keeps an open one up to date."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from django.views.decorators.http import require_safe

from accounts.auth import PageRequest
from recordings.library import listing
from recordings.library.moment import one_moment
from recordings.pages.ids import DIGITS, number
from recordings.pages.rail import rail_of
from recordings.pages.rows import rows_of
from recordings.work.places import standing

PAGE = 50  # rows; a screen shows about ten


@require_safe
@login_required
def library(request: PageRequest) -> HttpResponse:
    before = request.GET.get("before", "")
    query = request.GET.get("q", "").strip()
    with one_moment():
        entries, older = listing.page(request.user.pk, query=query, status=None, before=number(before), limit=PAGE)
        now = standing()
        rows, rail = rows_of(entries, now, query), rail_of(request, now)
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
def rail(request: PageRequest) -> HttpResponse:
    """The rail, and of the same moment the rows that the address names by `row`, and those newer than `newest`.

    An open page asks for all of them in one request.
    """
    asked = [pk for pk in request.GET.getlist("row")[: 2 * PAGE] if pk.isdecimal() and len(pk) <= DIGITS]
    ids, newest = {int(pk) for pk in asked}, number(request.GET.get("newest", ""))
    with one_moment():
        now = standing()
        moved = rows_of(listing.several(request.user.pk, ids), now) if ids else []
        entries = [] if newest is None else listing.newer(request.user.pk, newest, PAGE)
        context = {
            "rail": rail_of(request, now),
            "moved": moved,
            "newer": rows_of([entry for entry in entries if entry.recording.pk not in ids], now),
            "gone": ids - {row.recording.pk for row in moved},
        }
    return render(request, "recordings/_rail.html", context)
