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
    """The reason why no call may go to a server now.

    seconds: after which to ask again.
    said: the last words of the server, for admins.
    """

    reason: Sentence
    seconds: float
    said: str = ""


def _no_bar() -> None:
    return None


async def _just_call(call: Callable[[], Awaitable[Transcript]]) -> Transcript:
    return await call()


@dataclass(eq=False, slots=True)
class Server:
    """One Whisper HTTP endpoint, with its gate, its breaker and its profile.

    barred: the reason that this process knows without trying (the engine is loading, the claim is lost), or None.
    around: runs an exchange. For the embedded engine it ends the exchange when the engine ends.
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
        """The reason why calls wait or fail now, if it is known."""
        if bar := self.barred():
            return bar
        if self.breaker.state != "closed":
            return Bar(_("The Whisper server cannot be reached."), 0.0)
        if fault := self.profile.fault:
            return Bar(fault.finding, 0.0)  # the server's own words are in the profile, for admins
        return None if self.breaker.steady else Bar(_("The Whisper server did not answer the latest call."), 0.0)

    def retry_in(self, now: float) -> float:
        """Seconds until a call may be tried again. now: time of the breaker's clock."""
        bar = self.barred()
        return max(self.breaker.retry_at - now, self.profile.retry_at - now, bar.seconds if bar else 0.0)

    def snapshot(self, oom_errors: int) -> ServerSnapshot:
        """The server at this moment. oom_errors: number of its out-of-memory answers."""
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
        """Tell the breaker how a call ended: see `Breaker.finish`.

        If that opens the breaker, all waiting calls are sent away to look for another server. When this one is
        back, it is asked anew: another software may then be behind the address.
        """
        if self.breaker.finish(trial, reached):
            self.profile.doubt()
            self.gate.drain(lambda: Evicted(f"{self.gate.name} cannot be reached."))


class Pool:
    """Chooses the server where a call will be answered soonest."""

    def __init__(self, servers: Iterable[Server], clock: Callable[[], float] = time.monotonic) -> None:
        self.servers = tuple(servers)
        self._clock = clock

    def choose(self, avoid: Server | None = None) -> Server | None:
        """The server with the shortest expected wait; among those that are free now, the fastest. None: all are out.

        avoid: chosen only if there is no other.
        """

        def rank(server: Server) -> tuple[bool, float, float]:
            return server is avoid, server.gate.expected_wait(), server.gate.mean_service

        return min((server for server in self.servers if server.allows()), key=rank, default=None)

    def retry_in(self) -> float:
        """Seconds until a server may be tried again."""
        now = self._clock()
        return max(0.0, min((server.retry_in(now) for server in self.servers), default=0.0))

    def outage(self) -> Misconfigured | Unreachable:
        """The error of a call that cannot wait until one of the servers takes calls again."""
        if fault := next((server.profile.fault for server in self.servers if server.profile.fault), None):
            return fault.again()
        bars = [bar.reason for server in self.servers if (bar := server.barred())]
        return Unreachable(bars[0] if bars else "No Whisper server can be reached.", max(1.0, self.retry_in()))


def endpoint(url: str) -> str:
    """The URL for transcriptions, from a base URL such as the OpenAI SDK takes. A full URL is returned as it is.

    Raises ValueError if it is not an HTTP address.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not the address of a Whisper server, such as http://host:8000/v1.")
    base = url.strip().rstrip("/")
    return base if base.endswith(ENDPOINT) else base + ENDPOINT
