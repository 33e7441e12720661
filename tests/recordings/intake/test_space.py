"""Uploads are refused before the disk or a person's quota is full, with a sentence why. A deletion always works."""

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.core.cache import cache
from websockets.exceptions import ConnectionClosed

from recordings.live.journal import SECOND
from recordings.models import LiveSession, Recording, Upload
from recordings.storage import space
from tests.support.answers import code
from tests.support.audio_files import silent_wav
from tests.support.disks import fill
from tests.support.live_client import speaking
from tests.support.product import Product, upload
from tests.support.rows import recording
from tests.support.site import Site
from tests.support.uploads import answer_to
from tests.support.whisper_stub import WhisperStub
from transcription import audio

pytestmark = pytest.mark.usefixtures("no_lingering")

MIB = 1024**2
PIECE = "application/offset+octet-stream"


@pytest.fixture(autouse=True)
def _forget() -> None:
    cache.clear()


def begun(api: httpx.Client, size: int, first: bytes = b"") -> httpx.Response:
    """Begin a resumable upload of `size` bytes, with the `first` of them."""
    name = base64.b64encode(b"a.wav").decode()
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
    return api.post("/api/uploads", content=first, headers=headers | ({"Content-Type": PIECE} if first else {}))


def free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def test_uploads_stop_before_the_disk_is_full_and_deleting_works_when_it_is(small_disk: Path, tmp_path: Path) -> None:
    reserve = 6 * MIB
    silent_wav(tmp_path / "long.wav", 120)  # 3.8 MB
    silent_wav(tmp_path / "short.wav", 60)
    with WhisperStub() as stub:
        product = Product(small_disk / "data", ASR_API_URL=stub.url, DISK_RESERVE=str(reserve))
        product.log = tmp_path / "server.log"
        with product, product.client() as api:
            kept = [upload(api, tmp_path / name, transcribe="false")["id"] for name in ("short.wav", "long.wav")]
            with (small_disk / "others").open("wb") as others:  # another program leaves 1 MiB over the reserve
                os.posix_fallocate(others.fileno(), 0, free(small_disk) - reserve - MIB)
            for refused in (
                api.post("/api/recordings", files={"file": ("a.wav", (tmp_path / "long.wav").read_bytes())}),
                begun(api, 4 * MIB),
            ):
                assert code(refused) == (507, "disk_full")
            assert free(small_disk) >= reserve  # nothing of the refused files is left
            assert api.patch(f"/api/recordings/{kept[0]}", json={"title": "All else goes on"}).status_code == 200
            assert begun(api, 1000).status_code == 201  # what fits is taken
        with product, product.client() as api:  # the restart emptied SQLite's write-ahead log: each write needs room
            fill(small_disk / "ballast")
            assert free(small_disk) == 0
            answer = api.get(f"/api/recordings/{kept[0]}")
            assert answer.status_code == 200, answer.text
            for pk in kept:
                gone = api.delete(f"/api/recordings/{pk}")
                assert gone.status_code == 204, gone.text
                assert code(api.get(f"/api/recordings/{pk}")) == (404, "not_found")
            assert list((small_disk / "data/media/originals").iterdir()) == []
            (small_disk / "ballast").unlink()
            (small_disk / "others").unlink()
            upload(api, tmp_path / "short.wav", transcribe="false")
            assert (small_disk / "data/room-for-deleting").stat().st_size == reserve  # made again


