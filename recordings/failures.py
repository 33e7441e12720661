"""What the API answers when a request fails: one shape and one sentence for every exception, whoever raised it."""

import logging
import math
from collections.abc import Mapping
from typing import Any, cast

from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from ninja.errors import AuthenticationError, HttpError
from ninja.errors import ValidationError as Invalid
from pydantic import ValidationError

from recordings.messages import error_words
from transcription.errors import QueueFull
from web.problems import Problem, from_failure, not_found, not_signed_in

logger = logging.getLogger(__name__)


def answer(problem: Problem) -> JsonResponse:
    return JsonResponse(
        problem.body(),
        status=problem.status,
        headers=problem.headers,
        json_dumps_params={"ensure_ascii": False},
    )


def said(problem: Problem) -> HttpResponse:
    """For a page's script to show where the button is."""
    return HttpResponse(str(problem.message), status=problem.status, headers=problem.headers, content_type="text/plain")


def on_failure(request: HttpRequest, failure: Exception) -> JsonResponse:
    """Every exception of a route ends here."""
    return answer(problem_of(request, failure))


def problem_of(request: HttpRequest, failure: Exception) -> Problem:
    """What to tell the caller, in this order of how well it is known; what nobody thought of is logged."""
    if problem := _known(failure):
        return problem
    logger.error("%s %s failed", request.method, request.path, exc_info=failure)
    return from_failure(failure) or UNEXPECTED


def _known(failure: Exception) -> Problem | None:
    match failure:
        case Problem():
            return failure
        case QueueFull():
            wait = {"Retry-After": str(math.ceil(failure.retry_after))}
            return Problem(503, failure.code, error_words(failure.code), wait)
        case Invalid():
            return invalid_request(failure)
        case AuthenticationError():
            return not_signed_in()
        case Http404():
            return not_found()
        case PermissionDenied():
            return Problem(403, "forbidden", _("You may not do this."))
        case RequestDataTooBig():
            return Problem(413, "too_large", _("This request is larger than this server accepts."))
        case HttpError() | BadRequest() | MultiPartParserError() | SuspiciousOperation():
            return Problem(400, "bad_request", _("The request’s body cannot be read."))
    return None


UNEXPECTED = Problem(
    500,
    "internal_error",
    _("Something went wrong inside the product. The administrator finds the details in the log."),
)


# What pydantic finds, by its own names (docs.pydantic.dev: validation errors), in words that are translated.
FAULTS: dict[str, Promise] = {
    "bool_parsing": _("This is neither true nor false."),
    "greater_than_equal": _("This must be at least %(ge)s."),
    "int_parsing": _("This is not a whole number."),
    "less_than_equal": _("This must be at most %(le)s."),
    "literal_error": _("This must be one of %(expected)s."),
    "missing": _("This is missing."),
    "string_too_long": _("This is longer than %(max_length)s characters."),
    "string_type": _("This is not a text."),
    "string_unicode": _("This is not a text."),
}


def invalid_request(found: Invalid | ValidationError) -> Problem:
    return Problem(422, "invalid_request", fault(found))


def fault(found: Invalid | ValidationError) -> str:
    """“title: …” of the first thing that was found, without the names that only our own functions give to it."""
    if isinstance(found, Invalid):
        error: Mapping[str, Any] = found.errors[0]
        place = [part for part in error["loc"][1:] if part not in {"form", "patch", "options"}]
    else:
        error = cast(Mapping[str, Any], found.errors()[0])
        place = error["loc"]
    context = error.get("ctx", {})
    if error["type"] == "value_error":  # one of our own: it is said in words already
        words = str(context["error"])
    else:
        words = str(FAULTS.get(error["type"], _("This cannot be used."))) % context
    where = ".".join(map(str, place))
    return f"{where}: {words}" if where else words
