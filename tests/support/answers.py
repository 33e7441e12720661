"""Errors of the API."""

import httpx


def code(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message"}
    assert body["error"]["message"]
    return answer.status_code, body["error"]["code"]
