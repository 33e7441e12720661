"""Gates, servers and calls as they were at one moment. Snapshots never change. All times are seconds."""

from dataclasses import dataclass
from datetime import datetime

from .breaker import BreakerState
from .learnt import Learnt
from .limit import LimitChange
from .line import Lane
from .sentence import Sentence


@dataclass(frozen=True, slots=True)
class LaneCount:
    active: int
    queued: int


@dataclass(frozen=True, slots=True)
class LineSnapshot:
    """The line before all servers.

    queued: all that wait. shared: those among them that several servers may take, by lane.
    """

    queued: int
    max_queue: int
    shared: dict[Lane, int]


@dataclass(frozen=True, slots=True)
class GateSnapshot:
    """What the gate does with one server.

    limit: the permits that may be out now: while live calls come it may be one more than the limit has learnt.
    queued: calls that wait and that no other server may take.
    peak: the most permits that were out at once under this ceiling.
    waits: how long each of the latest calls waited.
    services, audio: how long each of the latest exchanges took, and the length of its audio, in the same order.
    rate: see `Station.rate`.
    changes: the latest changes of the limit, each with the time of the gate's clock.
    learnt: what the limit has learnt of the server; None: it is fixed.
    advice: what an admin should change about the limit, if anything.
    live_share: how many permits other lanes may hold, because live calls come; None: none come.
    live_home: how many of them the share has learnt to trust; None: nothing was learnt yet.
    live_target_missed: live calls are late even while one call runs at a time.
    """

    name: str
    ceiling: int | None
    limit: int
    active: int
    queued: int
    abandoned: int
    peak: int
    lanes: dict[Lane, LaneCount]
    waits: tuple[float, ...]
    services: tuple[float, ...]
    audio: tuple[float, ...]
    rate: float | None
    changes: tuple[tuple[float, LimitChange], ...]
    learnt: Learnt | None
    advice: Sentence | None
    live_share: int | None
    live_home: int | None
    live_target_missed: bool

    @property
    def home(self) -> int:
        """The limit that is trusted. An adaptive one goes away from it to try others."""
        return self.learnt.home if self.learnt else self.limit

    @property
    def realtime_factor(self) -> float | None:
        """Exchange time per audio time, of late; None before the first exchange."""
        audio = sum(self.audio)
        return sum(self.services) / audio if audio else None


@dataclass(frozen=True, slots=True)
class ProfileSnapshot:
    """What is known of a server.

    finding: what a probe found, with what to do. fault: whether nothing can be sent until that is done.
    said: the server's own words about the fault.
    model: asked for if a request names no other. models: those that the server lists.
    """

    finding: Sentence
    fault: bool
    said: str | None
    url: str
    model: str
    models: tuple[str, ...]
    response_format: str


@dataclass(frozen=True, slots=True)
class Load:
    """Requests in a server, by its own word: those that it computes, and those that wait in it.

    foreign: how many of both are not ours.
    """

    running: int
    waiting: int
    foreign: int


@dataclass(frozen=True, slots=True)
class ServerSnapshot:
    """A server.

    trouble: why calls wait or fail now, if that is known. said: the server's last words, for admins.
    unreachable_since: seconds since the breaker opened; None if it is closed.
    retry_in: seconds until a call may be tried again; None if calls may go.
    load: what the server tells of its requests; None if it tells nothing, or was not asked of late.
    """

    url: str
    gate: GateSnapshot
    breaker: BreakerState
    trouble: Sentence | None
    said: str
    unreachable_since: float | None
    retry_in: float | None
    oom_errors: int
    profile: ProfileSnapshot
    load: Load | None = None


@dataclass(frozen=True, slots=True)
class Jobs:
    """Jobs, as the runner last told. `queued`: jobs in line, whose calls are not made yet."""

    queued: int = 0
    transcribing: int = 0


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls since the start. A call with three attempts counts as one call and two retries.

    probes: exchanges of silence, which are no calls.
    """

    total: int = 0
    completed: int = 0
    failed: int = 0
    rejected: int = 0
    canceled: int = 0
    retries: int = 0
    oom_errors: int = 0
    bypassed: int = 0
    probes: int = 0
    last_oom_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The line, all servers, all calls, and the jobs behind them.

    pausing: calls that do not stand in line now, because they wait for their next attempt.
    """

    calls: Calls
    line: LineSnapshot
    servers: tuple[ServerSnapshot, ...]
    pausing: int = 0
    jobs: Jobs = Jobs()

    @property
    def queued_calls(self) -> int:
        """Calls that wait: in line, or for their next attempt."""
        return self.pausing + self.line.queued
