"""Jobs while the product is stopped, the disk is full, the database is locked, the clock jumps, or a person cancels."""

import sqlite3
import threading
import time
from contextlib import closing, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
from django.utils import timezone

from recordings.models import Recording, Transcription
from recordings.work.jobs import acancel_transcription, aqueue_transcription
from tests.support.audio_files import silent_wav
from tests.support.disks import fill
from tests.support.jobs import CLIPS, finished, jobs_running, recording, someone, speech_with_pauses, whisper_at
from tests.support.processes import decoders, open_files, processes
from tests.support.product import Product, query, transcribed, upload
from tests.support.site import Site
from tests.support.waiting import until, wait_for
from tests.support.whisper_stub import WhisperStub
from transcription import service
from transcription.audio import wav_header

LOCKED = 30.0  # seconds: longer than the 20 after which a connection gives up waiting for the lock


@pytest.fixture
def five(tmp_path: Path) -> Path:
    """A file of five segments."""
    path = tmp_path / "five.wav"
    path.write_bytes(speech_with_pauses())
    return path


def decoders_of(product: Product) -> list[psutil.Process]:
    """The product's decoder processes: the children of its one child."""
    with suppress(psutil.NoSuchProcess):
        return [one for child in psutil.Process(product.process.pid).children() for one in child.children()]
    return []


def test_a_server_that_is_stopped_takes_no_new_work_and_loses_none(five: Path, tmp_path: Path) -> None:
    with WhisperStub(seconds=0.5) as stub:
        product = Product(tmp_path / "data", ASR_API_URL=stub.url, ASR_MAX_CONCURRENT="2")
        product.start()
        with product.client() as api:
            ids = [upload(api, five)["id"] for _ in range(4)]
            wait_for(lambda: stub.finished > 2, "some segments")
            product.stop()
            committed = query(product.data_dir, "SELECT count(*) FROM recordings_segment")[0][0]
            assert committed == stub.finished == len(stub.received) < 4 * CLIPS  # all that was under way was kept
            assert processes(product.data_dir) == []
            with product:
                assert [transcribed(api, pk)["status"] for pk in ids] == ["done"] * 4
        assert len(stub.received) == 4 * CLIPS


def test_a_server_stops_and_a_job_is_canceled_at_once_in_the_middle_of_an_hour_of_silence(tmp_path: Path) -> None:
    silent_wav(tmp_path / "silence.wav", 3600)
    with WhisperStub() as stub:
        product = Product(tmp_path / "data", ASR_API_URL=stub.url)
        product.start()
        with product.client() as api:
            pk = upload(api, tmp_path / "silence.wav")["id"]
            for stopped in (False, True):
                for decoder in wait_for(partial(decoders_of, product), "the process that reads the file"):
                    decoder.suspend()  # so that it does not end by itself
                if stopped:
                    product.stop()
                else:
                    assert api.post(f"/api/recordings/{pk}/cancel").json()["status"] == "canceled"
                    wait_for(lambda: not decoders_of(product), "the end of the process")
                    api.post(f"/api/recordings/{pk}/transcribe")


def test_a_full_disk_is_told_to_the_person_and_waited_out_by_the_job(five: Path, small_disk: Path) -> None:
    with (
        WhisperStub(seconds=0.3) as stub,
        Product(small_disk, ASR_API_URL=stub.url) as product,
        product.client() as api,
    ):
        pk = upload(api, five)["id"]
        wait_for(lambda: stub.finished, "the first segment")
        fill(small_disk / "ballast")
        with five.open("rb") as file:
            refused = api.post("/api/recordings", files={"file": ("five.wav", file)})
        assert (refused.status_code, refused.json()["error"]["code"]) == (507, "disk_full")
        time.sleep(2)
        (small_disk / "ballast").unlink()
        assert transcribed(api, pk)["status"] == "done"
        assert len(list((small_disk / "media/originals").iterdir())) == 1
        assert list((small_disk / "incoming").iterdir()) == []
    assert len(stub.received) == CLIPS  # what Whisper had answered was kept until there was room


