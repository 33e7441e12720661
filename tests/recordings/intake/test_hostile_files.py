"""Uploads of files that were made to break a decoder: each gets a proper answer, and the server goes on."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from recordings.models import Recording
from tests.support import hostile_files
from tests.support.processes import decoders
from tests.support.site import Site
from tests.support.uploads import form
from tests.support.waiting import wait_for
from transcription.audio import apart


@pytest.mark.parametrize(
    ("make", "status", "code"),
    [
        (hostile_files.late_streams, 201, None),
        (hostile_files.long_tag, 201, None),
        (hostile_files.short_asf, 415, "not_audio"),
        (hostile_files.many_channels, 415, "unknown_codec"),
        (lambda: hostile_files.many_tags(1_000_000), 422, "too_complex"),
    ],
    ids=["late streams", "long tag", "short ASF", "65 channels", "many tags"],
)
def test_no_such_file_is_answered_with_a_server_error(
    site: Site, monkeypatch: pytest.MonkeyPatch, make: Callable[[], bytes], status: int, code: str | None
) -> None:
    monkeypatch.setattr(apart, "LIMITS", replace(apart.LIMITS, cpu=1.0))
    program, content = site.program(), make()
    answer = program.post("/api/recordings", files={"file": ("a", content)})
    assert answer.status_code == status
    if code:
        assert answer.json()["error"]["code"] == code
        answer = program.post("/v1/audio/transcriptions", files={"file": ("a", content)})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_the_death_of_the_process_that_reads_an_upload_is_an_answer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "LIMITS", replace(apart.LIMITS, cpu=60.0))  # longer than the 20 s that this file takes
    program, files = site.program(), {"file": ("a.mp3", hostile_files.many_tags(1_000_000))}
    apart.start()
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(program.post, "/api/recordings", files=files)
        (child,) = wait_for(decoders, "the process that reads it", every=0.01)
        child.kill()
        assert (answer.result().status_code, answer.result().json()["error"]["code"]) == (422, "crashed_decoder")
    assert site.files() == []


def test_a_hang_up_ends_the_work(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "LIMITS", replace(apart.LIMITS, cpu=60.0))  # longer than the 20 s that this file takes
    program = site.program()
    body, headers = form("a.mp3", hostile_files.many_tags(1_000_000))
    head = f"POST /api/recordings HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head += f"Authorization: {program.headers['Authorization']}\r\n\r\n"
    apart.start()
    with socket.create_connection(site.address) as connection:
        connection.sendall(head.encode() + body)
        wait_for(decoders, "the process that reads it", every=0.01)
    wait_for(lambda: not decoders(), "its end")
    assert site.files() == []
    assert not Recording.objects.exists()
