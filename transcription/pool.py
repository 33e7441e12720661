"""The Whisper servers, and which of them a call goes to."""

import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from transcription.servers.acquaintance import Acquaintance
from transcription.servers.dialect import ENDPOINT, Dialect

from .answer import Transcript
from .errors import Evicted
from .gate import Gate
from .sentence import Sentence, _

FAILURES_TO_OPEN = 3  # in a row: one refused connection may be a restart, three are an outage
FIRST_PAUSE = 1.0  # seconds between opening and the first probe; doubles with each that fails
LONGEST_PAUSE = 60.0  # seconds: an outage of hours is noticed to be over within a minute

BreakerState = Literal["closed", "open", "half-open"]


class Breaker:
    """Keeps calls away from a server that cannot be reached.

    Closed, every call may go. After a few failures in a row it opens: none may, until a pause is over; then one goes
    as a probe (half-open). A probe that gets through closes it; one that fails opens it again for twice as long; after
    one without an answer in time, the next call is a probe again.

    steady: the latest call that says something got an answer.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._probing = False
        self.steady = True
        self.open_since: float | None = None
        self.retry_at = 0.0

    @property
    def state(self) -> BreakerState:
        if self.open_since is None:
            return "closed"
        return "half-open" if self._probing else "open"

    def allows(self) -> bool:
        """Whether a call may go now."""
        return self.open_since is None or (not self._probing and self.clock() >= self.retry_at)

    def start(self) -> bool:
        """A call goes. True if it is the probe of an open breaker. `finish()` must follow.

        Raises `Evicted` where it may not: another was quicker.
        """
        with self._lock:
            if not self.allows():
                raise Evicted("The server cannot be reached.")
            probe = self.open_since is not None
            self._probing = probe
            return probe

    def finish(self, probe: bool, reached: bool | None) -> bool:
        """Whether the call reached the server, None where nobody knows. Returns True where this opened the breaker."""
        with self._lock:
            self._probing = self._probing and not probe
            if reached is not None:
                self.steady = reached
            if reached:
                self._failures, self.open_since = 0, None
            if reached is not False or (self.open_since is not None and not probe):
                return False  # calls that were under way when it opened say nothing new
            self._failures += 1
            if self._failures < FAILURES_TO_OPEN:
                return False
            now = self.clock()
            opened = self.open_since is None
            self.open_since = now if self.open_since is None else self.open_since
            self.retry_at = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(16, self._failures - FAILURES_TO_OPEN))
            return opened

    def silent(self) -> None:
        """A call that is under way got no answer in time. It still ends, with `finish()`."""
        self.steady = False


class Bar(NamedTuple):
    """Why no call may go to a server now, and seconds after which to ask again. `said`: its last words, for admins."""

    reason: Sentence
    seconds: float
    said: str = ""


def _no_bar() -> None:
    return None


async def _just_call(call: Callable[[], Awaitable[Transcript]]) -> Transcript:
    return await call()


@dataclass(eq=False, slots=True)
class Server:
    """One Whisper HTTP endpoint with the gate and the breaker before it, and what is known of it.

    barred: what this process knows of itself that keeps calls away, where the breaker has to find out by trying.
    around: makes a call, as one that ends when the server does where this process would know.
    """

    url: str
    gate: Gate
    breaker: Breaker
    barred: Callable[[], Bar | None] = _no_bar
    around: Callable[[Callable[[], Awaitable[Transcript]]], Awaitable[Transcript]] = _just_call
    known: Acquaintance = field(init=False)

    def __post_init__(self) -> None:
        self.known = Acquaintance(Dialect(self.url), self.breaker.clock)

    def allows(self) -> bool:
        """Whether a call may go now."""
        return self.breaker.allows() and self.known.allows() and not self.barred()

    def trouble(self) -> Bar | None:
        """Why calls wait or fail, as far as it is known."""
        if bar := self.barred():
            return bar
        if self.breaker.state != "closed":
            return Bar(_("The Whisper server cannot be reached."), 0.0)
        if fault := self.known.fault:
            return Bar(fault.finding, 0.0)  # its own words are for staff: see `known`
        return None if self.breaker.steady else Bar(_("The Whisper server did not answer the latest call."), 0.0)

    def retry_in(self, now: float) -> float:
        """Seconds from `now`, of the breaker's clock, until a call may be tried again."""
        bar = self.barred()
        return max(self.breaker.retry_at - now, self.known.retry_at - now, bar.seconds if bar else 0.0)

    def finish(self, probe: bool, reached: bool | None) -> None:
        """Tell the breaker how a call ended. Where that opens it, all waiting calls are sent to look elsewhere, and the
        server is asked again when it is back: it may be another one by then."""
        if self.breaker.finish(probe, reached):
            self.known.doubt()
            self.gate.drain(lambda: Evicted(f"{self.gate.name} cannot be reached."))


class Pool:
    """Chooses the server where a call will be answered soonest."""

    def __init__(self, servers: Iterable[Server], clock: Callable[[], float] = time.monotonic) -> None:
        self.servers = tuple(servers)
        self._clock = clock

    def choose(self, avoid: Server | None = None) -> Server | None:
        """The server with the shortest expected wait, of those that are free the fastest. None: all are out.

        avoid: taken only where there is no other.
        """

        def rank(server: Server) -> tuple[bool, float, float]:
            return server is avoid, server.gate.expected_wait(), server.gate.mean_service

        return min((server for server in self.servers if server.allows()), key=rank, default=None)

    def retry_in(self) -> float:
        """Seconds until the first of the servers that are out may be tried again."""
        now = self._clock()
        return max(0.0, min((server.retry_in(now) for server in self.servers), default=0.0))


def endpoint(url: str) -> str:
    """The transcription URL of a base URL as the OpenAI SDK takes it; a full one is kept. Else ValueError."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not the address of a Whisper server, such as http://host:8000/v1.")
    base = url.strip().rstrip("/")
    return base if base.endswith(ENDPOINT) else base + ENDPOINT
