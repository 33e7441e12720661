"""Parts of an OpenAPI document (spec.openapis.org/oas/v3.1.0), for routes that the framework does not describe."""

from http import HTTPStatus
from typing import Any

Part = dict[str, Any]

TEXT: Part = {"type": "string"}


def json_of(schema: str) -> Part:
    """The content of a JSON body in the shape of this component."""
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def operation(name: str, summary: str, tag: str, responses: Part, **more: Any) -> Part:
    """An operation that a token or a session opens, unless `security` says otherwise."""
    security: list[Part] = [{"BearerToken": []}, {"SessionCookie": []}]
    return {"operationId": name, "summary": summary, "tags": [tag], "security": security, "responses": responses} | more


def answers(good: Part, errors: Part, *statuses: int) -> Part:
    """The good answers, and those that may refuse any request, with `errors` as their content."""
    return good | {str(status): answer(status, errors) for status in (401, 403, *statuses, 429, 500, 503)}


def answer(status: int, content: Part | None = None, headers: Part | None = None) -> Part:
    phrase = "Checksum Mismatch" if status == 460 else HTTPStatus(status).phrase  # 460 is tus's own
    return {
        "description": phrase,
        **({"content": content} if content else {}),
        **({"headers": headers} if headers else {}),
    }


def header(name: str, example: str, description: str = "", *, required: bool = True, **schema: Any) -> Part:
    """A header that a request has."""
    return {
        "name": name,
        "in": "header",
        "required": required,
        "schema": TEXT | schema,
        "description": description,
        "example": example,
    }
