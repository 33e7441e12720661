"""A job or a copy whose process dies three times without progress fails with a reason, and is not tried again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from recordings.models import LooseFile, Recording, Transcription, copy_name
from recordings.work.jobs import acancel_transcription, aqueue_transcription
from recordings.work.line import QueuedJob, in_line
from recordings.work.runner import Runner, _put_back, _trust
from recordings.work.transcribing import run_transcription
from tests.support.audio_files import RATE
from tests.support.copies import copies_made, eventually, wanting
from tests.support.jobs import CLIPS, finished, jobs_running, recording, someone, whisper_at
from tests.support.processes import decoders
from tests.support.product import Product, query, transcribed, upload
from tests.support.waiting import PATIENCE, until, wait_for
from tests.support.whisper_stub import WhisperStub
from transcription.audio import apart, wav


def noise(minutes: float) -> bytes:
    """A WAV file of noise: it takes a while to decode, and has no speech."""
    samples = np.random.default_rng(1).integers(-3000, 3000, round(minutes * 60 * RATE)).astype(np.int16)
    return b"".join(wav(samples))


@asynccontextmanager
async def decoders_dying(most: int = 1000) -> AsyncIterator[list[int]]:
    """Kill the first `most` decoder processes as soon as they start. Yields the list of their ids, which grows."""
    await apart.network_closed()
    await until(lambda: not decoders())
    killed: list[int] = []
    fork = apart._ForkServerProcess.fork

    def fork_and_kill(server: apart._ForkServerProcess, *files: Any) -> None:
        fork(server, *files)
        if len(killed) < most:
            child = wait_for(lambda: [one for one in decoders() if one.pid not in killed], "the child", every=0.001)[0]
            child.kill()
            killed.append(child.pid)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apart._ForkServerProcess, "fork", fork_and_kill)
        yield killed


@pytest.mark.django_db(transaction=True)
async def test_a_job_whose_decoder_dies_three_times_fails_with_a_reason_and_is_left_alone() -> None:
    with WhisperStub() as stub, whisper_at(stub):
        made = await recording(await someone(), noise(3))
        async with decoders_dying() as killed, jobs_running():
            job = await finished(await aqueue_transcription(made))
            assert (job.status, job.error_code) == ("failed", "crashed_decoder")
            assert len(killed) == 3
            assert await in_line() == []


@pytest.mark.django_db(transaction=True)
async def test_a_job_whose_decoder_dies_twice_is_done_all_the_same() -> None:
    with WhisperStub() as stub, whisper_at(stub):
        made = await recording(await someone())
        async with decoders_dying(2) as killed, jobs_running():
            job = await finished(await aqueue_transcription(made))
    assert (job.status, job.segments_done, job.crashes, len(killed)) == ("done", CLIPS, 0, 2)


@pytest.mark.django_db(transaction=True)
async def test_after_such_a_failure_a_new_request_makes_a_new_job() -> None:
    with WhisperStub() as stub, whisper_at(stub):
        made = await recording(await someone())
        await Transcription.objects.acreate(recording=made, status="failed", error_code="crashed_decoder", crashes=3)
        async with jobs_running():
            assert (await finished(await aqueue_transcription(made))).status == "done"


def held(made: Recording, crashes: int) -> Transcription:
    """A job at work, as a killed process leaves it."""
    return Transcription(recording=made, status="transcribing", held=True, started_at=timezone.now(), crashes=crashes)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("before", "status"), [(1, "done"), (2, "failed")])
async def test_the_end_of_the_whole_process_counts_too(before: int, status: str) -> None:
    with WhisperStub() as stub, whisper_at(stub):
        job = held(await recording(await someone()), before)
        await job.asave()
        async with jobs_running():
            await finished(job)
    assert (job.status, len(stub.received)) == (status, CLIPS if status == "done" else 0)


def _more_than(stub: WhisperStub, number: int) -> bool:
    return len(stub.received) > number


@pytest.mark.django_db(transaction=True)
async def test_a_process_that_stops_cleanly_counts_for_nothing_however_often() -> None:
    with WhisperStub(seconds=0.5) as stub, whisper_at(stub):
        job = await aqueue_transcription(await recording(await someone()))
        for number in range(4):
            running = asyncio.create_task(run_transcription(job.pk))
            await until(partial(_more_than, stub, number))
            running.cancel()
            await asyncio.wait({running})
            await _put_back()  # as the next start does
        async with jobs_running():
            assert (await finished(job)).status == "done"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("seconds", "crashes"), [(61, 0), (30, 1)])
async def test_a_job_that_waits_for_whisper_is_not_blamed_for_the_end_of_its_process(
    seconds: int, crashes: int
) -> None:
    job = held(await recording(await someone()), 0)
    job.started_at = timezone.now() - timedelta(seconds=seconds)
    await job.asave()
    await _trust()  # as the runner does every few seconds
    await _put_back()
    await job.arefresh_from_db()
    assert (job.status, job.crashes) == ("queued", crashes)


@pytest.mark.django_db(transaction=True)
async def test_a_job_that_gets_further_each_time_is_no_suspect() -> None:
    with WhisperStub(seconds=0.2) as stub, whisper_at(stub):
        job = held(made := await recording(await someone()), 1)
        await job.asave()
        async with jobs_running():
            await until(lambda: len(stub.received) == 2)
            await job.arefresh_from_db()
            assert job.crashes == 0
            await acancel_transcription(made)


@pytest.mark.django_db(transaction=True)
async def test_suspects_run_one_at_a_time_beside_the_others_until_they_are_cleared() -> None:
    jobs = [QueuedJob(pk, "batch", pk, 60.0, crashes) for pk, crashes in enumerate([1, 2, 0, 1, 0])]
    begun, ends = list[int](), [asyncio.Event() for _ in jobs]

    async def line() -> list[QueuedJob]:
        return [job for job in jobs if job.pk not in begun]

    async def run_job(pk: int, *_: object) -> None:
        begun.append(pk)
        await ends[pk].wait()

    runner = Runner()
    running = asyncio.create_task(runner.run(line, run_job, lambda: 1))
    await until(lambda: begun == [0, 2, 4])
    runner.clear(0)
    await until(lambda: begun == [0, 2, 4, 1])
    ends[1].set()
    await until(lambda: begun == [0, 2, 4, 1, 3])
    runner.stop()
    for end in ends:
        end.set()
    await running


@pytest.mark.django_db(transaction=True)
async def test_a_copy_whose_process_dies_three_times_is_given_up_and_others_are_made(
    amr: Path,
    stored: Path,
) -> None:
    made = await wanting(amr)
    async with decoders_dying(3) as killed, copies_made():
        await until(lambda: len(killed) == 3)
        await eventually(await wanting(amr))
    assert not await LooseFile.objects.aexists()
    await made.arefresh_from_db()
    assert not made.playable


@pytest.mark.django_db(transaction=True)
async def test_stopping_in_the_midst_of_a_copy_counts_for_nothing(stored: Path, tmp_path: Path) -> None:
    (tmp_path / "long.wav").write_bytes(noise(3))
    await wanting(tmp_path / "long.wav")
    for _ in range(4):
        async with copies_made(), asyncio.timeout(PATIENCE):
            while not await LooseFile.objects.filter(crashes=1).aexists():  # noqa: ASYNC110 it happens in a database
                await asyncio.sleep(0.01)
        assert await LooseFile.objects.filter(crashes=0).acount() == 1


@pytest.mark.django_db(transaction=True)
async def test_one_persons_copies_hold_up_nobody_elses(stored: Path, tmp_path: Path, amr: Path) -> None:
    (tmp_path / "long.wav").write_bytes(noise(20))
    for _ in range(2):
        await wanting(tmp_path / "long.wav")
    async with copies_made():
        while not await LooseFile.objects.filter(crashes=1).aexists():  # noqa: ASYNC110 it happens in a database
            await asyncio.sleep(0.01)
        other = await recording(await someone("jonas"), await asyncio.to_thread(amr.read_bytes))
        await LooseFile.objects.acreate(name=copy_name(other.pk))
        await eventually(other)
        assert await LooseFile.objects.acount() == 2


def test_a_job_during_which_the_server_is_killed_three_times_is_left_alone_by_the_fourth(
    clip: bytes,
    tmp_path: Path,
) -> None:
    (tmp_path / "a.wav").write_bytes(clip)
    with (
        WhisperStub(seconds=1000) as stub,
        Product(tmp_path / "data", ASR_API_URL=stub.url) as product,
        product.client() as api,
    ):
        pk = upload(api, tmp_path / "a.wav")["id"]
        for attempts in (1, 2, 3):
            wait_for(partial(_begun, product.data_dir, attempts), "the job at work")
            product.kill()
            product.start()
        recording = transcribed(api, pk)
        assert recording["status"] == "failed"
        assert recording["transcription"]["error"]["code"] == "crashed_decoder"
        assert "broke down" in recording["transcription"]["error"]["message"]


def _begun(folder: Path, attempts: int) -> bool:
    return query(folder, "SELECT attempts FROM recordings_transcription") == [(attempts,)]