@pytest.mark.parametrize(("total", "expected"), [(64 * 1024, 3276), (24 * MIB, 24 * MIB // 20), (10**13, 256 * MIB)])
def test_the_reserve_is_a_share_of_the_disk_unless_set(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch, total: int, expected: int
) -> None:
    usage: Any = type("Usage", (), {"total": total, "free": 0})
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage)
    assert space.reserve() == expected
    settings.DISK_RESERVE = 0
    assert space.reserve() == 0


@pytest.fixture
def quota(settings: LazySettings) -> int:
    settings.USER_MAX_BYTES = 3 * MIB
    return 3 * MIB


def wav(seconds: int) -> bytes:
    return b"".join(audio.wav(np.zeros(seconds * audio.RATE, "<i2")))


def refused(answer: httpx.Response) -> str:
    assert code(answer) == (413, "quota_exceeded")
    return str(answer.json()["error"]["message"]).replace("\xa0", " ")


def test_a_person_has_so_much_room_at_every_door_and_is_told_how_much_is_used(site: Site, quota: int) -> None:
    api, sound = site.program(), wav(60)  # 1.8 MiB
    assert api.post("/api/recordings", files={"file": sound}).status_code == 201
    files = site.files()
    for answer in (
        api.post("/api/recordings", files={"file": sound}),
        begun(api, len(sound)),
        begun(api, len(sound), sound),
    ):
        assert "1.8 MB of the 3.0 MB" in refused(answer)
    said = api.post("/api/recordings", files={"file": sound}, headers={"Accept-Language": "zh-hans"})
    assert "您已使用 1.8 MB" in refused(said)
    assert (Recording.objects.count(), Upload.objects.count(), site.files()) == (1, 0, files)
    again = api.post("/api/recordings", files={"file": sound}, data={"duplicate": "reuse"})
    assert again.status_code == 200  # nothing more is stored
    assert site.program("ann").post("/api/recordings", files={"file": sound}).status_code == 201
    api.delete(f"/api/recordings/{Recording.objects.filter(owner__username='mei').get().pk}")
    assert api.post("/api/recordings", files={"file": sound}).status_code == 201


def test_a_large_body_is_refused_before_it_is_sent(site: Site, settings: LazySettings) -> None:
    settings.USER_MAX_BYTES = MIB
    head = f"POST /api/recordings HTTP/1.1\nHost: localhost\nContent-Length: {100 * MIB}\nAuthorization: "
    status, error = answer_to(site, head + site.program().headers["Authorization"] + "\n")
    assert (status, error["code"]) == (413, "quota_exceeded")


def test_what_is_announced_counts_and_an_upload_is_not_counted_twice(site: Site, quota: int) -> None:
    api, sound = site.program(), wav(50)  # 1.5 MiB
    first = begun(api, len(sound))
    assert first.status_code == 201
    refused(begun(api, quota - len(sound) + 1))
    second = begun(api, quota - len(sound))
    assert second.status_code == 201
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": PIECE}
    done = api.patch(first.headers["Location"], content=sound, headers=headers)
    assert done.status_code == 204, done.text
    assert Recording.objects.count() == 1
    refused(begun(api, 1))
    assert api.delete(second.headers["Location"], headers=headers).status_code == 204
    assert begun(api, 1).status_code == 201


def test_two_uploads_at_once_do_not_share_the_same_room(site: Site, quota: int) -> None:
    api, sound = site.program(), wav(60)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: api.post("/api/recordings", files={"file": sound}), range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 413, 413, 413]


@pytest.fixture
def api(site: Site) -> httpx.Client:
    return site.program()


@pytest.mark.usefixtures("own_sessions")
async def test_a_live_session_begins_only_where_there_is_room_and_ends_with_it(api: httpx.Client, quota: int) -> None:
    made = await sync_to_async(recording)(bytes=quota)
    async with speaking(api) as speaker:
        told = await speaker.start()
        assert (told["code"], await speaker.closed()) == ("quota_exceeded", 4413)
        assert "3.0" in told["message"]
    assert not await LiveSession.objects.aexists()
    await Recording.objects.filter(pk=made.pk).aupdate(bytes=quota - 10 * SECOND)
    async with speaking(api) as speaker:
        session = (await speaker.start())["session"]
        with suppress(ConnectionClosed):
            await speaker.say(np.zeros(16000 * 12, "<i2"))
        assert (await speaker.told_of("error"))["code"] == "quota_exceeded"
        assert await speaker.closed() == 4413
    async with speaking(api) as speaker:
        done = await speaker.start(session=session, resume=True)
        done = done if done["type"] == "done" else await speaker.told_of("done")
    kept = await Recording.objects.aget(pk=done["recording"])
    assert kept.duration == pytest.approx(10, abs=0.2)


def test_the_page_that_records_ends_a_take_where_the_room_ends(site: Site, quota: int) -> None:
    for left, seconds in ((60, 59), (0, 0)):  # the header of the WAV file needs room, too
        Recording.objects.all().delete()
        recording(bytes=quota - left * SECOND)
        page = site.browser().get("/record").text
        assert f'data-longest="{seconds}"' in page
