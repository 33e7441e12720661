"""Resumable uploads: after a break no confirmed byte is sent again, and half a file never becomes a recording."""

import asyncio
import fcntl
import hashlib
import io
import socket
import threading
from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.utils import timezone
from tusclient.client import TusClient

from recordings.intake import uploads
from recordings.intake.tus import remove_expired
from recordings.models import Recording, Transcription, Upload
from tests.support.answers import code
from tests.support.audio_files import silent_wav
from tests.support.bad_network import PIECE as BIG_PIECE
from tests.support.bad_network import BadNetwork, gigabyte
from tests.support.calls import SENT_WITHIN
from tests.support.disks import fill
from tests.support.product import Product
from tests.support.site import Site
from tests.support.tus import PIECE, TUS, create, encoded, offset, send
from tests.support.waiting import PATIENCE, wait_for

KIB = 1024
MIB = KIB**2


def padded(sound: bytes, length: int) -> bytes:
    """The WAV file with silence added at its end, `length` bytes in all."""
    head = bytearray(sound[:44])
    head[4:8] = (length - 8).to_bytes(4, "little")
    head[40:44] = (length - 44).to_bytes(4, "little")
    return bytes(head) + sound[44:] + bytes(length - len(sound))


def test_a_file_in_pieces_becomes_one_recording_in_line(site: Site, clip: bytes) -> None:
    api = site.program()
    url = create(api, len(clip), filename="会议.wav", language="zh")
    half = len(clip) // 2
    first = send(api, url, 0, clip[:half])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, str(half))
    assert "Stile-Recording" not in first.headers
    assert offset(api, url) == half
    assert api.get(url).json()["recording"] is None
    last = send(api, url, half, clip[half:])
    recording = Recording.objects.get()
    assert (last.status_code, last.headers["Stile-Recording"]) == (204, str(recording.pk))
    assert recording.sha256 == hashlib.sha256(clip).hexdigest()
    assert (recording.title, recording.original_name, recording.language) == ("会议", "会议.wav", "zh")
    assert (recording.bytes, recording.source) == (len(clip), "api")
    assert Transcription.objects.get().recording_id == recording.pk
    assert api.get(url).json()["recording"] == recording.pk
    assert offset(api, url) == len(clip)
    assert site.files() == [f"media/{recording.original.name}"]


def test_a_file_can_come_with_its_creation(site: Site, clip: bytes) -> None:
    api = site.program()
    headers = PIECE | {"Upload-Length": str(len(clip)), "Upload-Metadata": encoded(filename="a.wav")}
    answer = api.post("/api/uploads", content=clip, headers=headers)
    assert answer.status_code == 201
    assert answer.headers["Upload-Offset"] == str(len(clip))
    assert answer.headers["Stile-Recording"] == str(Recording.objects.get().pk)


