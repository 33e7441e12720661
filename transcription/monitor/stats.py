"""Stats: the snapshot in the shape that the API, the monitor's page and its socket give.

The classes are the API's schemas as well: their descriptions stand in the OpenAPI document.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any

from django.utils.translation import gettext
from pydantic import Field

from transcription import service
from transcription.learnt import Inheritance, Learnt
from transcription.line import LANES
from transcription.sentence import Sentence, _
from transcription.snapshot import GateSnapshot, Jobs, Load, ServerSnapshot, Snapshot

STARTED = datetime.now(UTC)
STILL_COMPUTES = _("The Whisper server may still compute what was sent for callers that are gone. That is waited for.")


@dataclass(frozen=True, slots=True)
class Percentiles:
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class LaneStats:
    active: int
    queued: int


@dataclass(frozen=True, slots=True)
class GainStats:
    """How much more the server does with `high` calls at once than with `low`. error: the standard error of it."""

    low: int
    high: int
    percent: float
    error: float


@dataclass(frozen=True, slots=True)
class LearntStats:
    """What the limit has learnt of the server."""

    home: Annotated[int, Field(description="The limit that it trusts.")]
    throughput: Annotated[float | None, Field(description="Audio seconds per second at home.")]
    failed: Annotated[int | None, Field(description="The limit that it avoids, since calls failed there.")]
    gains: list[GainStats]
    inherited: Annotated[Inheritance, Field(description="What became of that which an earlier run had learnt.")]


@dataclass(frozen=True, slots=True)
class LoadStats:
    """Requests in the server, by its own word. foreign: those that other programs sent."""

    running: int
    waiting: int
    foreign: int


@dataclass(frozen=True, slots=True)
class ServerStats:
    name: str
    ceiling: Annotated[int | None, Field(description="The most that the limit may become; null: any number.")]
    limit: Annotated[
        int, Field(description="How many calls may be in flight. Beside live calls an adaptive limit is one higher.")
    ]
    peak: Annotated[int, Field(description="The most calls that were in flight at once under this ceiling.")]
    active: int
    queued: int
    abandoned: int
    live_share: Annotated[
        int | None,
        Field(description="How many calls of other lanes may be in flight beside live ones; null: none come."),
    ]
    live_home: Annotated[
        int | None, Field(description="How many of them were learnt to leave live calls in time; null: not learnt yet.")
    ]
    live_target_missed: Annotated[
        bool, Field(description="Whether live calls are late even while one call runs at a time.")
    ]
    breaker: str
    trouble: Annotated[str | None, Field(description="Why calls wait or fail, where that is known.")]
    said: Annotated[str, Field(description="The last words of the embedded engine, where it has ended.")]
    unreachable_seconds: float | None
    retry_in_seconds: float | None
    oom_errors: int
    realtime_factor: Annotated[float | None, Field(description="Exchange time per audio time, of late.")]
    audio_rate: Annotated[
        float | None,
        Field(description="Audio seconds per second at the level that the limit trusts: estimates count on it."),
    ]
    learnt: Annotated[LearntStats | None, Field(description="Null where the limit is fixed.")]
    load: Annotated[LoadStats | None, Field(description="Null where the server tells nothing, or is not asked now.")]
    advice: Annotated[str | None, Field(description="What to change where a fixed limit is too high.")]
    fits: Annotated[
        bool, Field(description="Whether requests can be made that the server takes; while none fits, jobs wait.")
    ]
    finding: Annotated[str, Field(description="What is known of the server, and what its administrator should do.")]
    model: Annotated[str, Field(description="The model that is asked for where nobody names another.")]
    models: Annotated[tuple[str, ...], Field(description="The models that the server says it has.")]
    response_format: str


@dataclass(frozen=True, slots=True)
class JobStats:
    queued: int
    transcribing: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts are of calls through the gate since `since`; `jobs` are recordings. `queued_tasks` is all that waits for
    Whisper: `queued_calls` + `jobs.queued`."""

    max_concurrent: int | None
    limit: int
    active_tasks: int
    queued_tasks: int
    queued_calls: int
    max_queue: int
    abandoned: int
    total_tasks: int
    completed_tasks: int
    failed_tasks: int
    rejected_tasks: int
    canceled_tasks: int
    retries: int
    oom_errors: int
    last_oom_at: datetime | None
    success_rate: Annotated[float | None, Field(description="Percent: completed / (completed + failed).")]
    bypassed_calls: int
    wait_seconds: Percentiles
    service_seconds: Percentiles
    lanes: dict[str, LaneStats]
    servers: list[ServerStats]
    jobs: JobStats
    since: datetime


