"""Searching in all that a person has: a page, and the fragment with the results that a search on any page asks for."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.auth import PageRequest
from recordings.library import finding
from recordings.library.moment import one_moment
from recordings.pages.ids import number
from recordings.search.query import LONGEST

PAGE, HITS = 20, 3  # recordings, and hits of each


@require_safe
@login_required
def search(request: PageRequest) -> HttpResponse:
    query = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST]
    before = number(request.GET.get("before", ""))
    with one_moment():
        found, older = finding.search(request.user.pk, query, before=before, limit=PAGE, hits=HITS)
    template = "recordings/_results.html" if request.headers.get("HX-Request") else "recordings/search.html"
    return render(request, template, {"query": query, "found": found, "older": older, "before": before})
