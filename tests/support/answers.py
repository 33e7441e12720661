"""Errors that the API answers with."""

import httpx


def code(answer: httpx.Response) -> tuple[int, str]:
    """The status and the error code of an answer. Asserts that it has the one form of errors."""
    body = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message"}
    assert body["error"]["message"]
    return answer.status_code, body["error"]["code"]
