"""Idempotency-Key: a request that is sent again gives the first answer, whatever happened in between."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.utils import timezone

from accounts import idempotency
from accounts.models import ApiToken, FirstAnswer
from recordings.models import Recording, Transcription
from tests.support.answers import code
from tests.support.rows import recording, transcribed
from tests.support.site import Site


@pytest.fixture(autouse=True)
def _forget() -> None:
    cache.clear()


def upload(program: httpx.Client, clip: bytes, key: str = "k-1", **form: str) -> httpx.Response:
    return program.post("/api/recordings", files={"file": clip}, data=form, headers={"Idempotency-Key": key})


def test_a_repeated_upload_gives_the_first_answer_and_makes_nothing(site: Site, clip: bytes) -> None:
    program = site.program()
    first = upload(program, clip, title="A")
    assert first.status_code == 201
    files = site.files()
    again = upload(program, clip, title="A")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert (Recording.objects.count(), Transcription.objects.count(), site.files()) == (1, 1, files)
    assert upload(program, clip, "k-2", title="A").json()["id"] != first.json()["id"]


def test_the_answer_is_the_first_one_even_when_things_have_changed(site: Site) -> None:
    program, made = site.program(), recording()
    path, key = f"/api/recordings/{made.pk}", {"Idempotency-Key": "once"}
    first = program.post(f"{path}/transcribe", headers=key).json()
    program.post(f"{path}/cancel")
    assert program.post(f"{path}/transcribe", headers=key).json() == first
    assert Transcription.objects.count() == 1


def test_equal_requests_at_once_are_done_once_and_all_get_the_answer(site: Site, clip: bytes) -> None:
    program = site.program()
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: upload(program, clip), range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == Recording.objects.count() == 1


def test_a_key_of_another_request_is_refused(site: Site, clip: bytes) -> None:
    program = site.program()
    assert upload(program, clip, title="A").status_code == 201
    for other in (upload(program, clip, title="B"), upload(program, clip + b"\0\0", title="A")):
        assert code(other) == (422, "idempotency_key_reused")
    assert Recording.objects.count() == 1
    another_token = upload(site.program(scopes=["write"]), clip, title="A")
    assert code(another_token) == (422, "idempotency_key_reused")
    assert upload(site.program("ann"), clip, title="A").status_code == 201  # another person's key


def test_what_failed_may_be_tried_again(site: Site, clip: bytes) -> None:
    program = site.program()
    assert upload(program, b"no audio").status_code == 415
    assert upload(program, clip).status_code == 201


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é"])
def test_a_key_that_is_none_is_refused(site: Site, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    answer = site.program().post("/api/recordings/1/cancel", headers=headers)
    assert code(answer) == (400, "invalid_idempotency_key")


def test_nobody_gets_an_answer_without_a_right(site: Site) -> None:
    answer = site.client().post("/api/recordings/1/cancel", headers={"Idempotency-Key": "k"})
    assert code(answer) == (401, "not_authenticated")
    assert not FirstAnswer.objects.exists()


def killed_after(age: timedelta) -> FirstAnswer:
    """Turn the kept answer into the claim, `age` old, of a process that was killed before it had an answer."""
    row = FirstAnswer.objects.get()
    FirstAnswer.objects.update(status=None, body="", claimed_at=timezone.now() - age)
    return row


def test_what_a_killed_server_had_done_is_not_done_again(site: Site, clip: bytes) -> None:
    program = site.program()
    first = upload(program, clip)
    killed_after(timedelta(minutes=1))
    again = upload(program, clip)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert Recording.objects.count() == 1


def test_what_a_killed_server_had_not_done_is_done_by_the_next_try(site: Site, clip: bytes) -> None:
    program = site.program()
    upload(program, clip)
    Recording.objects.all().delete()
    killed_after(timedelta(minutes=1))
    assert upload(program, clip).status_code == 201
    assert Recording.objects.count() == 1


def test_a_second_request_does_not_wait_for_ever(site: Site, clip: bytes, monkeypatch: Any) -> None:
    monkeypatch.setattr(idempotency, "WAIT", 0.2)
    program = site.program()
    upload(program, clip)
    killed_after(timedelta(seconds=5))
    answer = upload(program, clip)
    assert code(answer) == (409, "still_working")
    assert 20 <= int(answer.headers["Retry-After"]) <= 25


def test_a_key_is_forgotten_after_a_day(site: Site, clip: bytes) -> None:
    program = site.program()
    upload(program, clip)
    FirstAnswer.objects.update(begun_at=timezone.now() - timedelta(days=1, seconds=1))
    assert "Idempotent-Replayed" not in upload(program, clip).headers
    assert (Recording.objects.count(), FirstAnswer.objects.count()) == (2, 1)


def kept(owner: str = "mei") -> list[str]:
    """The keys of the person's kept answers, the latest first."""
    return list(
        FirstAnswer.objects.filter(user__username=owner).order_by("-begun_at", "-pk").values_list("key", flat=True)
    )


