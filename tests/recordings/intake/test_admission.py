"""The check in front of Django refuses a large body: at a route without uploads, without the right, over the limit."""

import select
import socket
import tracemalloc
from contextlib import ExitStack
from uuid import UUID, uuid4

import pytest
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.utils import timezone

from accounts.models import ApiToken
from bench import upload as bench
from tests.support.site import Site
from tests.support.uploads import answer_to
from tests.support.waiting import PATIENCE, wait_for
from web.throttle import Allowance

pytestmark = pytest.mark.usefixtures("no_lingering")

KIB, MIB = 1024, 1024**2


@pytest.mark.parametrize(
    ("line", "length", "status", "code"),
    [
        ("POST /accounts/login", 3 * MIB, 413, "too_large"),
        ("POST /admin/login/", 3 * MIB, 413, "too_large"),
        ("GET /", 3 * MIB, 413, "too_large"),
        ("PATCH /api/recordings/1", 3 * MIB, 413, "too_large"),
        ("POST /api/recordings", 3 * MIB, 401, "not_authenticated"),
        ("POST /api/recordings", 3 * 1024 * MIB, 401, "not_authenticated"),
        ("POST /accounts/login", MIB, 413, "too_large"),  # of a caller without a session: see admission.STRANGERS
        ("GET /", 65 * KIB, 413, "too_large"),
        ("POST /api/recordings", MIB, 401, "not_authenticated"),
        ("PATCH /api/recordings/1", 65 * KIB, 401, "not_authenticated"),
        ("POST /v1/audio/transcriptions", MIB, 401, "not_authenticated"),
    ],
)
def test_a_body_that_has_no_business_here_is_refused_before_it_is_sent(
    site: Site, line: str, length: int, status: int, code: str
) -> None:
    answered, error = answer_to(site, f"{line} HTTP/1.1\nHost: localhost\nContent-Length: {length}\n")
    assert (answered, error["code"]) == (status, code)


@pytest.mark.parametrize(("path", "status"), [("/accounts/login", 413), ("/api/recordings", 401), ("/", 413)])
def test_a_strangers_body_of_unknown_length_is_cut_off_early(site: Site, path: str, status: int) -> None:
    head = f"POST {path} HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\n"
    assert (
        answer_to(site, head, b"8000\r\n" + bytes(0x8000) + b"\r\n" + b"8001\r\n" + bytes(0x8001) + b"\r\n")[0]
        == status
    )


def test_half_sent_forms_of_strangers_cost_little_memory(site: Site) -> None:
    head = b"POST /accounts/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (64 * KIB)
    with ExitStack() as stack:
        tracemalloc.start()
        for _ in range(100):
            connection = stack.enter_context(socket.create_connection(site.address))
            connection.sendall(head + bytes(60 * KIB))
        wait_for(lambda: tracemalloc.get_traced_memory()[0] > 100 * 60 * KIB, "all that was sent")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 100 * 200 * KIB


def test_a_person_who_is_signed_in_may_send_a_longer_form(site: Site) -> None:
    browser = site.browser()
    browser.cookies["csrftoken"] = token = "a" * 32
    for content in (bytes(MIB), iter([bytes(MIB)])):
        answer = browser.post("/accounts/login", content=content, headers={"X-CSRFToken": token})
        assert answer.status_code < 400


def test_a_wrong_token_and_one_that_may_not_write_are_refused_before_the_body(site: Site) -> None:
    head = f"POST /api/recordings HTTP/1.1\nHost: localhost\nContent-Length: {3 * MIB}\nAuthorization: "
    assert answer_to(site, f"{head}Bearer asr_wrong\n")[0] == 401
    reader = site.program(scopes=["read", "transcribe"]).headers["Authorization"]
    status, error = answer_to(site, f"{head}{reader}\n")
    assert (status, error["code"]) == (403, "missing_scope")


