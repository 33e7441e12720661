"""Recordings in line and calls at the gate are counted wherever the product tells how much waits for Whisper."""

import asyncio
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from recordings.work.arrivals import LONGEST_START, Arrivals
from recordings.work.jobs import aqueue_transcription
from tests.support.jobs import jobs_running, recording, someone, whisper_at
from tests.support.product import Product
from tests.support.speech import librivox
from tests.support.waiting import until, wait_for
from tests.support.whisper_stub import WhisperStub, said
from transcription import service
from transcription.monitor import history
from transcription.monitor.stats import monitor_stats

STATS = "/api/recordings/stats/asr-concurrency"


class Site:
    """A product with a limit of `limit` permits, and a Whisper stub that answers when a test lets it."""

    def __init__(self, product: Product, stub: "PatientStub", limit: int) -> None:
        self.product, self.stub, self.limit = product, stub, limit
        self.token = product.client().headers["Authorization"]

    def curl(self, arguments: str) -> Any:
        """Run curl as the README shows it, with a token. Returns the JSON of the answer."""
        command = ["curl", "-sS", "--max-time", "30", "-H", f"Authorization: {self.token}", *shlex.split(arguments)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def upload(self) -> None:
        self.curl(f"-F file=@{librivox()[1].path} {self.product.url}/api/recordings")

    def stats(self) -> Any:
        return self.curl(self.product.url + STATS)

    def arrivals(self) -> list[str]:
        """The lines of the log about arrivals (开始转录), without their times."""
        lines = self.product.log.read_text().splitlines()
        return [line.partition("开始转录 ")[2] for line in lines if "开始转录" in line]

    def finish(self) -> None:
        self.stub.answer(said(), 0.0)
        self.stub.let_go()
        wait_for(lambda: self.stats()["jobs"] == {"queued": 0, "transcribing": 0}, "the end of all jobs", every=0.3)


class PatientStub(WhisperStub):
    """A Whisper stub whose computations take until `let_go`."""

    def let_go(self) -> None:
        for task in list(self._computations):
            self._loop.call_soon_threadsafe(task.cancel)


@pytest.fixture(scope="module", params=[1, 2], ids=["limit 1", "limit 2"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    data, limit = tmp_path_factory.mktemp("counts"), request.param
    options = {"ASR_MAX_CONCURRENT": str(limit), "ASR_ADAPTIVE": "false", "ASR_RETRY_DELAY": "0.01"}
    with PatientStub() as stub, Product(data, ASR_API_URL=stub.url, METRICS_ALLOWED="127.0.0.1", **options) as product:
        yield Site(product, stub, limit)


@pytest.mark.parametrize("recordings", [2, 3, 10])
def test_every_recording_that_waits_is_counted_and_told_in_the_log(site: Site, recordings: int) -> None:
    before = len(site.arrivals())
    site.stub.answer(said(), 3600)
    for _ in range(recordings):
        site.upload()
    limit, waiting = site.limit, max(0, recordings - site.limit)
    stats = site.stats()
    assert stats["jobs"]["queued"] + stats["jobs"]["transcribing"] == recordings
    wait_for(lambda: site.stub.computing == min(limit, recordings), "the calls that fit")
    stats = site.stats()
    assert (stats["active_tasks"], stats["limit"]) == (min(limit, recordings), limit)
    assert (stats["queued_tasks"], stats["queued_calls"], stats["jobs"]["queued"]) == (waiting, 0, waiting)
    seen = metrics(site)
    assert (seen["calls"], seen["jobs"]) == (0, waiting)
    shown = site.product.manage("asr_stats")
    assert f"waiting   {waiting}: 0 calls · {waiting} recordings" in shown
    wait_for(lambda: len(site.arrivals()) - before == recordings, "the arrivals in the log")
    told = [re.sub(r"task_id=asr_job\d+ ", "", line) for line in site.arrivals()[before:]]
    assert told[limit:] == [f"active={limit}/{limit} queued={number}" for number in range(1, waiting + 1)]
    assert told[:limit] == [f"active={number}/{limit} queued=0" for number in range(1, limit + 1)]
    site.finish()
    assert len(site.arrivals()) - before == recordings  # each arrived once: its first call is no second arrival
    assert site.stats()["queued_tasks"] == 0


def metrics(site: Site) -> dict[str, float]:
    text = site.product.client().get("/metrics").text
    families = text_string_to_metric_families(text)
    waiting = next(family for family in families if family.name == "asr_waiting")
    return {sample.labels["part"]: sample.value for sample in waiting.samples}


@pytest.mark.django_db(transaction=True)
async def test_a_call_and_the_recordings_in_line_are_told_apart_everywhere(tmp_path: Path, settings: Any) -> None:
    """One person's four recordings and a call of another caller: each is counted once."""
    settings.MEDIA_ROOT = tmp_path
    mei = await someone()
    with WhisperStub(seconds=3600) as stub, whisper_at(stub, ASR_MAX_CONCURRENT="1", ASR_ADAPTIVE=False):
        async with jobs_running() as runner:
            for _ in range(4):  # each has five segments
                await aqueue_transcription(await recording(mei))
            await until(lambda: stub.computing == 1)
            call = asyncio.create_task(service.transcribe_audio(b"", seconds=1.0, lane="interactive", owner="other"))
            await until(lambda: service.snapshot().queued_calls == 1)
            await until(lambda: service.snapshot().jobs.queued == 3)
            stats = monitor_stats()
            assert (stats["queued_tasks"], stats["queued_calls"]) == (4, 1)
            assert stats["jobs"] == {"queued": 3, "transcribing": 1}
            kept = history.History()
            kept.note(1000.0, service.snapshot())
            assert kept.rows(0.0) == [history.HistoryRow(1000.0, 1, 1, 4, 1)]
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            assert monitor_stats()["queued_tasks"] == 3
            runner.stop()
            for task in runner._tasks.values():
                task.cancel()


@pytest.mark.django_db(transaction=True)
async def test_waiting_counts_from_when_the_recording_was_put_in_line(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    mei = await someone()
    with WhisperStub(seconds=0.0) as stub, whisper_at(stub, ASR_MAX_CONCURRENT="1", ASR_ADAPTIVE=False):
        job = await aqueue_transcription(await recording(mei))
        job.created_at = timezone.now() - timedelta(seconds=100)
        await job.asave()
        async with jobs_running():
            await until(lambda: stub.finished == 5)
        waits = service.snapshot().servers[0].gate.waits
        assert 100 <= waits[0] < 200
        assert max(waits[1:]) < 50  # later segments wait from when they were cut
        assert monitor_stats()["wait_seconds"]["p99"] >= 100


@pytest.mark.django_db(transaction=True)
async def test_calls_that_no_server_takes_wait_too(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    with WhisperStub() as stub, whisper_at(stub, ASR_MAX_CONCURRENT="1", ASR_ADAPTIVE=False):
        stub.stop()  # connections are refused
        async with jobs_running():
            await aqueue_transcription(await recording(await someone()))
            await until(lambda: monitor_stats()["queued_calls"] >= 1)
            stub.start()
            await until(lambda: stub.finished >= 5)
        assert monitor_stats()["queued_tasks"] == 0


class Told:
    """`Arrivals` with a clock that the test sets, and the lines that they told."""

    def __init__(self, *line: int) -> None:
        self.now, self.lines = 100.0, list[tuple[str, int]]()
        self.arrivals = Arrivals(lambda name, waiting: self.lines.append((name, waiting)), lambda: self.now)
        self.arrivals.looked(line)

    @property
    def news(self) -> list[tuple[str, int]]:
        lines, self.lines = self.lines, []
        return lines


def test_recordings_that_come_at_once_arrive_in_their_order() -> None:
    told = Told()
    told.arrivals.started(1)
    told.arrivals.looked([2, 3])
    assert told.news == []  # the first is still being read
    told.arrivals.at_gate(1)
    assert told.news == [("asr_job1", 0), ("asr_job2", 1), ("asr_job3", 2)]
    told.arrivals.ended(1)
    told.arrivals.started(2)
    told.arrivals.looked([3])
    told.arrivals.at_gate(2)
    assert told.news == []  # it has arrived before
    told.arrivals.looked([3, 4])
    assert told.news == [("asr_job4", 2)]


def test_a_job_that_makes_no_call_holds_up_no_other_arrival() -> None:
    told = Told()
    told.arrivals.started(1)
    told.arrivals.looked([2])
    told.arrivals.ended(1)  # its recording has no speech
    assert told.news == [("asr_job2", 1)]
    told.arrivals.started(3)
    told.arrivals.looked([2, 4])
    assert told.news == []
    told.now += LONGEST_START + 1  # as while hours of silence are read
    told.arrivals.looked([2, 4])
    assert told.news == [("asr_job4", 2)]
    told.arrivals.at_gate(3)
    assert told.news == [("asr_job3", 1)]


def test_what_an_earlier_process_left_in_line_does_not_arrive_again() -> None:
    told = Told(1, 2, 3)
    told.arrivals.started(1)
    told.arrivals.looked([2, 3])
    told.arrivals.at_gate(1)
    assert told.news == []
    told.arrivals.at_gate(1)  # the job runs once more, because the database was away
    told.arrivals.looked([2, 3, 9])
    assert told.news == [("asr_job9", 3)]
