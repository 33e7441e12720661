"""The page of one's own API tokens, in the settings."""

from contextlib import suppress
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.auth import PageRequest
from accounts.forms import NewToken
from accounts.models import ApiToken
from accounts.tokens import make_token, revoke_token, tokens_of
from web.problems import Problem


@never_cache  # it may show a secret
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def tokens(request: PageRequest) -> HttpResponse:
    """The list. A POST makes a token first; the answer is the only one that shows its secret."""
    if request.method != "POST":
        return _page(request, NewToken())
    form = NewToken(request.POST)
    if not form.is_valid():
        return _page(request, form)
    try:
        made, secret = make_token(request.user, **form.cleaned_data)
    except Problem as problem:
        form.add_error(None, problem.message)
        return _page(request, form)
    return _page(request, NewToken(), made=made, secret=secret)


@never_cache
@require_POST
@login_required
def revoke(request: PageRequest, pk: int) -> HttpResponse:
    """Revoke a token, and show the list without it. One that another window revoked is gone in any case."""
    get_object_or_404(ApiToken, user=request.user, pk=pk)
    with suppress(Problem):
        return _page(request, NewToken(), revoked=revoke_token(request.user, pk))
    return _page(request, NewToken())


def _page(request: PageRequest, form: NewToken, **more: Any) -> HttpResponse:
    """The whole page, or for a script the part that changes."""
    template = "settings/_tokens.html" if request.headers.get("HX-Request") else "settings/tokens.html"
    api = request.build_absolute_uri(reverse("api-1:api-root"))
    return render(request, template, {"tokens": tokens_of(request.user), "form": form, "api": api} | more)
