"""JsonApi: ninja's API with one shape of answers, `Idempotency-Key`, and a description that includes /v1."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.renderers import JSONRenderer

from accounts.idempotency import first_answer
from recordings.api import uploads_openapi
from recordings.api.shapes import AnswerMemory
from recordings.api.v1 import openapi as v1_openapi
from recordings.failures import answer, on_failure
from web.problems import Problem


class Json(JSONRenderer):
    json_dumps_params = {"ensure_ascii": False}


class JsonApi(NinjaAPI):
    """Every answer has the shape of the API, also the answers that the framework gives by itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(renderer=Json(), **options)
        for kind in (Exception, Http404, HttpError, ValidationError):  # ninja has a handler of its own for each
            self.exception_handler(kind)(on_failure)

    @property
    def urls(self) -> tuple[list[Any], str, str]:
        patterns, app, namespace = super().urls
        for pattern in patterns:
            if asyncio.iscoroutinefunction(pattern.callback):
                pattern.callback = _in_shape(pattern.callback)
        return patterns, app, namespace

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The name that generated clients call. It outlives a move of the function to another module."""
        return f"recordings_api_{operation.view_func.__name__}"

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """The description of ninja's routes and of the routes beside them.

        Every POST of ninja's takes the header Idempotency-Key, and may give the answers of `first_answer`.
        """
        schema = super().get_openapi_schema(**options)
        problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        for path in schema["paths"].values():
            if post := path.get("post"):
                post.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
                for status in (400, 404, 409):
                    post["responses"].setdefault(status, {"description": HTTPStatus(status).phrase, "content": problem})
        for beside in (uploads_openapi, v1_openapi):
            schema["paths"] |= beside.paths()
            schema["components"]["schemas"] |= beside.SCHEMAS
        return schema


IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "description": "The same request with the same key gives the first answer again, for a day (of each person’s last "
    "2,000): its status code and the status of the work as they were, with the title and the text as they are now. A "
    "link for guests gets a new address, and an API token a new secret. 404 where the recording, the link or the token "
    "is gone since.",
}


def _in_shape(view: Callable[..., Awaitable[HttpResponseBase]]) -> Callable[..., Awaitable[HttpResponseBase]]:
    @wraps(view)
    async def shaped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            response = await first_answer(request, lambda: view(request, *args, **kwargs), AnswerMemory(request))
        except Exception as failure:
            response = on_failure(request, failure)
        if response.status_code == 405:
            allowed = {"Allow": ", ".join(sorted(response.headers["Allow"].split(", ")))}
            response = answer(Problem("method_not_allowed", headers=allowed, method=request.method))
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return shaped