def test_what_the_server_can_do_is_told_without_signing_in(site: Site) -> None:
    answer = site.client().options("/api/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == answer.headers["Tus-Resumable"] == "1.0.0"
    extensions = {"creation", "creation-with-upload", "expiration", "termination", "checksum"}
    assert set(answer.headers["Tus-Extension"].split(",")) == extensions
    assert "sha1" in answer.headers["Tus-Checksum-Algorithm"]
    assert int(answer.headers["Tus-Max-Size"]) == 2 * KIB**3


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Upload-Length": "5", "Tus-Resumable": "0.2.2"}, (412, "version_unsupported")),
        ({}, (400, "bad_request")),
        ({"Upload-Length": "-1"}, (400, "bad_request")),
        ({"Upload-Length": "0"}, (400, "empty_file")),
        ({"Upload-Length": str(2 * KIB**3 + 1)}, (413, "too_large")),
        ({"Upload-Length": "5", "Upload-Metadata": "filename %%"}, (400, "bad_request")),
        ({"Upload-Length": "5", "Upload-Metadata": encoded(filename="../a.wav")}, (400, "invalid_filename")),
        ({"Upload-Length": "5", "Upload-Metadata": encoded(language="klingon")}, (422, "invalid_request")),
    ],
)
def test_what_cannot_be_accepted_is_refused_before_a_byte_is_sent(
    site: Site, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    answer = site.program().post("/api/uploads", headers=TUS | headers)
    assert code(answer) == expected
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert not Upload.objects.exists()


def test_a_piece_has_its_place_its_type_and_its_size(site: Site) -> None:
    api = site.program()
    url = create(api, 10)
    assert send(api, url, 0, b"01234").status_code == 204
    assert code(send(api, url, 0, b"01234")) == (409, "wrong_offset")
    assert code(send(api, url, 7, b"789")) == (409, "wrong_offset")
    assert code(send(api, url, 5, b"567890")) == (413, "too_large")
    assert code(api.patch(url, content=b"5", headers=TUS | {"Upload-Offset": "5"})) == (415, "wrong_content_type")
    assert code(api.patch(url, content=b"5", headers=PIECE)) == (400, "bad_request")
    assert code(send(api, url, 5, bytes(11 * MIB))) == (413, "too_large")
    assert code(api.put(url)) == (405, "method_not_allowed")
    assert offset(api, url) == 5


def test_a_file_comes_in_one_request_of_any_size(site: Site, clip: bytes) -> None:
    sound = padded(clip, 20 * MIB + 5)
    api = site.program()
    url = create(api, len(sound), transcribe="false")
    whole = send(api, url, 0, sound)
    recording = Recording.objects.latest("pk")
    assert (whole.status_code, whole.headers["Upload-Offset"]) == (204, str(len(sound)))
    assert whole.headers["Stile-Recording"] == str(recording.pk)
    assert recording.sha256 == hashlib.sha256(sound).hexdigest()
    headers = PIECE | {
        "Upload-Length": str(len(sound)),
        "Upload-Metadata": encoded(duplicate="ask", transcribe="false"),
    }
    at_once = api.post("/api/uploads", content=iter([sound]), headers=headers)
    assert (at_once.status_code, at_once.headers["Upload-Offset"]) == (201, str(len(sound)))
    assert at_once.headers["Stile-Duplicate"] == str(recording.pk)
    assert offset(api, at_once.headers["Location"]) == len(sound)


def test_a_large_piece_with_a_checksum_is_added_whole_or_not_at_all(site: Site, clip: bytes) -> None:
    sound = padded(clip, 10 * MIB)
    api = site.program()
    url = create(api, len(sound), transcribe="false")

    def sent(digested: bytes) -> httpx.Response:
        checksum = f"sha256 {b64encode(hashlib.sha256(digested).digest()).decode()}"
        return send(api, url, 0, sound, **{"Upload-Checksum": checksum})

    assert code(sent(b"x")) == (460, "checksum_mismatch")
    assert offset(api, url) == 0
    assert sent(sound).status_code == 204
    assert Recording.objects.get().sha256 == hashlib.sha256(sound).hexdigest()


@pytest.mark.parametrize("come", [MIB, 9 * MIB])
def test_what_had_come_when_the_connection_broke_is_kept(site: Site, clip: bytes, come: int) -> None:
    sound = padded(clip, 12 * MIB)
    api = site.program()
    url = create(api, len(sound), transcribe="false")
    head = f"PATCH {url} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(sound)}\r\nUpload-Offset: 0\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in PIECE.items())
    head += f"Authorization: {api.headers['Authorization']}\r\n\r\n"
    with socket.create_connection(site.address) as connection:
        connection.sendall(head.encode() + sound[:come])
    wait_for(lambda: offset(api, url) == come, "the bytes that were sent")
    assert send(api, url, come, sound[come:]).status_code == 204
    assert Recording.objects.get().sha256 == hashlib.sha256(sound).hexdigest()


def test_what_is_refused_in_the_middle_of_a_large_body_is_told(site: Site) -> None:
    api = site.program()
    url = create(api, 9 * MIB)
    assert code(send(api, url, 1, bytes(30 * MIB))) == (409, "wrong_offset")
    assert code(send(api, url, 0, bytes(30 * MIB))) == (413, "too_large")
    assert offset(api, url) <= 9 * MIB


@pytest.mark.parametrize(
    ("headers", "extension"),
    [
        ({"Upload-Concat": "partial", "Upload-Length": "5"}, "concatenation"),
        ({"Upload-Concat": "final;/api/uploads/a /api/uploads/b"}, "concatenation"),
        ({"Upload-Defer-Length": "1"}, "creation-defer-length"),
    ],
)
def test_an_extension_that_is_not_there_is_named(site: Site, headers: dict[str, str], extension: str) -> None:
    answer = site.program().post("/api/uploads", headers=TUS | headers)
    assert code(answer) == (400, "extension_unsupported")
    assert extension in answer.json()["error"]["message"]
    assert extension not in answer.headers["Tus-Extension"].split(",")
    assert not Upload.objects.exists()


def test_the_method_can_come_in_a_header(site: Site) -> None:
    api = site.program()
    url = create(api, 10 * MIB)
    headers = PIECE | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert api.post(url, content=bytes(9 * MIB), headers=headers).headers["Upload-Offset"] == str(9 * MIB)
    asked = api.post(url, headers=TUS | {"X-HTTP-Method-Override": "head"})
    assert (asked.status_code, asked.headers["Upload-Offset"], asked.content) == (200, str(9 * MIB), b"")
    assert api.post(url, headers=TUS | {"X-HTTP-Method-Override": "DELETE"}).status_code == 204
    assert api.head(url, headers=TUS).status_code == 404
    other = {"X-HTTP-Method-Override": "DELETE"}
    assert api.post("/api/recordings", headers=other).status_code == 422  # only addresses of uploads heed the header


def test_tuspy_sends_a_file_as_it_does_by_itself(site: Site, clip: bytes, tmp_path: Path) -> None:
    """By default tuspy sends the whole file in one request."""
    file = tmp_path / "long.wav"
    file.write_bytes(padded(clip, 9 * MIB))
    api = site.program()
    client = TusClient(f"{site.url}/api/uploads", headers={"Authorization": api.headers["Authorization"]})
    for checksum in (False, True):
        metadata = {"filename": file.name, "transcribe": "false", "duplicate": "allow"}
        client.uploader(str(file), metadata=metadata, upload_checksum=checksum).upload()
    assert {made.sha256 for made in Recording.objects.all()} == {digest(file)}
    assert Recording.objects.count() == 2


def test_a_damaged_piece_is_not_added(site: Site) -> None:
    api = site.program()
    url = create(api, 10)

    def checksum(algorithm: str, piece: bytes) -> str:
        return f"{algorithm} {b64encode(hashlib.new(algorithm, piece).digest()).decode()}"

    assert code(send(api, url, 0, b"01234", **{"Upload-Checksum": checksum("sha1", b"x")})) == (
        460,
        "checksum_mismatch",
    )
    assert code(send(api, url, 0, b"0", **{"Upload-Checksum": "crc32 AA=="})) == (400, "checksum_unsupported")
    assert code(send(api, url, 0, b"0", **{"Upload-Checksum": "sha1 %"})) == (400, "bad_request")
    assert offset(api, url) == 0
    assert send(api, url, 0, b"01234", **{"Upload-Checksum": checksum("sha256", b"01234")}).status_code == 204


def test_only_those_who_may_write_reach_an_upload_and_only_their_own(site: Site) -> None:
    url = create(site.program(), 10)
    for method in ("GET", "HEAD", "PATCH", "DELETE"):
        headers = PIECE | {"Upload-Offset": "0"}
        assert site.client().request(method, url, headers=headers).status_code == 401
        assert site.program("jonas").request(method, url, headers=headers).status_code == 404
        assert site.program(scopes=["read"]).request(method, url, headers=headers).status_code == 403
    browser = site.browser()
    assert code(send(browser, url, 0, b"01234")) == (403, "csrf_failed")
    browser.cookies["csrftoken"] = token = "a" * 32
    assert send(browser, url, 0, b"01234", **{"X-CSRFToken": token}).status_code == 204


def test_what_is_no_audio_leaves_nothing(site: Site) -> None:
    api = site.program()
    url = create(api, 5, filename="a.wav")
    assert code(send(api, url, 0, b"words")) == (415, "not_audio")
    assert api.head(url, headers=TUS).status_code == 404
    assert site.files() == []
    assert not Upload.objects.exists()
    assert not Recording.objects.exists()


def test_a_fault_is_said_in_the_senders_language(site: Site) -> None:
    api = site.program()
    api.headers["Accept-Language"] = "zh-CN"
    url = create(api, 5, filename="a.wav")

    def words(place: int, piece: bytes, **headers: str) -> str:
        return str(send(api, url, place, piece, **headers).json()["error"]["message"])

    assert words(0, b"words", **{"Upload-Checksum": "crc32 AA=="}).startswith("校验")
    assert words(3, b"ds") == "这个上传应从第 0 字节继续。"
    assert words(0, b"words") == "无法识别，请上传音频或视频文件。"


def test_a_terminated_upload_is_gone_and_a_recording_made_of_one_stays(site: Site, clip: bytes) -> None:
    api = site.program()
    url = create(api, 10)
    send(api, url, 0, b"01234")
    assert api.delete(url, headers=TUS).status_code == 204
    assert api.head(url, headers=TUS).status_code == 404
    assert site.files() == []
    url = create(api, len(clip))
    assert send(api, url, 0, clip).status_code == 204
    assert api.delete(url, headers=TUS).status_code == 204
    assert Recording.objects.count() == len(site.files()) == 1


def test_of_two_pieces_at_once_one_wins(site: Site) -> None:
    api = site.program()
    url = create(api, 3 * MIB)
    answers: list[httpx.Response] = []
    both = [threading.Thread(target=lambda: answers.append(send(api, url, 0, bytes(MIB)))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(answer.status_code for answer in answers) in ([204, 409], [204, 423])
    assert offset(api, url) == MIB
    with Upload.objects.get().part.open("r+b") as part:  # another process is writing
        fcntl.flock(part, fcntl.LOCK_EX)
        assert code(send(api, url, MIB, b"x")) == (423, "upload_busy")
        assert code(api.delete(url, headers=TUS)) == (423, "upload_busy")
    assert send(api, url, MIB, b"x").status_code == 204


def test_the_same_bytes_can_be_reused(site: Site, clip: bytes) -> None:
    api = site.program()
    for _ in range(2):
        answer = send(api, create(api, len(clip), duplicate="reuse"), 0, clip)
        assert answer.headers["Stile-Recording"] == str(Recording.objects.get().pk)
    assert len(site.files()) == 1


def test_what_goes_wrong_at_the_end_can_be_tried_again(
    site: Site, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = site.program()
    url = create(api, len(clip))
    with monkeypatch.context() as broken:

        def queue_transcription(recording: Recording) -> None:
            raise RuntimeError("the database went away")

        broken.setattr("recordings.intake.uploads.queue_transcription", queue_transcription)
        assert send(api, url, 0, clip).status_code == 500
    assert not Recording.objects.exists()
    assert offset(api, url) == len(clip)
    assert api.get(url).json()["recording"] == Recording.objects.get().pk
    assert len(site.files()) == 1


def test_a_client_that_leaves_before_the_answer_finds_its_recording(
    site: Site, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, entered, go_on = uploads.accept_upload, threading.Event(), threading.Event()

    async def slow(*args: Any, **kwargs: Any) -> tuple[Recording, bool]:
        entered.set()
        await asyncio.to_thread(go_on.wait)
        return await accept(*args, **kwargs)

    monkeypatch.setattr("recordings.intake.tus.completing.accept_upload", slow)
    api = site.program()
    url = create(api, len(clip))
    with pytest.raises(httpx.ReadTimeout):
        api.patch(url, content=clip, headers=PIECE | {"Upload-Offset": "0"}, timeout=SENT_WITHIN)
    assert entered.wait(PATIENCE)
    assert offset(api, url) == len(clip)
    assert code(api.get(url)) == (423, "upload_busy")
    go_on.set()
    found = wait_for(lambda: api.head(url, headers=TUS).headers.get("Stile-Recording"), "the recording")
    assert found == str(Recording.objects.get().pk)
    wait_for(lambda: len(site.files()) == 1, "the end of the part")  # no request is left that one could wait for


def test_a_person_with_too_much_in_line_keeps_the_upload_until_there_is_room(
    site: Site, clip: bytes, settings: LazySettings
) -> None:
    settings.USER_MAX_QUEUED = 1
    api = site.program()
    assert send(api, create(api, len(clip)), 0, clip).status_code == 204
    url = create(api, len(clip))
    assert send(api, url, 0, clip).status_code == 429
    assert offset(api, url) == len(clip)
    Transcription.objects.update(status=Transcription.Status.DONE)
    assert api.get(url).json()["recording"] == Recording.objects.latest("pk").pk
    assert Recording.objects.count() == 2


def test_uploads_expire_with_their_parts(site: Site, settings: LazySettings, clip: bytes) -> None:
    api = site.program()
    old, live = create(api, 10), create(api, 10)
    answer = send(api, old, 0, b"01234")
    assert "Upload-Expires" in answer.headers
    Upload.objects.filter(pk=old.rpartition("/")[2]).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert api.head(old, headers=TUS).status_code == 404
    (settings.MEDIA_ROOT / "originals").mkdir(parents=True)
    call_command("prune", "--yes", stdout=io.StringIO())
    assert site.files() == [f"incoming/{live.rpartition('/')[2]}.part"]
    Upload.objects.update(expires_at=timezone.now())
    remove_expired()
    assert site.files() == []
    assert not Upload.objects.exists()


def test_a_full_disk_costs_nothing_that_had_come(small_disk: Path) -> None:
    silent_wav(small_disk / "silence.wav", 240)
    sound = (small_disk / "silence.wav").read_bytes()
    (small_disk / "silence.wav").unlink()
    half = len(sound) // 2
    with Product(small_disk, ASR_API_URL="http://127.0.0.1:9/v1") as product, product.client() as api:
        url = create(api, len(sound))
        assert send(api, url, 0, sound[:half]).status_code == 204
        fill(small_disk / "ballast")
        assert code(send(api, url, half, sound[half:])) == (507, "disk_full")  # while the piece itself is received
        with (small_disk / "ballast").open("r+b") as ballast:
            ballast.truncate(ballast.seek(0, 2) - half - 256 * KIB)
        assert code(send(api, url, half, sound[half:])) == (507, "disk_full")  # while it is added to the others
        assert offset(api, url) == half
        (small_disk / "ballast").unlink()
        last = send(api, url, half, sound[half:])
        assert last.status_code == 204
        (kept,) = (small_disk / "media/originals").iterdir()
        assert kept.read_bytes() == sound
        assert list((small_disk / "incoming").iterdir()) == []


@pytest.mark.slow
def test_a_gigabyte_comes_through_a_bad_network_to_a_server_that_is_killed(tmp_path: Path, clip: bytes) -> None:
    """The client is the tus project's own for Python, unchanged."""
    file = gigabyte(tmp_path / "long.wav", clip)
    with (
        Product(tmp_path / "data", ASR_API_URL="http://127.0.0.1:9/v1") as product,
        product.client() as api,
        BadNetwork(product) as network,
    ):
        client = TusClient(f"{network.url}/api/uploads", headers={"Authorization": api.headers["Authorization"]})
        metadata = {"filename": file.name, "transcribe": "false"}
        ways: dict[str, Any] = {"chunk_size": BIG_PIECE, "retries": 3, "retry_delay": 0.1}
        uploader = client.uploader(str(file), metadata=metadata, **ways)
        for until in (40 * BIG_PIECE, 90 * BIG_PIECE):
            uploader.upload(stop_at=until)
            product.kill()
            product.start()
            uploader = client.uploader(str(file), url=uploader.url, **ways)
            assert uploader.offset == until
        uploader.upload()
        (recording,) = api.get("/api/recordings").json()["items"]
        network.check()
    (kept,) = (path for path in product.data_dir.glob("media/originals/**/*") if path.is_file())
    assert recording["bytes"] == file.stat().st_size
    assert digest(kept) == digest(file)
    assert list((product.data_dir / "incoming").iterdir()) == []


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
