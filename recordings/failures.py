"""From an exception to an answer: the problem that it is, by the table `web.codes`, and the response that tells it."""

import logging
from collections.abc import Mapping
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from ninja.errors import AuthenticationError, HttpError
from ninja.errors import ValidationError as Invalid
from pydantic import ValidationError

from transcription.errors import (
    BadAudio,
    OutOfMemory,
    QueueFull,
    Rejected,
    ServerBusy,
    TranscriptionError,
    UnknownModel,
    Unreachable,
)
from transcription.sentence import Sentence
from web.problems import Problem, from_failure, not_found, not_signed_in, retry_after

logger = logging.getLogger(__name__)


# --- Responses ---------------------------------------------------------------------------------


def answer(problem: Problem) -> JsonResponse:
    """The response of `/api`."""
    return _json(problem, problem.status, problem.body())


def answer_at(path: str, problem: Problem) -> JsonResponse:
    """The response of the API at this address: of `/api`, or in OpenAI's shape of `/v1`."""
    return _json(problem, *problem.at(path))


def _json(problem: Problem, status: int, body: Mapping[str, Any]) -> JsonResponse:
    return JsonResponse(body, status=status, headers=problem.headers, json_dumps_params={"ensure_ascii": False})


def said(problem: Problem) -> HttpResponse:
    """The sentence alone. The script of a page shows it beside the button that was pressed."""
    return HttpResponse(problem.message, status=problem.status, headers=problem.headers, content_type="text/plain")


def on_failure(request: HttpRequest, failure: Exception) -> JsonResponse:
    """The response of `/api` to any exception of a route."""
    return answer(problem_of(request, failure))


# --- Problems ----------------------------------------------------------------------------------


def problem_of(request: HttpRequest, failure: Exception) -> Problem:
    """The problem behind an exception. An exception that no code foresees is logged, and its details are not told."""
    known = _known(failure)
    if known is None or known.code == "nested_permit":  # that one is a bug in the product
        logger.error("%s %s failed", request.method, request.path, exc_info=failure)
    return known or from_failure(failure) or Problem("internal_error")


def _known(failure: Exception) -> Problem | None:
    match failure:
        case Problem():
            return failure
        case TranscriptionError():
            return _of_transcription(failure)
        case Invalid():
            return invalid_request(failure)
        case AuthenticationError():
            return not_signed_in()
        case Http404():
            return not_found()
        case PermissionDenied():
            return Problem("forbidden")
        case RequestDataTooBig():
            return Problem("too_large", _("This request is larger than this server accepts."))
        case HttpError() | BadRequest() | MultiPartParserError() | SuspiciousOperation():
            return Problem("bad_request")
    return None


def _of_transcription(error: TranscriptionError) -> Problem:
    """The words of a server or of the network are told only where the caller asked for the wrong thing: else they may
    name addresses inside."""
    match error:
        case UnknownModel():
            return Problem("model_not_found", str(error), param="model")
        case Rejected():
            return Problem(error.code, str(error))
        case BadAudio():
            param = "track" if error.code == "no_such_track" else "file"
            return Problem(error.code, param=param, detail=error.detail or "?")
        case Unreachable(args=[why]):
            words = why if isinstance(why, Sentence) else "The Whisper server cannot be reached."
            return Problem(error.code, f"{words} Try again.", headers=_later(error))
        case QueueFull() | ServerBusy() | OutOfMemory():
            return Problem(error.code, headers=_later(error))
    return Problem(error.code)


def _later(error: QueueFull | ServerBusy | OutOfMemory | Unreachable) -> dict[str, str]:
    return retry_after(settings.ASR_RETRY_DELAY if error.retry_after is None else error.retry_after)


# --- Requests of the wrong shape ---------------------------------------------------------------

# The sentences for what pydantic finds, by pydantic's own names (docs.pydantic.dev, “Validation Errors”).
FAULTS: dict[str, Promise] = {
    "bool_parsing": _("This is neither true nor false."),
    "greater_than": _("This must be more than %(gt)s."),
    "greater_than_equal": _("This must be at least %(ge)s."),
    "int_parsing": _("This is not a whole number."),
    "less_than_equal": _("This must be at most %(le)s."),
    "literal_error": _("This must be one of %(expected)s."),
    "missing": _("This is missing."),
    "string_too_long": _("This is longer than %(max_length)s characters."),
    "string_too_short": _("This is empty."),
    "string_type": _("This is not a text."),
    "string_unicode": _("This is not a text."),
    "too_short": _("This is empty."),
}


def invalid_request(found: Invalid | ValidationError) -> Problem:
    return Problem("invalid_request", fault(found))


def fault(found: Invalid | ValidationError) -> str:
    """The first fault as “title: …”. The names of our functions' parameters are left out: callers do not know them."""
    if isinstance(found, Invalid):
        error: Mapping[str, Any] = found.errors[0]
        place = [part for part in error["loc"][1:] if part not in {"form", "patch", "options"}]
    else:
        error = cast(Mapping[str, Any], found.errors()[0])
        place = error["loc"]
    context = error.get("ctx", {})
    if error["type"] == "value_error":  # one of our own, which brings its sentence along
        words = str(context["error"])
    else:
        bounds = {name: _as_written(value) for name, value in context.items()}
        words = str(FAULTS.get(error["type"], _("This cannot be used."))) % bounds
    where = ".".join(map(str, place))
    return f"{where}: {words}" if where else words


def _as_written(bound: Any) -> Any:
    """A bound as people write it: 0 and not 0.0."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound
