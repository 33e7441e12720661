"""Uploads by form: an accepted file is kept whole, and a refused one leaves nothing."""

import asyncio
import hashlib
import io
import socket
import wave
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User

from recordings.intake.form import ReceivedFile, sweep
from recordings.intake.uploads import accept_upload
from recordings.models import Recording, Transcription
from tests.support.site import Site
from tests.support.uploads import form
from tests.support.waiting import wait_for


def wav(seconds: float, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((channels, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(int(seconds * 16000) * 2 * channels))
    return buffer.getvalue()


def test_an_upload_is_kept_byte_for_byte_and_put_in_line(site: Site, clip: bytes) -> None:
    answer = site.program().post(
        "/api/recordings", files={"file": ("会议 1.wav", clip)}, data={"language": "EN", "prompt": "Elinor"}
    )
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["Location"] == f"/api/recordings/{made['id']}"
    assert {name: made[name] for name in ("title", "status", "source", "bytes", "media_type", "language", "text")} == {
        "title": "会议 1",
        "status": "queued",
        "source": "api",
        "bytes": len(clip),
        "media_type": "audio/wav",
        "language": "en",
        "text": None,
    }
    assert made["duration"] == pytest.approx(7.1, abs=0.01)
    recording = Recording.objects.get()
    with recording.original.open() as file:
        assert file.read() == clip
    assert recording.sha256 == hashlib.sha256(clip).hexdigest()
    assert (recording.original_name, recording.prompt) == ("会议 1.wav", "Elinor")
    assert [run.status for run in recording.transcriptions.all()] == ["queued"]
    assert site.files() == [f"media/{recording.original.name}"]


def test_a_person_uploads_with_their_session_and_csrf_token(site: Site, clip: bytes) -> None:
    browser = site.browser()
    upload = {"file": ("a.wav", clip)}
    refused = browser.post("/api/recordings", files=upload)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "csrf_failed")
    assert site.files() == []
    browser.cookies["csrftoken"] = token = "a" * 32
    answer = browser.post("/api/recordings", files=upload, headers={"X-CSRFToken": token})
    assert (answer.status_code, answer.json()["source"]) == (201, "upload")


def test_an_upload_can_wait_to_be_transcribed(site: Site, clip: bytes) -> None:
    made = site.program().post("/api/recordings", files={"file": ("a.wav", clip)}, data={"transcribe": "false"})
    assert (made.json()["status"], made.json()["transcription"]) == ("new", None)


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("empty.wav", b"", 400, "empty_file"),
        ("text.wav", b"127.0.0.1 localhost\n" * 50, 415, "not_audio"),
        ("list.m3u8", b"#EXTM3U\nhttp://127.0.0.1:9/a.mp3\n", 415, "not_audio"),
        ("concat.txt", b"ffconcat version 1.0\nfile /etc/passwd\n", 415, "not_audio"),
        ("cut.mp4", b"\0\0\0\x18ftypmp42" + bytes(12) + b"\0\1\0\0mdat" + bytes(999), 422, "truncated"),
        ("../a.wav", wav(0.5), 400, "invalid_filename"),
        ("..", wav(0.5), 400, "invalid_filename"),
        ("a\\\\b.wav", wav(0.5), 400, "invalid_filename"),
        ("a\x01b.wav", wav(0.5), 400, "invalid_filename"),
        ("长" * 300 + ".wav", wav(0.5), 400, "invalid_filename"),
    ],
)
def test_what_cannot_be_transcribed_is_refused_with_a_reason_and_leaves_nothing(
    site: Site, name: str, content: bytes, status: int, code: str
) -> None:
    body, headers = form(name, content)
    answer = site.program().post("/api/recordings", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]
    assert site.files() == []
    assert not Recording.objects.exists()


def test_a_bad_name_in_a_pages_form_is_a_bad_request_too(site: Site) -> None:
    body, headers = form("../a.wav", b"x")
    browser = site.client(cookies={"csrftoken": "a" * 32})
    assert browser.post("/admin/login/", content=body, headers=headers).status_code == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"language": "klingon"},
        {"title": "x" * 256},
        {"prompt": "x" * 2001},
        {"duplicate": "maybe"},
        {"transcribe": "?"},
    ],
)
def test_a_form_with_a_field_that_makes_no_sense_is_refused_and_leaves_nothing(
    site: Site, clip: bytes, fields: dict[str, str]
) -> None:
    answer = site.program().post("/api/recordings", files={"file": ("a.wav", clip)}, data=fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")
    assert answer.json()["error"]["message"].startswith(f"{next(iter(fields))}: ")
    assert site.files() == []


def test_control_characters_in_a_title_become_spaces(site: Site, clip: bytes) -> None:
    body, headers = form("a.wav", clip, {"title": " Mon\tday\x00\u2028 <b>meeting</b> "})
    made = site.program().post("/api/recordings", content=body, headers=headers).json()
    assert made["title"] == "Mon day <b>meeting</b>"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="\xff\xfe.wav"\r\n\r\n1\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\n!\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n1\r\n' * 2 + b"--x--\r\n",
    ],
)
def test_a_malformed_form_is_the_callers_fault(site: Site, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = site.program().post("/api/recordings", content=body, headers=headers)
    assert answer.status_code in {400, 415, 422}
    assert answer.json()["error"]["code"]
    assert site.files() == []


def test_a_form_sent_in_chunks_is_read_like_any_other(site: Site, clip: bytes) -> None:
    body, headers = form("a.wav", clip)
    pieces = (body[at : at + 50_000] for at in range(0, len(body), 50_000))
    assert site.program().post("/api/recordings", content=pieces, headers=headers).status_code == 201


def test_the_same_bytes_are_reused_when_asked_for_and_only_from_the_same_owner(site: Site, clip: bytes) -> None:
    mei, ann = site.program("mei"), site.program("ann")

    def upload(who: Any, duplicate: str) -> tuple[int, int]:
        answer = who.post("/api/recordings", files={"file": ("a.wav", clip)}, data={"duplicate": duplicate})
        return answer.status_code, answer.json()["id"]

    status, first = upload(mei, "reuse")
    assert status == 201
    assert upload(mei, "reuse") == (200, first)
    assert upload(ann, "reuse")[0] == 201
    assert upload(mei, "allow")[0] == 201
    assert len(site.files()) == 3
    assert Transcription.objects.count() == 3


def test_of_equal_uploads_at_once_one_is_kept(site: Site, clip: bytes) -> None:
    programs = [site.program() for _ in range(4)]

    def upload(program: Any) -> int:
        files = {"file": ("a.wav", clip)}
        status: int = program.post("/api/recordings", files=files, data={"duplicate": "reuse"}).status_code
        return status

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(upload, programs)) == [200, 200, 200, 201]
    assert (Recording.objects.count(), len(site.files())) == (1, 1)


def test_a_file_over_the_limit_is_refused(site: Site, settings: LazySettings, clip: bytes) -> None:
    settings.MAX_UPLOAD_BYTES = len(clip) - 1
    program = site.program()
    refused = program.post("/api/recordings", files={"file": ("a.wav", clip)})
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")
    assert site.files() == []
    settings.MAX_UPLOAD_BYTES = len(clip)
    assert program.post("/api/recordings", files={"file": ("a.wav", clip)}).status_code == 201


@pytest.mark.parametrize("part", [0.5, 1.0])
def test_an_upload_whose_client_hangs_up_leaves_nothing(site: Site, clip: bytes, part: float) -> None:
    """A client that leaves half-way makes no recording. After the last byte there is a whole one or none."""
    program = site.program()
    body, headers = form("a.wav", clip)
    head = f"POST /api/recordings HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head += f"Authorization: {program.headers['Authorization']}\r\n\r\n"
    with socket.create_connection(site.address) as connection:
        connection.sendall(head.encode() + body[: int(len(body) * part)])
        wait_for(site.under_way, "the request", every=0.005)
    wait_for(lambda: not site.under_way(), "the end of the request")
    wait_for(lambda: len(site.files()) == Recording.objects.count(), "an end of the upload")
    assert not site.files() or part == 1.0


async def test_an_upload_canceled_at_any_moment_leaves_nothing(site: Site, clip: bytes) -> None:
    owner = await User.objects.acreate(username="mei")
    whole = 0
    for delay in range(24):
        file = ReceivedFile("a.wav", "", len(clip), "")
        file.write(clip)
        file.seek(0)
        file.sha256 = "0" * 64
        task = asyncio.create_task(accept_upload(owner, file, source="upload"))
        await asyncio.sleep(delay * 0.002)
        task.cancel()
        done, _ = await asyncio.wait([task])
        whole += not done.pop().cancelled()
        assert await Recording.objects.acount() == await Transcription.objects.acount() == len(site.files()) == whole
    assert whole < 24


def full_disk(*args: Any, **options: Any) -> Any:
    """A file whose writes the kernel refuses: no space left on device."""
    return open("/dev/full", "w+b")


@pytest.mark.parametrize("where", ["django.core.files.temp.NamedTemporaryFile", "tempfile.TemporaryFile"])
def test_a_full_disk_is_told_and_leaves_nothing(
    site: Site, clip: bytes, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The disk is full for the handler that writes the file, or for Django, which first stores a body over 2.5 MB."""
    monkeypatch.setattr(where, full_disk)
    content = clip * 12
    answer = site.program().post("/api/recordings", files={"file": ("a.wav", content)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "disk_full")
    assert site.files() == []
    assert not Recording.objects.exists()


def test_what_a_killed_process_left_is_swept_away_and_uploads_that_run_are_not(
    site: Site, settings: LazySettings
) -> None:
    folder = settings.FILE_UPLOAD_TEMP_DIR
    (folder / "tmpabc.upload").write_bytes(b"half of it")
    (folder / "other").write_bytes(b"not ours")
    sweep()
    assert len(site.files()) == 2
    sweep(older_than=0)
    assert site.files() == ["incoming/other"]
