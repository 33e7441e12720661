"""Requests that no view answers: programs get an error in the shape of their API, people get a page."""

from typing import Any

import pytest
from django.http import HttpRequest
from django.test import Client

from asrsite import errors


def told(client: Client, path: str, **headers: Any) -> tuple[int, Any]:
    answer = client.get(path, follow=True, **headers)
    return answer.status_code, answer.json()["error"]


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api/uploads/nothing", "/v1", "/v1/"])
def test_an_address_with_nothing_is_told_in_the_shape_of_its_api(client: Client, db: None, path: str) -> None:
    status, error = told(client, path)
    assert (status, error["code"]) == (404, "not_found")
    assert ("type" in error) == path.startswith("/v1")


def test_a_host_that_is_not_ours_is_told_in_the_callers_language(client: Client) -> None:
    for path in ("/api/recordings", "/v1/models"):
        status, error = told(client, path, HTTP_HOST="elsewhere.example", HTTP_ACCEPT_LANGUAGE="zh-hans")
        assert (status, error["code"]) == (400, "bad_request")
        assert "主机名" in error["message"]


def test_what_goes_wrong_outside_of_a_view_is_told_too() -> None:
    request = HttpRequest()
    for path, keys in (("/api/recordings", {"code", "message"}), ("/v1/models", {"code", "message", "type", "param"})):
        request.path_info = path
        answer = errors.server_error(request)
        assert answer.status_code == 500
        assert keys <= set(answer.content.decode().replace('"', " ").split())
    request.path_info = "/"
    assert b"<!doctype html>" in errors.server_error(request).content.lower()


def test_people_get_a_page(client: Client) -> None:
    answer = client.get("/nothing")
    assert (answer.status_code, answer["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert client.get("/", HTTP_HOST="elsewhere.example")["Content-Type"].startswith("text/html")