@pytest.mark.slow
def test_a_locked_database_is_waited_out(five: Path, tmp_path: Path) -> None:
    with WhisperStub(seconds=0.1) as stub, Product(tmp_path / "data", ASR_API_URL=stub.url) as product:  # noqa: SIM117
        with product.client() as api, closing(sqlite3.connect(product.data_dir / "stile.sqlite3")) as other:
            pk = upload(api, five)["id"]
            wait_for(lambda: stub.finished, "the first segment")
            other.execute("BEGIN IMMEDIATE")
            locked = time.monotonic()
            assert api.get(f"/api/recordings/{pk}").status_code == 200  # reading goes on
            refused = api.post(f"/api/recordings/{pk}/cancel")
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "database_unavailable")
            time.sleep(max(0.0, locked + LOCKED - time.monotonic()))
            other.rollback()
            assert transcribed(api, pk)["status"] == "done"
    assert len(stub.received) == CLIPS


@pytest.mark.django_db(transaction=True)
async def test_a_clock_that_is_set_back_changes_no_order_and_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    past = datetime.now().astimezone() - timedelta(days=1)
    with WhisperStub(seconds=0.1) as stub, whisper_at(stub):
        mei = await someone()
        async with jobs_running():
            jobs = [await aqueue_transcription(await recording(mei))]
            await until(lambda: stub.finished > 0)
            monkeypatch.setattr(timezone, "now", lambda: past)
            monkeypatch.setattr(time, "time", past.timestamp)
            jobs.append(await aqueue_transcription(await recording(mei)))
            for job in jobs:
                await finished(job)
    assert [job.status async for job in Transcription.objects.order_by("pk")] == ["done", "done"]
    assert [index async for index in jobs[0].segments.values_list("index", flat=True)] == list(range(CLIPS))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", ["queued", "at the gate", "in the exchange"])
async def test_a_cancel_is_over_at_once_and_its_permit_comes_back(moment: str) -> None:
    with WhisperStub() as stub, whisper_at(stub):
        stub.hold()
        jonas, mei = await someone("jonas"), await someone("mei")
        async with jobs_running() as runner:
            if moment != "in the exchange":
                await aqueue_transcription(await recording(jonas if moment == "at the gate" else mei))
                await until(lambda: stub.computing == 1)
            job = await aqueue_transcription(made := await recording(mei))
            if moment == "at the gate":
                await until(lambda: service.snapshot().servers[0].gate.queued >= 1)
            elif moment == "in the exchange":
                await until(lambda: stub.computing == 1)
            await acancel_transcription(made)
            await job.arefresh_from_db()
            assert job.status == "canceled"
            await until(lambda: job.pk not in runner._tasks)
            stub.let_go()
            for other in [other async for other in Recording.objects.all()]:
                await acancel_transcription(other)
            await until(lambda: service.snapshot().servers[0].gate.active == 0)
    assert stub.peak == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("segments", [3, 20])
async def test_a_cancel_in_the_midst_of_decoding_speech_is_over_at_once(segments: int) -> None:
    speech = speech_with_pauses()[44:] * 30  # half an hour; the server answers at once, so decoding is what takes time
    with WhisperStub(seconds=0) as stub, whisper_at(stub):
        async with jobs_running() as runner:
            made = await recording(await someone(), wav_header(len(speech)) + speech)
            job = await aqueue_transcription(made)
            await until(lambda: len(stub.received) >= segments)
            assert made.original.path in open_files()
            for decoder in decoders():
                decoder.suspend()  # so that it does not end by itself
            await acancel_transcription(made)
            await until(lambda: job.pk not in runner._tasks and made.original.path not in open_files())
            await job.arefresh_from_db()
            assert job.status == "canceled"


def test_two_requests_at_once_over_http_make_one_job(site: Site, clip: bytes) -> None:
    program = site.program()
    made = program.post("/api/recordings", files={"file": ("a.wav", clip)}, data={"transcribe": "false"}).json()
    answers: list[httpx.Response] = []
    ready = threading.Barrier(8)

    def ask() -> None:
        ready.wait()
        answers.append(program.post(f"/api/recordings/{made['id']}/transcribe"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [202] * 8
    assert {answer.json()["transcription"]["id"] for answer in answers} == {Transcription.objects.get().pk}