@pytest.mark.parametrize("route", ["transcribe", "cancel", "restore"])
def test_a_kept_answer_holds_no_words_and_gives_none_out_that_are_gone(site: Site, route: str) -> None:
    program, made = site.program(), recording(title="Hush title")
    run = transcribed(made, "Hush words. " * 1000)
    path = f"/api/recordings/{made.pk}"
    door = f"{path}/transcriptions/{run.pk}/restore" if route == "restore" else f"{path}/{route}"
    key = {"Idempotency-Key": "once"}
    first = program.post(door, headers=key)
    assert "Hush words." in first.json()["text"]
    row = FirstAnswer.objects.get()
    assert "Hush" not in row.body
    assert len(row.body) < 700

    again = program.post(door, headers=key)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    program.patch(path, json={"title": "New title"})
    program.patch(f"{path}/segments/0", json={"text": "corrected"})
    again = program.post(door, headers=key)
    assert (again.json()["title"], again.json()["text"]) == ("New title", "corrected")
    assert again.json()["status"] == first.json()["status"]

    program.delete(path)
    gone = program.post(door, headers=key)
    assert code(gone) == (404, "not_found")
    assert "Hush" not in gone.text + str(list(FirstAnswer.objects.values()))


def test_the_key_of_an_upload_that_was_deleted_makes_it_no_second_time(site: Site, clip: bytes) -> None:
    program = site.program()
    program.delete(f"/api/recordings/{upload(program, clip, title='Hush').json()['id']}")
    assert code(upload(program, clip, title="Hush")) == (404, "not_found")
    assert not Recording.objects.exists()


def test_a_kept_answer_is_read_with_the_rights_that_its_token_has_now(site: Site) -> None:
    program, made = site.program(), recording()
    transcribed(made, "Hush words.")
    path, key = f"/api/recordings/{made.pk}/cancel", {"Idempotency-Key": "once"}
    assert "Hush" in program.post(path, headers=key).text
    ApiToken.objects.update(scopes=["write"])
    assert "Hush" not in program.post(path, headers=key).text


def test_kept_answers_are_bounded_for_each_person_and_in_all(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MOST_OF_ONE", 3)
    monkeypatch.setattr(idempotency, "MOST_OF_ALL", 5)
    for owner in ("mei", "ann"):
        program, path = site.program(owner), f"/api/recordings/{recording(owner).pk}/cancel"
        for number in range(5):
            assert program.post(path, headers={"Idempotency-Key": f"k-{number}"}).status_code == 200
    assert kept("ann") == ["k-4", "k-3", "k-2"]
    assert kept("mei") == ["k-4", "k-3"]
    # The claim of work under way is kept, whatever comes after it; a claim that lapsed is not.
    now = timezone.now()
    for key, age in (("working", 0), ("lapsed", 3600)):
        claimed = now - timedelta(seconds=age)
        begun = now - timedelta(hours=2)
        user = User.objects.get(username="ann")
        FirstAnswer.objects.create(user=user, key=key, fingerprint="", begun_at=begun, claimed_at=claimed)
    assert program.post(path, headers={"Idempotency-Key": "k-9"}).status_code == 200
    assert kept("ann") == ["k-9", "k-4", "k-3", "working"]