def test_an_upload_over_the_limit_is_refused_before_its_body_in_the_callers_language(
    site: Site, settings: LazySettings
) -> None:
    settings.MAX_UPLOAD_BYTES = 5 * MIB
    head = f"POST /api/recordings HTTP/1.1\nHost: localhost\nAccept-Language: fr\nContent-Length: {8 * MIB}\n"
    status, error = answer_to(site, head + f"Authorization: {site.program().headers['Authorization']}\n")
    assert (status, error["code"]) == (413, "too_large")
    assert "5.0\xa0MB" in error["message"]


@pytest.mark.parametrize("path", ["/accounts/login/", "/api/recordings"])
def test_a_body_of_unknown_length_is_cut_off_at_the_limit(site: Site, settings: LazySettings, path: str) -> None:
    settings.MAX_UPLOAD_BYTES = 0  # and 2 MiB for the rest of the form
    authorization = site.program().headers["Authorization"]
    head = f"POST {path} HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\nAuthorization: {authorization}\n"
    piece = b"80000\r\n" + bytes(0x80000) + b"\r\n"
    status, error = answer_to(site, head, piece * 5)
    assert (status, error["code"]) == (413, "too_large")
    assert site.files() == []


def test_a_person_who_is_signed_in_may_send_a_large_body(site: Site) -> None:
    browser = site.browser()
    browser.cookies["csrftoken"] = token = "a" * 32
    answer = browser.post("/api/recordings", files={"file": ("a.wav", bytes(4 * MIB))}, headers={"X-CSRFToken": token})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "not_audio")


@pytest.mark.parametrize("loses", ["token", "session"])
@pytest.mark.parametrize("resumable", [True, False])
def test_an_upload_is_stopped_when_its_caller_loses_the_right(
    site: Site, loses: str, resumable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.bodies.ASK_AGAIN", 0.2)
    token = "a" * 32
    client = site.program() if loses == "token" else site.browser()
    client.cookies["csrftoken"] = client.headers["X-CSRFToken"] = token
    line = f"PATCH /api/uploads/{UUID(int=1)}" if resumable else "POST /api/recordings"
    request = client.build_request("POST", "/", headers={"Content-Length": str(8 * MIB)})
    head = f"{line} HTTP/1.1\n" + "".join(f"{name}: {value}\n" for name, value in request.headers.items())
    with socket.create_connection(site.address, timeout=PATIENCE) as connection:
        connection.sendall(f"{head}\n".replace("\n", "\r\n").encode())
        connection.sendall(bytes(MIB))
        assert not select.select([connection], [], [], 0.5)[0]  # the upload goes on after two checks of its right
        ApiToken.objects.update(revoked_at=timezone.now())
        Session.objects.all().delete()
        connection.settimeout(0.5)
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")
    assert site.files() == []


def test_an_upload_counts_as_one_call(site: Site, clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr("accounts.auth.CALLS", Allowance("calls", 3, 60))
    api = site.program()
    for _ in range(3):
        headers = {"Idempotency-Key": str(uuid4())}
        answer = api.post("/api/recordings", files={"file": clip.ljust(3 * MIB, b"\0")}, headers=headers)
        assert answer.status_code == 201
    assert api.get("/api/recordings").status_code == 429


@pytest.mark.slow
def test_a_large_upload_costs_little_memory_signed_in_or_not(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 MiB are sent to a server process of its own. `python -m bench.upload` has larger ones and other servers."""
    folder = tmp_path_factory.mktemp("large")
    monkeypatch.setenv("DATA_DIR", str(folder))
    monkeypatch.setenv("ASR_API_URL", "http://127.0.0.1:9/v1")
    token = bench.prepared()
    recording = bench.noise(folder / "noise.wav", 100)
    known = {"Authorization": f"Bearer {token}"}
    for send, headers, expected in [
        (bench.as_form, known, "201"),
        (bench.in_pieces, known, "204"),
        (bench.as_form, {}, "401"),
    ]:
        status, _, memory = bench.measured(bench.UVICORN, recording, headers, send)
        assert status == expected
        assert memory < 60  # MiB; an upload of 2 GiB may cost 100
