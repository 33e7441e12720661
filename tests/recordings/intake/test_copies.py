"""Copies for browsers that cannot play the original: made beside the jobs, served, and never left over."""

import asyncio
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from recordings.intake import copies
from recordings.library.organising import adelete_recording
from recordings.models import LooseFile, copy_name
from tests.support.audio_files import clip, encode
from tests.support.copies import copies_made, eventually, wanting
from tests.support.processes import decoders, processes
from tests.support.product import Product, query, transcribed, upload
from tests.support.waiting import PATIENCE, until, wait_for
from tests.support.whisper_stub import WhisperStub
from transcription.audio import audio_info


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """Three minutes of sound, of which a copy takes some seconds to make."""
    return encode(tmp_path / "long.au", np.concatenate([clip()] * 25), codec="pcm_s16be")


def files(folder: Path) -> list[str]:
    found = [path for name in ("media", "incoming") for path in (folder / name).rglob("*")]
    return sorted(path.parent.name for path in found if path.is_file())


def test_a_copy_is_made_beside_the_job_and_both_are_served_and_deleted(amr: Path, tmp_path: Path) -> None:
    with WhisperStub() as stub, Product(tmp_path / "data", ASR_API_URL=stub.url) as product, product.client() as api:
        pk = upload(api, amr)["id"]
        path = f"/api/recordings/{pk}/audio"
        wait_for(lambda: api.head(path).headers["Content-Type"] == "audio/webm", "the copy", every=0.25)
        assert transcribed(api, pk)["media_type"] == "audio/amr"
        copy, original = api.get(path), api.get(path, params={"original": "true"})
        assert original.content == amr.read_bytes()
        assert original.headers["Content-Type"] == "audio/amr"
        assert original.headers["ETag"] != copy.headers["ETag"]
        assert copy.headers["Content-Disposition"] == 'inline; filename="phone.webm"'
        assert audio_info(BytesIO(copy.content), max_hours=1).codec == "opus"
        part = api.get(path, headers={"Range": "bytes=100-199", "If-Range": copy.headers["ETag"]})
        assert (part.status_code, part.content) == (206, copy.content[100:200])
        changed = api.get(path, headers={"Range": "bytes=0-9", "If-Range": original.headers["ETag"]})
        assert (changed.status_code, changed.content) == (200, copy.content)
        assert files(product.data_dir) == ["originals", "playable"]
        api.delete(f"/api/recordings/{pk}")
        assert files(product.data_dir) == []


def test_a_copy_that_a_killed_server_had_begun_is_made_by_the_next(long: Path, tmp_path: Path) -> None:
    with WhisperStub() as stub:
        product = Product(tmp_path / "data", ASR_API_URL=stub.url)
        product.start()
        with product.client() as api:
            pk = upload(api, long)["id"]
            wait_for(lambda: list((product.data_dir / "incoming").iterdir()), "the copy begun")
            product.kill()
            assert query(product.data_dir, "SELECT playable FROM recordings_recording") == [("",)]
            with product:
                path = f"/api/recordings/{pk}/audio"
                wait_for(lambda: api.head(path).headers["Content-Type"] == "audio/webm", "the copy", every=0.25)
                assert audio_info(BytesIO(api.get(path).content), max_hours=1).duration == pytest.approx(177.5, abs=0.1)
        assert files(product.data_dir) == ["originals", "playable"]
        assert query(product.data_dir, "SELECT name FROM recordings_loosefile") == []
        assert processes(product.data_dir) == []


@pytest.mark.django_db(transaction=True)
async def test_a_copy_of_what_was_deleted_meanwhile_is_not_made(long: Path, amr: Path, stored: Path) -> None:
    made = await wanting(long)
    async with copies_made(), asyncio.timeout(PATIENCE):
        await until(lambda: "incoming" in files(stored))
        await adelete_recording(made)
        await eventually(await wanting(amr))  # the copy that was under way has ended
    assert not await LooseFile.objects.aexists()
    assert files(stored) == ["originals", "playable"]


@pytest.mark.django_db(transaction=True)
async def test_stopping_in_the_middle_of_a_copy_takes_a_moment_and_leaves_nothing(long: Path, stored: Path) -> None:
    made = await wanting(long)
    async with copies_made(), asyncio.timeout(PATIENCE):
        await until(lambda: "incoming" in files(stored))
        for decoder in decoders():
            decoder.suspend()  # so that it does not end by itself
    assert files(stored) == ["originals"]
    assert [name async for name in LooseFile.objects.values_list("name", flat=True)] == [copy_name(made.pk)]


@pytest.fixture
def small_disk(stored: Path) -> Iterator[Path]:
    """The folder of unfinished uploads and copies, as a mounted disk of 64 KiB. Only root may mount it."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", stored / "incoming"], check=True)
    yield stored / "incoming"
    subprocess.run(["umount", stored / "incoming"], check=True)


@pytest.mark.django_db(transaction=True)
async def test_a_full_disk_leaves_nothing_and_is_waited_out(
    amr: Path, stored: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "CANNOT_WRITE", 0.1)
    (small_disk / "ballast").write_bytes(bytes(48 * 1024))
    made = await wanting(amr)
    async with copies_made():
        await asyncio.sleep(1)
        await made.arefresh_from_db()
        assert not made.playable
        await until(lambda: files(stored) == ["incoming", "originals"])  # the ballast and the original, nothing else
        await asyncio.to_thread((small_disk / "ballast").unlink)
        assert await eventually(made) == copy_name(made.pk)
    assert files(stored) == ["originals", "playable"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", ["gone", "damaged"])
async def test_of_a_file_that_is_gone_or_damaged_no_copy_is_wanted(amr: Path, stored: Path, fault: str) -> None:
    made = await wanting(amr)
    default_storage.delete(str(made.original.name))
    if fault == "damaged":
        default_storage.save(str(made.original.name), ContentFile(b"no sound"))
    async with copies_made():
        assert await eventually(await wanting(amr))  # copies of other recordings are made
    assert not await LooseFile.objects.aexists()
    await made.arefresh_from_db()
    assert not made.playable


@pytest.mark.django_db(transaction=True)
async def test_a_copy_that_a_killed_server_stored_but_did_not_note_is_stored_again(amr: Path, stored: Path) -> None:
    made = await wanting(amr)
    default_storage.save(copy_name(made.pk), ContentFile(b"of a server that was killed then"))
    async with copies_made():
        assert await eventually(made) == copy_name(made.pk)
    assert made.playable.size > 10_000
    assert files(stored) == ["originals", "playable"]
