"""Links for guests: what they show, to whom, until when, and what is kept of them."""

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import digest
from recordings.api import media
from recordings.backups import database
from recordings.library import sharing
from recordings.library.sharing import end_link
from recordings.models import GuestLink, Recording, Segment
from recordings.pages import guests
from tests.support.answers import code
from tests.support.rows import Status, guest_path, make_recording, make_transcription
from tests.support.site import Site
from web.compression import UNCOMPRESSED
from web.throttle import Allowance

TITLE, SAID, HEARD, ELSEWHERE = "Steering group", "We ship on Friday.", "We chip on Friday.", "Salary talks"
PAGES = ("", "text?format=txt", "audio")


@pytest.fixture(autouse=True)
def _forget() -> None:
    cache.clear()


@pytest.fixture
def mei(site: Site) -> User:
    return User.objects.create_user("mei", first_name="Mei", email="mei@example.org")


@pytest.fixture
def shared(mei: User) -> Recording:
    """A recording with a corrected text, beside another one."""
    make_transcription(make_recording(mei, ELSEWHERE), Status.DONE, ELSEWHERE)
    recording = make_recording(mei, TITLE)
    run = make_transcription(recording, Status.DONE, HEARD)
    Segment.objects.filter(transcription=run).update(correction=SAID, version=1)
    Recording.objects.filter(pk=recording.pk).update(original_name="IMG_0001 private.wav")
    return recording


def expire(path: str) -> None:
    links = GuestLink.objects.filter(digest=digest(path.split("/")[2]))
    assert links.update(expires_at=timezone.now() - timedelta(seconds=1))


def end(path: str) -> None:
    link = GuestLink.objects.get(digest=digest(path.split("/")[2]))
    end_link(link.recording, link.pk)


def test_a_guest_reads_the_corrected_text_and_nothing_else_of_the_owner(site: Site, shared: Recording) -> None:
    guest, path = site.client(), guest_path(shared)
    answer = guest.get(path)
    assert answer.status_code == 200
    assert TITLE in answer.text
    assert SAID in answer.text
    for private in (HEARD, ELSEWHERE, "IMG_0001", "Mei", "mei@", 'href="/"', "csrf", f"recordings/{shared.pk}"):
        assert private not in answer.text, private
    assert not guest.cookies
    for name in ("txt", "docx", "md", "srt", "vtt"):
        kept = guest.get(path + f"text?format={name}")
        assert kept.status_code == 200
        assert f"Steering group.{name}" in kept.headers["Content-Disposition"].replace("%20", " ")
        assert ("Friday" in kept.text) == (name != "docx")  # which is a ZIP archive
        assert "chip" not in kept.text
    for name in ("json", "exe", ""):  # JSON has the machine's text beside the correction
        assert guest.get(path + f"text?format={name}").status_code == 404


def test_one_who_is_signed_in_as_somebody_else_sees_the_same_as_a_guest(site: Site, shared: Recording) -> None:
    path = guest_path(shared)
    guest, ann = site.client().get(path), site.browser("ann").get(path)
    assert without_nonce(guest.text) == without_nonce(ann.text)


def without_nonce(text: str) -> str:
    before, found, after = text.partition('data-nonce="')
    return before + after.partition('"')[2] if found else text


