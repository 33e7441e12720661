"""The way in to every route of /v1: the token, the method, the form, and errors in OpenAI's shape."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from pydantic import ValidationError

from accounts.auth import ApiRequest, Scope, identify, read_form
from recordings.failures import answer_at, fault, problem_of
from web.bearer import bearer_secret
from web.problems import Problem, not_signed_in

View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


def door(method: str | None = None) -> Callable[[View], View]:
    """Decorator of a view. It lets in a request with a token of the scope `transcribe`, whose form has been read.

    method: the only HTTP method of the address; None: any.
    """

    def guard(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        async def guarded(request: ApiRequest, **kwargs: Any) -> HttpResponseBase:
            try:
                await _admit(request, method)
                response = await view(request, **kwargs)
            except Exception as failure:
                response = answer_at(request.path_info, problem_at_v1(request, failure))
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        return guarded

    return guard


async def _admit(request: ApiRequest, method: str | None) -> None:
    if method and request.method != method:
        message = f"This address takes {method} requests."
        raise Problem("method_not_allowed", message, headers={"Allow": method})
    if bearer_secret(request) is None:  # a session would need a CSRF token, which no such program has
        raise not_signed_in()
    request.auth = await identify(request)
    request.auth.require(Scope.TRANSCRIBE)
    await read_form(request)


def problem_at_v1(request: HttpRequest, failure: Exception) -> Problem:
    """The problem behind an exception. A wrong field is named, as OpenAI's API names it."""
    if isinstance(failure, ValidationError):
        return Problem("invalid_value", fault(failure), param=str(failure.errors()[0]["loc"][0]))
    return problem_of(request, failure)


def as_json(content: Any) -> JsonResponse:
    return JsonResponse(content, json_dumps_params={"ensure_ascii": False})


@door()
async def nothing_here(request: ApiRequest, *, rest: str) -> HttpResponse:
    raise Problem("not_found", f"There is nothing at /v1/{rest}.")
