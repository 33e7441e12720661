"""The Whisper servers, and whether they take calls."""

import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from transcription.servers.dialect import Dialect, endpoint
from transcription.servers.file import NamedServer
from transcription.servers.profile import ServerProfile

from .answer import Transcript
from .breaker import Breaker
from .errors import Misconfigured, Unreachable
from .gate import Gate
from .limit import Limit
from .line import Lane
from .live_share import LiveShare
from .sentence import Sentence, _
from .snapshot import GateSnapshot, Load, ServerSnapshot
from .station import Station

LOOK = 0.2  # seconds, at least, between two looks whether a server that is away takes calls


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


class Server(Station):
    """One Whisper HTTP endpoint, with its breaker and its profile.

    named: its entry in the settings.
    barred: the reason that this process knows without trying (the engine is loading, the claim is lost), or None.
    around: runs an exchange. For the embedded engine it ends the exchange when the engine ends.
    """

    def __init__(
        self,
        named: NamedServer,
        name: str,
        limit: Limit,
        breaker: Breaker,
        *,
        live_share: LiveShare | None = None,
        barred: Callable[[], Bar | None] = _no_bar,
        around: Callable[[Callable[[], Awaitable[Transcript]]], Awaitable[Transcript]] = _just_call,
    ) -> None:
        super().__init__(name, limit, live_share, weight=named.weight)
        self.named = named
        self.url = endpoint(named.url)
        self.breaker = breaker
        self.barred = barred
        self.around = around
        self.profile = ServerProfile(Dialect(self.url), breaker.clock)
        self.load: Load | None = None  # see `LoadWatch`

    def has(self, model: str) -> bool:
        """Whether calls for a model may go here. Where nothing is known of the server's models, any may."""
        models = self.named.models or self.profile.dialect.models
        return not model or not models or any(fnmatchcase(model, pattern) for pattern in models)

    def asked_for(self, model: str) -> str:
        """The model to ask for if a call names none: that of the settings, or the server's first. Empty: its only one.

        model: that of the settings; empty: they name none.
        """
        return model if not self.named.models or model in self.named.models else self.named.models[0]

    def allows(self) -> bool:
        """Whether a call may go now."""
        return self.breaker.allows() and self.profile.allows() and not self.barred()

    def away(self) -> float:
        return 0.0 if self.allows() else max(LOOK, self.retry_in(self.breaker.clock()))

    def begin(self) -> bool:
        return self.breaker.start()

    def end(self, trial: bool, reached: bool | None) -> None:
        """When that opens the breaker, the server is asked anew when it is back: it may be another software then."""
        if self.breaker.finish(trial, reached):
            self.profile.doubt()

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

    def described(self, gate: GateSnapshot, oom_errors: int) -> ServerSnapshot:
        """The server at this moment. oom_errors: number of its out-of-memory answers."""
        now = self.breaker.clock()
        trouble, since = self.trouble(), self.breaker.open_since
        waits = since is not None or self.barred()
        return ServerSnapshot(
            url=self.url,
            gate=gate,
            breaker=self.breaker.state,
            trouble=trouble.reason if trouble else None,
            said=trouble.said if trouble else "",
            unreachable_since=None if since is None else now - since,
            retry_in=max(0.0, self.retry_in(now)) if waits else None,
            oom_errors=oom_errors,
            profile=self.profile.snapshot(),
            load=self.load,
        )


class Pool:
    """All servers, and the gate before them. max_queue: see `Gate`."""

    def __init__(
        self, servers: Iterable[Server], *, max_queue: int = 100, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.servers = tuple(servers)
        self.gate = Gate(self.servers, max_queue=max_queue, clock=clock)
        self._clock = clock

    def suiting(self, lane: Lane, model: str) -> tuple[Server, ...]:
        """The servers for calls of a lane and a model. If none is known to have the model: all of the lane."""
        serving = tuple(server for server in self.servers if lane in server.named.lanes)
        return tuple(server for server in serving if server.has(model)) or serving

    def pick(self, servers: Iterable[Server], avoid: Server | None = None) -> Server | None:
        """The fastest of these servers that takes calls, for a call that needs a certain one. None: all are away.

        avoid: picked only if there is no other.
        """
        allowing = (server for server in servers if server.allows())
        return min(allowing, key=lambda server: (server is avoid, server.rank()), default=None)

    def retry_in(self, servers: Iterable[Server]) -> float:
        """Seconds until one of these servers may be tried again."""
        now = self._clock()
        return max(0.0, min((server.retry_in(now) for server in servers), default=0.0))

    def outage(self, servers: Collection[Server]) -> Misconfigured | Unreachable:
        """The error of a call that cannot wait until one of these servers takes calls again."""
        if fault := next((server.profile.fault for server in servers if server.profile.fault), None):
            return fault.again()
        bars = [bar.reason for server in servers if (bar := server.barred())]
        return Unreachable(bars[0] if bars else "No Whisper server can be reached.", max(1.0, self.retry_in(servers)))
