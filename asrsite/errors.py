"""Errors that Django answers outside of any view. A program gets the error in the shape of the API that it asked, a
person gets a page, and the script of a page gets a sentence to show."""

import re
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import gettext_lazy as _
from django.views import defaults

from recordings.failures import answer_at, problem_of, said
from web.problems import Problem, not_found

PROGRAMS = re.compile(r"/(api|v1)(/|$)")
NOT_UNDERSTOOD = _("The request cannot be understood, or names a host that is not in ALLOWED_HOSTS.")


def _handler(problem: Problem, page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """An error handler for Django's `handler400` and the like. page: Django's own, which people get."""

    def handle(request: HttpRequest, *about: Any, **more: Any) -> HttpResponse:
        if not PROGRAMS.match(request.path_info):
            return page(request, *about, **more)
        response = answer_at(request.path_info, problem)
        response.headers["Cache-Control"] = "no-store"
        return response

    return handle


bad_request = _handler(Problem("bad_request", NOT_UNDERSTOOD), defaults.bad_request)
page_not_found = _handler(not_found(), defaults.page_not_found)
server_error = _handler(Problem("internal_error"), defaults.server_error)


class SaidToScripts(MiddlewareMixin):
    """Turns any exception of a view into a sentence, where the script of a page asked: the script shows it to people.

    A script sends the CSRF token as a header. A form sends it in its body.
    """

    def process_exception(self, request: HttpRequest, failure: Exception) -> HttpResponse | None:
        if "X-CSRFToken" not in request.headers or PROGRAMS.match(request.path_info):
            return None
        return said(problem_of(request, failure))