def test_the_sound_comes_in_ranges_by_a_link_with_audio_only(site: Site, shared: Recording) -> None:
    guest = site.client()
    with_audio, without = guest_path(shared), guest_path(shared, audio=False)
    sound = Path(site.folder, "media", str(shared.original)).read_bytes()
    part = guest.get(with_audio + "audio", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, sound[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(sound)}"
    assert "Steering%20group.wav" in part.headers["Content-Disposition"].replace("Steering group", "Steering%20group")
    assert guest.head(with_audio + "audio").headers["Content-Length"] == str(len(sound))
    assert guest.get(without + "audio").status_code == 404
    assert "<audio" in guest.get(with_audio).text
    assert "<audio" not in guest.get(without).text


GONE: dict[str, Callable[[str, Recording], object]] = {
    "expired": lambda path, _: expire(path),
    "ended": lambda path, _: end(path),
    "deleted": lambda _, recording: recording.delete(),
    "of somebody who may not sign in": lambda _, recording: User.objects.filter(pk=recording.owner_id).update(
        is_active=False
    ),
}


@pytest.mark.parametrize("how", GONE)
def test_a_link_that_is_gone_looks_as_one_that_never_was(site: Site, shared: Recording, how: str) -> None:
    guest = site.client(headers={"Accept-Encoding": "identity"})  # Django pads what it compresses with random bytes
    path = guest_path(shared)
    assert [guest.get(path + name).status_code for name in PAGES] == [200, 200, 200]
    GONE[how](path, shared)
    for name in PAGES:
        gone, never = guest.get(path + name), guest.get(f"/s/{'A' * 43}/{name}")
        assert gone.status_code == never.status_code == 404
        assert gone.content == never.content
        assert "This link has expired or was turned off." in gone.text
        changing = {"date", "content-security-policy"}  # the policy has a nonce
        assert [pair for pair in gone.headers.items() if pair[0] not in changing] == [
            pair for pair in never.headers.items() if pair[0] not in changing
        ]


@pytest.mark.parametrize("how", GONE)
def test_a_link_that_is_gone_costs_the_same_work_as_one_that_never_was(shared: Recording, how: str) -> None:
    guest, path = Client(), guest_path(shared)
    GONE[how](path, shared)

    def work(address: str) -> list[str]:
        with CaptureQueriesContext(connection) as asked:
            assert guest.get(address).status_code == 404
        return [query["sql"].partition("WHERE")[0] for query in asked.captured_queries]

    assert work(path) == work(f"/s/{'A' * 43}/")
    assert len(work(path)) == 1


@pytest.mark.parametrize("secret", ["x", "%00", "%F0%9F%94%91", "a" * 3000, "..%2f..", "'--", "{{7}}"])
def test_any_text_in_the_place_of_a_secret_is_a_link_that_never_was(site: Site, shared: Recording, secret: str) -> None:
    answer = site.client().get(f"/s/{secret}/")
    assert answer.status_code == 404
    assert secret == "x" or secret not in answer.text


def test_the_next_range_is_refused_once_the_link_has_ended(site: Site, shared: Recording) -> None:
    guest, path = site.client(), guest_path(shared)
    first = guest.get(path + "audio", headers={"Range": "bytes=0-99"})
    assert first.status_code == 206
    end(path)
    again = {"Range": "bytes=100-199", "If-Range": first.headers["ETag"]}
    assert guest.get(path + "audio", headers=again).status_code == 404
    assert guest.get(path + "audio", headers={"If-None-Match": first.headers["ETag"]}).status_code == 404


def test_sound_on_its_way_stops_when_the_link_ends(
    site: Site, shared: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser asks for all of a file in one range, and reads it as it plays."""
    monkeypatch.setattr(media, "ASK_AGAIN", 0.0)
    size = 256 * 1024**2
    with Path(site.folder, "media", str(shared.original)).open("r+b") as file:
        file.truncate(size)  # a sparse file: more than sockets buffer
    Recording.objects.filter(pk=shared.pk).update(bytes=size)
    path = guest_path(shared)
    with site.client().stream("GET", path + "audio", headers={"Range": "bytes=0-"}) as answer:
        assert answer.headers["Content-Length"] == str(size)
        pieces = answer.iter_raw()
        next(pieces)
        end(path)
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
            list(pieces)


def test_guesses_are_counted_by_address_and_a_good_link_still_opens(
    site: Site, shared: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guests, "BAD_LINKS", Allowance("bad-links", 2, 60))
    guest, path = site.client(), guest_path(shared)
    assert [guest.get(f"/s/{guess * 43}/").status_code for guess in "ABCD"] == [404, 404, 429, 429]
    refused = guest.get(f"/s/{'E' * 43}/audio")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["Referrer-Policy"] == "no-referrer"
    assert guest.get(path).status_code == 200


def test_requests_by_one_link_are_bounded(site: Site, shared: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "GUESTS", Allowance("guests", 2, 60))
    path, other = guest_path(shared), guest_path(shared)
    assert [site.client().get(path).status_code for _ in range(3)] == [200, 200, 429]
    assert site.client().get(other).status_code == 200


# --- secrets --------------------------------------------------------------------------------------


def test_no_page_by_a_link_tells_others_its_address(site: Site, shared: Recording) -> None:
    guest, path = site.client(), guest_path(shared)
    secret = path.split("/")[2]
    for address in (*(path + name for name in PAGES), path.replace(secret[:5], "wrong")):
        answer = guest.get(address)
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Robots-Tag"] == "noindex"
        assert secret not in answer.text
        assert secret[5:] not in answer.text
    assert "Content-Encoding" not in guest.get(path, headers={"Accept-Encoding": "identity"}).headers


@contextmanager
def the_log() -> Iterator[io.StringIO]:
    """What the product's own handler writes to the log."""
    [handler] = [each for each in logging.getLogger().handlers if each.name == "console"]
    assert isinstance(handler, logging.StreamHandler)
    log, filters = io.StringIO(), handler.filters[:]
    handler.filters.clear()  # one of them leaves lines out, of which earlier tests made many
    before = handler.setStream(log)
    yield log
    handler.setStream(before or handler.stream)
    handler.filters[:] = filters


def test_no_secret_is_in_the_log(site: Site, shared: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    guest, good, ended = site.client(), guest_path(shared), guest_path(shared)
    end(ended)
    with the_log() as log:
        for path in (good, ended):
            guest.get(path)
            guest.post(path)
            guest.get(path + "text?format=exe")
            guest.get(path + "nothing/here")
            guest.get(path[:-1])
        monkeypatch.setattr(guests, "transcript_of", lambda _: 1 / 0)
        assert guest.get(good + "text?format=txt").status_code == 500
    told = log.getvalue()
    assert "Not Found: /s/[secret]/" in told
    assert "ZeroDivisionError" in told
    for path in (good, ended):
        assert path.split("/")[2] not in told


def rows() -> str:
    return str([list(model._default_manager.values()) for model in apps.get_models() if model._meta.managed])


def test_neither_the_database_nor_a_copy_of_it_has_the_secret(site: Site, shared: Recording, tmp_path: Path) -> None:
    address = f"/api/recordings/{shared.pk}/links"
    made = site.program().post(address, json={"audio": True}, headers={"Idempotency-Key": "k"}).json()
    secret = made["url"].split("/")[-2]
    assert site.client().get(made["url"]).status_code == 200
    assert digest(secret) in rows()
    assert secret not in rows()
    if connection.vendor == "sqlite":
        copy = tmp_path / "copy.sqlite3"
        database.copy_database(copy)
        assert digest(secret).encode() in copy.read_bytes()
        assert secret.encode() not in copy.read_bytes()


# --- making links by the API ----------------------------------------------------------------------


def test_a_program_makes_lists_and_ends_links(site: Site, shared: Recording) -> None:
    program, address = site.program(), f"/api/recordings/{shared.pk}/links"
    made = program.post(address, json={"audio": True, "days": 7})
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == UNCOMPRESSED
    link = made.json()
    assert link["url"].startswith(f"{site.url}/s/")
    assert len(link["url"].split("/")[-2]) == 43  # 256 bits
    assert site.client().get(link["url"]).status_code == 200
    plain = program.post(address).json()  # without a body: the text alone, for a month
    assert (plain["audio"], link["audio"]) == (False, True)
    days = [GuestLink.objects.get(pk=each["id"]).expires_at - timezone.now() for each in (link, plain)]
    assert [round(left / timedelta(days=1)) for left in days] == [7, 30]
    listed = program.get(address).json()["items"]
    assert [each["id"] for each in listed] == [plain["id"], link["id"]]
    assert listed[1] == {name: value for name, value in link.items() if name != "url"}
    assert link["url"].removesuffix("/").endswith(listed[1]["ends_with"])
    gone = f"{address}/{link['id']}"
    assert [program.delete(gone).status_code for _ in range(2)] == [204, 404]
    assert site.client().get(link["url"]).status_code == 404
    assert site.client().get(plain["url"]).status_code == 200
    assert program.delete(f"/api/recordings/{shared.pk}").status_code == 204
    assert site.client().get(plain["url"]).status_code == 404


@pytest.mark.parametrize("options", [{"days": 0}, {"days": 366}, {"days": "soon"}, {"audio": "loud"}, {"days": 1.5}])
def test_what_no_link_can_be_is_refused(site: Site, shared: Recording, options: dict[str, Any]) -> None:
    assert code(site.program().post(f"/api/recordings/{shared.pk}/links", json=options)) == (422, "invalid_request")
    assert not GuestLink.objects.exists()


def test_a_token_that_may_not_read_makes_no_link_to_read_by(site: Site, shared: Recording) -> None:
    address = f"/api/recordings/{shared.pk}/links"
    for scopes in (["write"], ["read"], ["write", "transcribe", "stats"]):
        assert code(site.program(scopes=scopes).post(address)) == (403, "missing_scope")
    assert not GuestLink.objects.exists()
    assert site.program(scopes=["write", "read"]).post(address).status_code == 201


def test_the_same_request_again_has_the_same_link_with_a_new_address(site: Site, shared: Recording) -> None:
    """The first address is not kept, so it cannot be told again. There is one link all the same."""
    program, address, key = site.program(), f"/api/recordings/{shared.pk}/links", {"Idempotency-Key": "once"}
    first, again = (program.post(address, json={"days": 3}, headers=key) for _ in range(2))
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert GuestLink.objects.count() == 1
    assert first.json()["id"] == again.json()["id"]
    assert first.json()["expires_at"] == again.json()["expires_at"]
    assert [site.client().get(answer.json()["url"]).status_code for answer in (first, again)] == [404, 200]
    GuestLink.objects.all().delete()
    assert code(program.post(address, json={"days": 3}, headers=key)) == (404, "not_found")


def test_a_recording_has_so_many_links_and_expired_ones_make_room(
    site: Site, shared: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "MOST", 3)
    program, address = site.program(), f"/api/recordings/{shared.pk}/links"
    made = [program.post(address).json() for _ in range(3)]
    assert code(program.post(address)) == (409, "too_many_links")
    GuestLink.objects.filter(pk=made[0]["id"]).update(expires_at=timezone.now())
    assert [each["expired"] for each in program.get(address).json()["items"]] == [False, False, True]
    assert program.post(address).status_code == 201
    assert [each["id"] for each in program.get(address).json()["items"]][1:] == [made[2]["id"], made[1]["id"]]


def test_a_link_of_another_recording_is_not_ended(site: Site, shared: Recording, mei: User) -> None:
    other = make_recording(mei, "Other")
    path = guest_path(shared)
    link = GuestLink.objects.get()
    assert site.program().delete(f"/api/recordings/{other.pk}/links/{link.pk}").status_code == 404
    assert site.client().get(path).status_code == 200


# --- texts that are not there yet ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "texts", "words"),
    [
        (None, [], "There is no text of this recording."),
        (Status.DONE, [], "There is no text of this recording."),
        (Status.FAILED, [], "There is no text of this recording."),
        (Status.QUEUED, [], "The transcription is not finished"),
        (Status.TRANSCRIBING, ["So far"], "The transcription is not finished"),
    ],
)
def test_a_guest_is_told_that_there_is_no_text_yet(
    site: Site, mei: User, status: Status | None, texts: list[str], words: str
) -> None:
    recording = make_recording(mei, TITLE)
    if status:
        make_transcription(recording, status, *texts)
    path = guest_path(recording, audio=False)
    answer = site.client().get(path)
    assert (answer.status_code, "format=" in answer.text) == (200, False)
    for text in (words, *texts):
        assert text in answer.text
    assert site.client().get(path + "text?format=txt").status_code in (200, 404, 409)
