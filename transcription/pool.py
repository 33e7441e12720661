"""The Whisper servers, and which of them a call goes to."""

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from transcription.servers.dialect import ENDPOINT, Dialect
from transcription.servers.profile import ServerProfile

from .answer import Transcript
from .breaker import Breaker
from .errors import Evicted, Misconfigured, Unreachable
from .gate import Gate
from .sentence import Sentence, _
from .snapshot import ServerSnapshot


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
    profile: ServerProfile = field(init=False)

    def __post_init__(self) -> None:
        self.profile = ServerProfile(Dialect(self.url), self.breaker.clock)

    def allows(self) -> bool:
        """Whether a call may go now."""
        return self.breaker.allows() and self.profile.allows() and not self.barred()

    def trouble(self) -> Bar | None:
        """Why calls wait or fail, as far as it is known."""
        if bar := self.barred():
            return bar
        if self.breaker.state != "closed":
            return Bar(_("The Whisper server cannot be reached."), 0.0)
        if fault := self.profile.fault:
            return Bar(fault.finding, 0.0)  # its own words are for staff: see `known`
        return None if self.breaker.steady else Bar(_("The Whisper server did not answer the latest call."), 0.0)

    def retry_in(self, now: float) -> float:
        """Seconds from `now`, of the breaker's clock, until a call may be tried again."""
        bar = self.barred()
        return max(self.breaker.retry_at - now, self.profile.retry_at - now, bar.seconds if bar else 0.0)

    def snapshot(self, oom_errors: int) -> ServerSnapshot:
        """The server at this moment. oom_errors: its out-of-memory answers, which others count."""
        now = self.breaker.clock()
        trouble, since = self.trouble(), self.breaker.open_since
        waits = since is not None or self.barred()
        return ServerSnapshot(
            url=self.url,
            gate=self.gate.snapshot(),
            breaker=self.breaker.state,
            trouble=trouble.reason if trouble else None,
            said=trouble.said if trouble else "",
            unreachable_since=None if since is None else now - since,
            retry_in=max(0.0, self.retry_in(now)) if waits else None,
            oom_errors=oom_errors,
            profile=self.profile.snapshot(),
        )

    def finish(self, trial: bool, reached: bool | None) -> None:
        """Tell the breaker how a call ended. Where that opens it, all waiting calls are sent to look elsewhere, and the
        server is asked again when it is back: it may be another one by then."""
        if self.breaker.finish(trial, reached):
            self.profile.doubt()
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

    def outage(self) -> Misconfigured | Unreachable:
        """The error of a call that cannot wait until one of the servers takes calls again."""
        if fault := next((server.profile.fault for server in self.servers if server.profile.fault), None):
            return fault.again()
        bars = [bar.reason for server in self.servers if (bar := server.barred())]
        return Unreachable(bars[0] if bars else "No Whisper server can be reached.", max(1.0, self.retry_in()))


def endpoint(url: str) -> str:
    """The transcription URL of a base URL as the OpenAI SDK takes it; a full one is kept. Else ValueError."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not the address of a Whisper server, such as http://host:8000/v1.")
    base = url.strip().rstrip("/")
    return base if base.endswith(ENDPOINT) else base + ENDPOINT
