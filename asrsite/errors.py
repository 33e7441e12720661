"""What Django answers before or beside any view: programs get the error's shape that their API has, people a page, and
a page's script a sentence to show."""

import re
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import gettext_lazy as _
from django.views import defaults

from recordings.failures import UNEXPECTED, problem_of, said
from web.problems import Problem, not_found

PROGRAMS = re.compile(r"/(api|v1)(/|$)")
NOT_UNDERSTOOD = _("The request cannot be understood, or names a host that is not in ALLOWED_HOSTS.")


def _handler(problem: Problem, page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    def answer(request: HttpRequest, *about: Any, **more: Any) -> HttpResponse:
        if not PROGRAMS.match(request.path_info):
            return page(request, *about, **more)
        return JsonResponse(
            problem.body_at(request.path_info),
            status=problem.status,
            headers={"Cache-Control": "no-store"},
            json_dumps_params={"ensure_ascii": False},
        )

    return answer


bad_request = _handler(Problem(400, "bad_request", NOT_UNDERSTOOD), defaults.bad_request)
page_not_found = _handler(not_found(), defaults.page_not_found)
server_error = _handler(UNEXPECTED, defaults.server_error)


class SaidToScripts(MiddlewareMixin):
    """Whatever a view raises is a sentence for the script of a page, which shows it where a person has pressed.

    Scripts send the CSRF token as a header; forms send it in their body.
    """

    def process_exception(self, request: HttpRequest, failure: Exception) -> HttpResponse | None:
        if "X-CSRFToken" not in request.headers or PROGRAMS.match(request.path):
            return None
        return said(problem_of(request, failure))
