"""How jobs stand, and when they will be done: no estimate without evidence, and none that is far off."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import anyio
import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts.lanes import WorkLane
from recordings.work.jobs import SHORT_SECONDS
from recordings.work.line import QueuedJob
from recordings.work.places import EVIDENCE, estimates, job_states, standing, work_until_done
from tests.support.calls import WAV
from tests.support.rows import recording, transcribed
from tests.support.virtual_server import PacedServer, virtual_client
from tests.support.virtual_time import VirtualLoop
from transcription import service
from transcription.learnt import Gain, Learnt
from transcription.limit import AdaptiveLimit, FixedLimit, Limit, Sample
from transcription.monitor.capacity import Capacity, capacity
from transcription.request import AsrRequest, CallOptions
from transcription.sentence import Sentence
from transcription.snapshot import Calls, GateSnapshot, LineSnapshot, ProfileSnapshot, ServerSnapshot, Snapshot
from transcription.station import Station

STRETCH = 30.0  # seconds of audio for each call
PACE = 1 / 20  # seconds of computation for a second of audio
LOOK = 0.5  # seconds between two looks whether a job may start
AWAY = Sentence("The Whisper server cannot be reached.")


# --- in virtual time: hours of work in no time ------------------------------------------------------


class SharedServer(PacedServer):
    """A server that computes `fits` calls beside each other; with more, each of them takes longer."""

    fits = 3

    async def _computes(self, request: Any) -> float:
        return await super()._computes(request) * max(1.0, self.computing / self.fits)


@dataclass
class Job:
    """A recording of so many seconds. It is done at `ended`."""

    pk: int
    owner: int
    seconds: float
    done: float = 0.0
    started: bool = False
    ended: float | None = None

    @property
    def lane(self) -> WorkLane:
        return "interactive" if self.seconds <= SHORT_SECONDS else "batch"

    def left(self) -> QueuedJob:
        return QueuedJob(self.pk, self.lane, self.owner, self.seconds - self.done)


async def history(jobs: list[Job], limit: Limit) -> list[tuple[float, dict[int, float]]]:
    """Do all jobs, as the runner and the gate do. Returns the estimates every few seconds, from the end of the third
    job on, each with its time."""
    loop = asyncio.get_running_loop()
    client = virtual_client([SharedServer(PACE)], limit)
    limiters = {(job.owner, job.lane): anyio.CapacityLimiter(1) for job in jobs}

    async def stretch(job: Job, end: float) -> None:
        limiter = limiters[job.owner, job.lane]
        limiter.total_tokens = limit.limit
        async with limiter:
            request = AsrRequest(WAV, STRETCH, prompt=f"{STRETCH}")
            await client.call_remote_asr_api(request, CallOptions(job.lane, job.owner, durable=True))
        job.done = max(job.done, end)

    async def run(job: Job) -> None:
        under_way: set[asyncio.Task[None]] = set()
        for number in range(int(job.seconds / STRETCH)):
            while len(under_way) > limit.limit:
                _, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            under_way.add(asyncio.create_task(stretch(job, STRETCH * (number + 1))))
        await asyncio.gather(*under_way)
        job.ended = loop.time()

    shown, tasks = [], []
    while any(job.ended is None for job in jobs):
        for job in jobs:
            busy = [each for each in jobs if each.started and each.ended is None]
            beside = sum((each.owner, each.lane) == (job.owner, job.lane) for each in busy)
            if not job.started and beside < limit.limit:
                job.started = True
                tasks.append(asyncio.create_task(run(job)))
        if sum(job.ended is not None for job in jobs) >= EVIDENCE:
            now = [job.left() for job in jobs if job.started and job.ended is None]
            waiting = [job.left() for job in jobs if not job.started]
            shown.append((loop.time(), estimates(now, waiting, capacity(client.snapshot()))))
        await asyncio.sleep(LOOK)
    await asyncio.gather(*tasks)
    await client.aclose()
    return shown[::4]


@pytest.mark.parametrize("limit", [1, 2, "auto"])
def test_no_estimate_is_off_by_more_than_two_times(limit: int | str) -> None:
    """Two people with the same recordings of 1, 10 and 60 minutes. What the stretches in hand take is not counted: an
    estimate moves when a call is answered, and a job has one stretch more in hand than there are permits."""
    made: Limit = AdaptiveLimit(ceiling=None) if limit == "auto" else FixedLimit(cast(int, limit))
    people = [(60.0 * minutes, owner) for minutes in (1, 1, 10, 60) for owner in (1, 2)]
    jobs = [Job(pk, owner, seconds) for pk, (seconds, owner) in enumerate(people)]
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        shown = runner.run(history(jobs, made))
    ends = {job.pk: job.ended or 0.0 for job in jobs}
    in_hand = 2 * (made.limit + 1) * STRETCH * PACE / min(made.limit, SharedServer.fits)
    pairs = [(pk, when, eta, ends[pk] - when) for when, etas in shown for pk, eta in etas.items()]
    off = [pair for pair in pairs if abs(pair[2] - pair[3]) > in_hand and not 0.5 <= pair[2] / pair[3] <= 2]
    assert len(pairs) > 50
    assert not off


# --- what servers do, in figures for people ----------------------------------------------------------

LEARNT = Learnt(home=2, throughput=40.0, failed=None, gains=(Gain(2, 3, 0.0, 9.0),), inherited="none")
GATE = GateSnapshot(
    name="gpu:8000",
    ceiling=None,
    limit=2,
    active=2,
    queued=0,
    abandoned=0,
    peak=4,
    lanes={},
    waits=(),
    services=(1.0,) * 9,
    audio=(20.0,) * 9,
    rate=40.0,
    changes=(),
    learnt=LEARNT,
    advice=None,
    live_share=None,
    live_home=None,
    live_target_missed=False,
)
NOT_DONE = replace(LEARNT, gains=(Gain(1, 2, 1.0, 9.0),))


def snapshot(*servers: tuple[GateSnapshot, Sentence | None]) -> Snapshot:
    profile = ProfileSnapshot(Sentence("Not asked yet."), False, None, "http://gpu:8000/v1", "large-v3", (), "json")
    described = [ServerSnapshot("", gate, "closed", trouble, "", None, None, 0, profile) for gate, trouble in servers]
    return Snapshot(Calls(), LineSnapshot(0, 100, {}), tuple(described))


def fixed(**fields: Any) -> GateSnapshot:
    return replace(GATE, learnt=None, **fields)


@pytest.mark.parametrize(
    ("servers", "permits", "out", "rate"),
    [
        ([(GATE, None)], 2, 2, 40.0),
        ([(replace(GATE, limit=3, active=3), None)], 2, 2, 40.0),  # it tries a higher limit
        ([(replace(GATE, limit=1, active=1), None)], 2, 2, 40.0),  # it tries a lower one, and all its permits are out
        ([(replace(GATE, limit=1, active=0), None)], 2, 0, 40.0),
        ([(replace(GATE, active=0, abandoned=2), None)], 2, 2, 40.0),
        ([(replace(GATE, live_share=1), None)], 2, 2, 20.0),
        ([(replace(GATE, learnt=NOT_DONE), None)], 2, 2, None),  # it climbs for the first time
        ([(replace(GATE, learnt=NOT_DONE, ceiling=2), None)], 2, 2, 40.0),
        ([(replace(GATE, learnt=replace(NOT_DONE, failed=3)), None)], 2, 2, 40.0),
        ([(replace(GATE, learnt=NOT_DONE, services=(1.0,) * 128), None)], 2, 2, 40.0),
        ([(fixed(active=1), None)], 2, 1, 40.0),
        ([(fixed(rate=None), None)], 2, 2, None),
        ([(GATE, None), (fixed(limit=4, active=0, rate=9.0), None)], 6, 2, 49.0),
        ([(GATE, None), (fixed(limit=4, active=0, rate=9.0), AWAY)], 2, 2, 40.0),
        ([(GATE, AWAY)], 2, 2, None),
    ],
)
def test_figures_for_people_follow_what_was_learnt_and_not_the_limit_of_the_moment(
    servers: list[tuple[GateSnapshot, Sentence | None]], permits: int, out: int, rate: float | None
) -> None:
    found = capacity(snapshot(*servers))
    assert (found.permits, found.out, found.rate) == (permits, out, rate)
    assert (found.away is None) is any(trouble is None for _, trouble in servers)


def test_a_rate_is_measured_at_home_and_stays_while_the_limit_tries_others() -> None:
    station = Station("gpu", FixedLimit(2))
    for number in range(20):
        station.learn(Sample(number, number + 1.0, 20.0, 1 + number % 2, "ok", 2))
    assert station.rate == pytest.approx(40.0)
    for number in range(20, 40):
        station.learn(Sample(number, number + 3.0, 20.0, 6, "ok", 6))
    assert station.rate == pytest.approx(40.0)


@pytest.mark.parametrize(
    ("jobs", "permits", "states"),
    [
        (["batch"], 1, ["transcribing"]),
        (["batch", "batch"], 2, ["transcribing"] * 2),
        (["batch", "batch"], 1, ["taking turns"] * 2),
        (["batch", "interactive"], 1, ["taking turns", "transcribing"]),
        (["batch", "batch", "interactive"], 2, ["taking turns", "taking turns", "transcribing"]),
        (["interactive", "interactive", "batch"], 1, ["taking turns"] * 3),
    ],
)
def test_no_more_rows_say_that_they_transcribe_than_there_are_permits(
    jobs: list[str], permits: int, states: list[str]
) -> None:
    able = Capacity(permits, permits, None, None, None)
    queued = [QueuedJob(pk, lane, 1, 60.0) for pk, lane in enumerate(jobs)]
    assert [job_states(queued, able)[pk] for pk in range(len(jobs))] == states
    away = replace(able, away=AWAY)
    assert set(job_states(queued, away).values()) == {"halted"}


def test_jobs_that_were_started_under_a_higher_limit_share_what_there_is() -> None:
    jobs = [QueuedJob(1, "batch", 7, 60.0), QueuedJob(2, "batch", 7, 60.0), QueuedJob(3, "batch", 7, 30.0)]
    assert work_until_done(jobs, 1, started={1, 2}) == {1: 120.0, 2: 120.0, 3: 150.0}


# --- what pages and programs are told ----------------------------------------------------------------


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets the product believe that its servers are in this state."""

    def put(*described: tuple[GateSnapshot, Sentence | None]) -> None:
        monkeypatch.setattr(service, "snapshot", lambda: snapshot(*described))

    return put


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("done", "described", "shown"),
    [
        (3, (fixed(limit=1, active=1, rate=20.0), None), True),
        (2, (fixed(limit=1, active=1, rate=20.0), None), False),
        (3, (fixed(limit=1, active=1, rate=None), None), False),
        (3, (fixed(limit=1, active=1, rate=20.0), AWAY), False),
    ],
    ids=["evidence", "two jobs are done", "nothing was measured", "Whisper is away"],
)
def test_a_time_is_told_only_on_evidence_and_while_whisper_is_there(
    done: int, described: Any, shown: bool, servers: Callable[..., None], client: Client
) -> None:
    """In the library, on the page of the recording and in the API."""
    servers(described)
    for number in range(done):
        transcribed(recording(title=f"Done {number}"), "Text.")
    working, waiting = recording(title="At work", duration=600.0), recording(title="In line", duration=20.0)
    transcribed(working, status="transcribing", seconds_done=60.0)
    transcribed(waiting, status="queued")
    client.force_login(User.objects.get(username="mei"))
    etas = [item["transcription"]["eta_seconds"] for item in client.get("/api/recordings").json()["items"][:2]]
    assert etas == ([28.0, 27.0] if shown else [None, None])
    for address in ("/", "/rail?row=" + str(working.pk), f"/recordings/{working.pk}", f"/recordings/{waiting.pk}"):
        page = client.get(address).content.decode()
        assert ("less than a minute" in page) is shown, address
    away = described[1] is not None
    words = client.get(f"/recordings/{working.pk}").content.decode()
    assert ("Transcribing 10%" in words) is not away
    assert ("Waiting for Whisper · 10%" in words) is away
    assert ("The Whisper server cannot be reached. Nothing is lost: work goes on by itself" in words) is away
    rail = client.get("/rail").content.decode()
    assert "1 of 1 permit out" in rail
    assert "1 waiting" in rail


@pytest.mark.django_db
def test_a_rail_says_that_recordings_take_turns(servers: Callable[..., None], client: Client) -> None:
    servers((fixed(limit=1, active=1), None))
    for owner in ("mei", "jonas"):
        transcribed(recording(owner), status="transcribing", seconds_done=6.0)
    client.force_login(User.objects.get(username="mei"))
    page = client.get("/").content.decode()
    assert "1 of 1 permit out · 2 recordings take turns" in page
    assert "Taking turns · 10%" in page
    assert "Transcribing" not in page
    assert standing().at_work == 2
