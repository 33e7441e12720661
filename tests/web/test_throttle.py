"""Bounds on what one person or one address may do. Past them the answer is 429, with the seconds to wait."""

import time
from typing import Any

import httpx
import pytest
from django.core.cache import cache
from django.test import Client

from accounts import auth
from recordings.models import Recording, Transcription
from tests.support.answers import code
from tests.support.rows import recording
from tests.support.site import Site
from web.problems import Problem
from web.throttle import Allowance


@pytest.fixture(autouse=True)
def _forget() -> None:
    cache.clear()


def refused(answer: httpx.Response, name: str = "too_many_requests") -> int:
    """Check that the answer is a 429 with this code, and return the seconds to wait."""
    assert code(answer) == (429, name)
    return int(answer.headers["Retry-After"])


def test_what_is_too_much_is_allowed_again_after_the_time_that_was_said() -> None:
    allowance = Allowance("test", 3, 2)
    assert [allowance.take("mei") for _ in range(3)] == [0, 0, 0]
    wait = allowance.take("mei")
    assert wait in (1, 2)
    assert allowance.take("ann") == 0
    time.sleep(wait)
    assert allowance.take("mei") == 0


def test_what_is_forgotten_is_counted_anew() -> None:
    allowance = Allowance("test", 1, 60)
    allowance.take("mei")
    with pytest.raises(Problem, match="too_many_requests"):
        allowance.require("mei")
    allowance.forget("mei")
    allowance.require("mei")


def test_calls_are_counted_by_person_over_all_their_tokens(site: Site, monkeypatch: Any) -> None:
    monkeypatch.setattr(auth, "CALLS", Allowance("calls", 3, 60))
    mei, again, ann = site.program(), site.program(), site.program("ann")
    assert [program.get("/api/recordings").status_code for program in (mei, again, mei)] == [200, 200, 200]
    assert 0 < refused(again.get("/api/recordings")) <= 60
    assert refused(site.browser().get("/api/recordings"))
    assert ann.get("/api/recordings").status_code == 200


def test_wrong_tokens_are_counted_by_address_and_a_good_one_still_opens(site: Site, monkeypatch: Any) -> None:
    monkeypatch.setattr(auth, "BAD_TOKENS", Allowance("bad-tokens", 2, 60))
    guesser = site.client(headers={"Authorization": "Bearer asr_guess"})
    assert [guesser.get("/api/recordings").status_code for _ in range(3)] == [401, 401, 429]
    assert refused(guesser.get("/api/recordings")) <= 60
    assert guesser.get("/v1/models").status_code == 429
    assert site.program().get("/api/recordings").status_code == 200


def test_uploads_are_counted_and_what_is_refused_leaves_nothing(site: Site, clip: bytes, monkeypatch: Any) -> None:
    monkeypatch.setattr("recordings.api.recordings.UPLOADS", Allowance("uploads", 1, 60))
    program = site.program()
    assert program.post("/api/recordings", files={"file": clip}, data={"transcribe": "false"}).status_code == 201
    kept = site.files()
    refused(program.post("/api/recordings", files={"file": clip}))
    assert site.files() == kept
    assert Recording.objects.count() == 1


def test_a_person_with_many_jobs_in_line_waits_for_some_to_end(site: Site, clip: bytes, settings: Any) -> None:
    settings.USER_MAX_QUEUED = 2
    program = site.program()
    first, second, third = (recording(title=str(number)) for number in range(3))
    for made in (first, second):
        assert program.post(f"/api/recordings/{made.pk}/transcribe").status_code == 202
    assert refused(program.post(f"/api/recordings/{third.pk}/transcribe"), "too_many_queued") > 0
    refused(program.post("/api/recordings", files={"file": clip}), "too_many_queued")
    assert (Recording.objects.count(), site.files()) == (3, [])
    # Allowed all the same: a job that is in line already, an upload without a job, and jobs of other people.
    assert program.post(f"/api/recordings/{first.pk}/transcribe").status_code == 202
    assert program.post("/api/recordings", files={"file": clip}, data={"transcribe": "false"}).status_code == 201
    other = recording("ann")
    assert site.program("ann").post(f"/api/recordings/{other.pk}/transcribe").status_code == 202
    assert program.post(f"/api/recordings/{first.pk}/cancel").status_code == 200
    assert program.post(f"/api/recordings/{third.pk}/transcribe").status_code == 202
    assert Transcription.objects.filter(recording__owner=third.owner, status="queued").count() == 2


def test_the_page_is_told_too(db: None, client: Client, settings: Any) -> None:
    settings.USER_MAX_QUEUED = 1
    first, second = recording(), recording()
    client.force_login(first.owner)
    assert client.post(f"/recordings/{first.pk}/transcribe").status_code == 204
    answer = client.post(f"/recordings/{second.pk}/transcribe")
    assert (answer.status_code, answer["Retry-After"]) == (429, "60")
