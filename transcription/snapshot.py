"""What there is to see of gates, servers and calls: immutable, of one moment. All times are seconds."""

from dataclasses import dataclass
from datetime import datetime

from .breaker import BreakerState
from .limit import LimitChange
from .line import Lane
from .sentence import Sentence


@dataclass(frozen=True, slots=True)
class LaneCount:
    active: int
    queued: int


@dataclass(frozen=True, slots=True)
class GateSnapshot:
    """A gate. What is not a number of calls looks back on the latest exchanges.

    `peak`: the most permits out when one was given, under this ceiling.
    `services` and `audio` go together: how long each exchange took, and how much audio it carried.
    `changes`: of the limit, each with the gate's clock.
    """

    name: str
    ceiling: int | None
    limit: int
    active: int
    queued: int
    abandoned: int
    peak: int
    max_queue: int
    lanes: dict[Lane, LaneCount]
    waits: tuple[float, ...]
    services: tuple[float, ...]
    audio: tuple[float, ...]
    changes: tuple[tuple[float, LimitChange], ...]


@dataclass(frozen=True, slots=True)
class ProfileSnapshot:
    """What is known of a server.

    finding: in words, with what to do. fault: nothing can be sent until that is done; `said`: the server's own words.
    model: the one that is asked for where nobody names another. models: those that the server says it has.
    """

    finding: Sentence
    fault: bool
    said: str | None
    url: str
    model: str
    models: tuple[str, ...]
    response_format: str


@dataclass(frozen=True, slots=True)
class ServerSnapshot:
    """`unreachable_since`, `retry_in`: seconds ago and from now, where the breaker is open.

    `trouble`: why calls wait or fail, where that is known; `said`: the server's last words, for admins.
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


@dataclass(frozen=True, slots=True)
class Jobs:
    """Recordings, as the runner of jobs last told. `queued`: in line, none of their calls is made yet."""

    queued: int = 0
    transcribing: int = 0


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls counted since the start. A call with three attempts is one, with two retries.

    `probes`: exchanges of silence besides, which only ask whether a server answers.
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
    """All servers, all calls, and the jobs behind them.

    `pausing`: calls that stand at no gate now, because no server is open or because they failed and are tried again.
    """

    calls: Calls
    servers: tuple[ServerSnapshot, ...]
    pausing: int = 0
    jobs: Jobs = Jobs()

    @property
    def queued_calls(self) -> int:
        """Calls that wait: at a gate, or for their next try."""
        return self.pausing + sum(server.gate.queued for server in self.servers)