def read_stats(jobs: Jobs | None = None) -> Stats:
    """The stats of this moment, their sentences in the active language.

    jobs: counts from the database. The runner's counts, which are used without them, are a few seconds old.
    """
    snapshot = service.snapshot()
    jobs = jobs or snapshot.jobs
    calls, gates = snapshot.calls, _gates(snapshot)
    judged = calls.completed + calls.failed
    ceilings = [gate.ceiling for gate in gates]
    return Stats(
        max_concurrent=None if None in ceilings else sum(ceiling or 0 for ceiling in ceilings),
        limit=sum(gate.limit for gate in gates),
        active_tasks=sum(gate.active for gate in gates),
        queued_tasks=snapshot.queued_calls + jobs.queued,
        queued_calls=snapshot.queued_calls,
        max_queue=snapshot.line.max_queue,
        abandoned=sum(gate.abandoned for gate in gates),
        total_tasks=calls.total,
        completed_tasks=calls.completed,
        failed_tasks=calls.failed,
        rejected_tasks=calls.rejected,
        canceled_tasks=calls.canceled,
        retries=calls.retries,
        oom_errors=calls.oom_errors,
        last_oom_at=calls.last_oom_at,
        success_rate=round(100 * calls.completed / judged, 1) if judged else None,
        bypassed_calls=calls.bypassed,
        wait_seconds=percentiles(chain.from_iterable(gate.waits for gate in gates)),
        service_seconds=percentiles(chain.from_iterable(gate.services for gate in gates)),
        lanes=_lanes(snapshot),
        servers=[_server(server) for server in snapshot.servers],
        jobs=JobStats(jobs.queued, jobs.transcribing),
        since=STARTED,
    )


def _load(load: Load | None) -> LoadStats | None:
    return LoadStats(load.running, load.waiting, load.foreign) if load else None


def monitor_stats() -> dict[str, Any]:
    """The stats as the monitor gets them: JSON, with the peak that proves the ceiling was kept."""
    service.looked()
    peak = sum(gate.peak for gate in _gates(service.snapshot()))
    return asdict(read_stats(), dict_factory=_json) | {"peak": peak}


def _json(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields}


def _gates(snapshot: Snapshot) -> list[GateSnapshot]:
    return [server.gate for server in snapshot.servers]


def _lanes(snapshot: Snapshot) -> dict[str, LaneStats]:
    active, queued = Counter[str](), Counter[str](snapshot.line.shared)
    for gate in _gates(snapshot):
        active.update({lane: count.active for lane, count in gate.lanes.items()})
        queued.update({lane: count.queued for lane, count in gate.lanes.items()})
    return {lane: LaneStats(active[lane], queued[lane]) for lane in LANES}


def _server(server: ServerSnapshot) -> ServerStats:
    gate, profile, trouble = server.gate, server.profile, _trouble(server)
    return ServerStats(
        name=gate.name,
        ceiling=gate.ceiling,
        limit=gate.limit,
        peak=gate.peak,
        active=gate.active,
        queued=gate.queued,
        abandoned=gate.abandoned,
        live_share=gate.live_share,
        live_home=gate.live_home,
        live_target_missed=gate.live_target_missed,
        breaker=server.breaker,
        trouble=trouble and trouble.translated(gettext),
        said=server.said,
        unreachable_seconds=_rounded(server.unreachable_since),
        retry_in_seconds=_rounded(server.retry_in),
        oom_errors=server.oom_errors,
        realtime_factor=_rounded(gate.realtime_factor, 3),
        audio_rate=_rounded(gate.rate, 2),
        learnt=_learnt(gate.learnt),
        load=_load(server.load),
        advice=gate.advice and gate.advice.translated(gettext),
        fits=not profile.fault,
        finding=str(profile.finding),
        model=profile.model,
        models=profile.models,
        response_format=profile.response_format,
    )


def _learnt(learnt: Learnt | None) -> LearntStats | None:
    if learnt is None:
        return None
    return LearntStats(
        home=learnt.home,
        throughput=_rounded(learnt.throughput, 2),
        failed=learnt.failed,
        gains=[GainStats(gain.low, gain.high, round(gain.percent, 1), round(gain.error, 1)) for gain in learnt.gains],
        inherited=learnt.inherited,
    )


def _trouble(server: ServerSnapshot) -> Sentence | None:
    """The server's trouble. Abandoned permits are one too, for calls wait although no caller has a permit; and so are
    late captions."""
    if not server.trouble and server.gate.abandoned >= server.gate.limit:
        return STILL_COMPUTES
    if not server.trouble and server.gate.live_target_missed:
        return _("Captions come late even while one call at a time is made: the server is too slow for them.")
    return server.trouble


def percentiles(values: Iterable[float]) -> Percentiles:
    """Nearest-rank percentiles; None where there are no values."""
    ranked = sorted(values)
    last = len(ranked) - 1
    p50, p95, p99 = (round(ranked[min(last, int(len(ranked) * q / 100))], 3) if ranked else None for q in (50, 95, 99))
    return Percentiles(p50, p95, p99)


def _rounded(number: float | None, digits: int = 1) -> float | None:
    return None if number is None else round(number, digits)
