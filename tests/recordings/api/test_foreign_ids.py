"""Another person's ids at every route. The routes come from the URL configuration, so that a new one is tested too."""

import json
from collections.abc import Iterator
from uuid import UUID, uuid4

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import ApiToken
from recordings.models import Recording, Segment, Transcription, Upload
from tests.support.routes import PLACE
from tests.support.rows import recording, transcribed
from tests.support.site import Site

# All that any route demands.
BODY = {"text": "x", "title": "x", "texts": ["x", "y"], "start": 0, "end": 1, "find": "x", "replace": "y", "undo": "x"}
Theirs = tuple[int, UUID, int]  # the ids of a recording, of an upload and of a token
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
TUS = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}


def routes(resolver: URLResolver, before: str = "") -> Iterator[str]:
    """Every route with an object's id in it, in Django's spelling, but for the admin's, which are for staff."""
    for pattern in resolver.url_patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, route)
        elif isinstance(pattern, URLPattern) and PLACE.search(route) and not route.startswith("admin/"):
            yield route


ROUTES = sorted(set(routes(get_resolver())))


def path_to(route: str, number: int, key: UUID, token: int) -> str:
    """The route with ids filled in: of a recording, an upload or a token, and 0 for the index of a segment."""
    ids = {"uuid": str(key), "int": str(token if "/tokens/" in route else number)}
    return "/" + PLACE.sub(lambda place: "0" if place[2] == "index" else ids[place[1]], route)


def everything() -> list[object]:
    """All columns of all recordings, transcriptions, segments and uploads, and of the tokens of the other person."""
    models = (Recording, Transcription, Segment, Upload)
    tokens = ApiToken.objects.filter(user__username="ann").values()
    return [list(tokens), *(list(model.objects.order_by("pk").values()) for model in models)]


def asked(caller: httpx.Client, method: str, path: str) -> httpx.Response:
    headers = TUS if "/uploads/" in path else {}
    if token := caller.cookies.get("csrftoken"):
        headers = headers | {"X-CSRFToken": token}
    body = json.dumps(BODY).encode() if method in ("POST", "PUT", "PATCH") else None
    query = "?find=x" if path.endswith("/matches") else ""
    return caller.request(method, path + query, headers={"Content-Type": "application/json"} | headers, content=body)


@pytest.fixture
def theirs(site: Site) -> Theirs:
    """The ids of another person's recording, which has a text and a queued job, of an unfinished upload, and of an API
    token."""
    cache.clear()
    made = recording("ann")
    transcribed(made, "Ann's words.")
    transcribed(made, status="queued")
    ann = User.objects.get(username="ann")
    upload = Upload.objects.create(owner=ann, bytes=10)
    upload.part.touch()
    token, _ = ApiToken.issue(ann, "Ann's token", scopes=["read"], days=None)
    return made.pk, upload.pk, token.pk


def test_the_routes_are_found() -> None:
    assert {"api/recordings/<int:id>/audio", "recordings/<int:pk>/delete", "api/uploads/<uuid:key>"} <= set(ROUTES)


@pytest.mark.parametrize("route", ROUTES)
def test_somebody_elses_id_looks_as_no_id_does_and_nothing_changes(site: Site, theirs: Theirs, route: str) -> None:
    browser = site.browser()
    browser.get("/accounts/password")  # brings the CSRF cookie
    before = everything()
    taken = 0
    for caller in (site.program(), browser):
        if caller is not browser and not route.startswith("api/"):
            continue  # pages take no tokens
        for method in METHODS:
            foreign = asked(caller, method, path_to(route, *theirs))
            none = asked(caller, method, path_to(route, 10**9, uuid4(), 10**9))
            assert foreign.status_code == none.status_code, (method, foreign.text)
            assert foreign.status_code in (404, 405), (method, foreign.text)
            taken += foreign.status_code == 404
            assert "Ann" not in foreign.text
    assert taken
    assert everything() == before


@pytest.mark.parametrize("route", ROUTES)
def test_a_caller_that_is_not_signed_in_is_asked_to_sign_in(site: Site, theirs: Theirs, route: str) -> None:
    before = everything()
    nobody = site.client()
    for method in METHODS:
        assert asked(nobody, method, path_to(route, *theirs)).status_code in (302, 401, 403, 405)
    assert everything() == before
