"""Downloading a recording's sound: the whole file or a range of it, which browsers never show as a page."""

from pathlib import Path

import httpx
import pytest

from recordings.models import Recording
from tests.support.processes import open_files
from tests.support.site import Site
from tests.support.waiting import wait_for


@pytest.fixture
def audio(site: Site, clip: bytes) -> tuple[httpx.Client, str]:
    program = site.program()
    made = program.post("/api/recordings", files={"file": ("会议 “1”.wav", clip)}).json()
    return program, f"/api/recordings/{made['id']}/audio"


def test_the_whole_file_comes_as_it_was_sent_and_cannot_be_taken_for_a_page(
    audio: tuple[httpx.Client, str], clip: bytes
) -> None:
    program, path = audio
    answer = program.get(path)
    assert (answer.status_code, answer.content) == (200, clip)
    headers = answer.headers
    assert headers["Content-Type"] == "audio/wav"
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert headers["Content-Disposition"].startswith("inline; filename*=utf-8''%E4%BC%9A%E8%AE%AE")
    assert "private" in headers["Cache-Control"]
    saved = program.get(path, params={"download": "true"}).headers["Content-Disposition"]
    assert saved.startswith("attachment; ")
    head = program.head(path)
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", str(len(clip)))


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("0-0", 0, 1), ("100-199", 100, 200), ("1000-", 1000, None), ("-500", -500, None), ("5-99999999", 5, None)],
)
def test_a_part_is_served_as_asked(
    audio: tuple[httpx.Client, str], clip: bytes, asked: str, start: int, stop: int | None
) -> None:
    program, path = audio
    answer = program.get(path, headers={"Range": f"bytes={asked}"})
    expected = clip[start:stop]
    first = len(clip) + start if start < 0 else start
    assert (answer.status_code, answer.content) == (206, expected)
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{len(clip)}"
    assert answer.headers["Content-Length"] == str(len(expected))


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0"])
def test_a_part_that_is_not_there_is_416(audio: tuple[httpx.Client, str], clip: bytes, asked: str) -> None:
    program, path = audio
    answer = program.get(path, headers={"Range": asked})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(clip)}")


@pytest.mark.parametrize("asked", ["bytes=5-1", "bytes=-", "bytes=0-1,5-9", "seconds=1-2", "bytes=a-b", "bytes=--1"])
def test_a_range_that_makes_no_sense_is_ignored(audio: tuple[httpx.Client, str], clip: bytes, asked: str) -> None:
    program, path = audio
    answer = program.get(path, headers={"Range": asked})
    assert (answer.status_code, len(answer.content)) == (200, len(clip))


def test_a_range_meant_for_another_version_gets_the_whole_file(audio: tuple[httpx.Client, str], clip: bytes) -> None:
    program, path = audio
    etag = program.head(path).headers["ETag"]
    part = {"Range": "bytes=0-9"}
    assert program.get(path, headers=part | {"If-Range": etag}).status_code == 206
    assert program.get(path, headers=part | {"If-Range": '"other"'}).status_code == 200
    unchanged = program.get(path, headers={"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


@pytest.mark.parametrize(
    "name", ['a"; x=y\r\nSet-Cookie: a=b', "../../etc/passwd", "\x00\x1f", "x" * 255, "\u202egpj.wav"]
)
def test_no_name_breaks_a_header(audio: tuple[httpx.Client, str], name: str) -> None:
    program, path = audio
    Recording.objects.update(original_name=name)  # in the database: uploads refuse some of these names
    answer = program.get(path)
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert "/" not in answer.headers["Content-Disposition"]


def test_a_client_that_hangs_up_leaves_no_file_open(site: Site, audio: tuple[httpx.Client, str]) -> None:
    program, path = audio
    stored = Path(site.folder, "media", str(Recording.objects.get().original))
    with stored.open("r+b") as file:
        file.truncate(256 * 1024**2)  # a sparse file: more than sockets buffer
    Recording.objects.update(bytes=256 * 1024**2)
    with program.stream("GET", path) as answer:
        pieces = answer.iter_raw()  # in a variable: the response is closed when the iterator is gone
        next(pieces)
        assert str(stored) in open_files()
    wait_for(lambda: str(stored) not in open_files(), "the file closed")


def test_a_file_that_the_storage_lost_is_a_404_with_its_own_code(site: Site, audio: tuple[httpx.Client, str]) -> None:
    program, path = audio
    Path(site.folder, "media", str(Recording.objects.get().original)).unlink()
    answer = program.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "source_missing")
