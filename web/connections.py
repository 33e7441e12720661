"""Bounds on connections: how many there may be, how large a request may be, and how long a client may take.

`Bounds` holds the figures, `Places` counts connections, and `Deadline` drops a client that stays silent or is too slow.
The three know neither HTTP nor uvicorn; `web.protocols` applies them.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Protocol

log = logging.getLogger(__name__)

SHORTEST_LOOK = 0.5  # seconds; a deadline that slow progress moves by less than that has run out
NETWORK_BITS = 64  # of an IPv6 address: the part a provider assigns; its customer chooses the rest


@dataclass(frozen=True)
class Bounds:
    """The figures. Times are in seconds, `least_rate` is in bytes a second.

    connections    open at once, in all
    per_address    open at once from one address; 0: any number. Loopback and `proxies` are not limited, since they
                   carry everybody's requests
    proxies        addresses and networks, as TRUSTED_PROXIES has them
    head_seconds   from the beginning of a request to the end of its headers. Apache's mod_reqtimeout grants 20 and
                   more, nginx 60; a browser sends its headers in one packet
    grace          the longest silence in a body, or of a client that does not read its answer (nginx:
                   client_body_timeout, send_timeout)
    least_rate     the slowest a client may send a body or read an answer, once `grace` is over (Apache: MinRate=500);
                   the slowest mobile network, GPRS, carries four times as much
    """

    connections: int = 2000
    per_address: int = 500
    proxies: tuple[str, ...] = ()
    head_seconds: float = 15.0
    grace: float = 60.0
    least_rate: float = 500.0


class Connection(Protocol):
    """A connection, as far as `Places` uses it."""

    def make_way(self) -> None:
        """Close, because another connection needs the place."""


class Places:
    """Counts connections. When all places are taken, the connection that has rested longest makes way for a new one.

    A connection rests while no request of its client is under way. Clients open another one without a loss, so a
    crowd of silent connections keeps nobody out.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._proxies = [network for network in map(_network, bounds.proxies) if network]
        self._parties: dict[Connection, str | None] = {}
        self._counts: Counter[str | None] = Counter()
        self._resting: dict[Connection, None] = {}  # the one that has rested longest is first

    def __len__(self) -> int:
        return len(self._parties)

    def enter(self, connection: Connection, address: str | None) -> bool:
        """Count the connection. False: there is no place for it."""
        party = self._party(address)
        crowded = party is not None and 0 < self._bounds.per_address <= self._counts[party]
        if crowded or len(self) >= self._bounds.connections:
            resting = (one for one in self._resting if not crowded or self._parties[one] == party)
            if (leaving := next(resting, None)) is None:
                log.warning("A connection was refused: %d are open, %d of this address", len(self), self._counts[party])
                return False
            self.leave(leaving)
            leaving.make_way()
        self._parties[connection] = party
        self._counts[party] += 1
        return True

    def leave(self, connection: Connection) -> None:
        """Count the connection no more. It may have left already."""
        if connection in self._parties:
            party = self._parties.pop(connection)
            self._counts[party] -= 1
            self._counts += Counter()  # without the parties that have left
            self._resting.pop(connection, None)

    def rest(self, connection: Connection, resting: bool) -> None:
        """Note that the connection rests, or that it rests no more."""
        if resting and connection in self._parties:
            self._resting.setdefault(connection)
        else:
            self._resting.pop(connection, None)

    def _party(self, address: str | None) -> str | None:
        """Key under which connections count as one client's: an IPv4 address, or an IPv6 network. None: not limited."""
        try:
            parsed: IPv4Address | IPv6Address = ip_address((address or "").partition("%")[0])
        except ValueError:  # a Unix socket
            return None
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        if parsed.is_loopback or any(parsed in network for network in self._proxies):
            return None
        return str(parsed) if isinstance(parsed, IPv4Address) else str(int(parsed) >> NETWORK_BITS)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    """The network of an address or of a network's text; None for other text, such as the path of a Unix socket."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


class Deadline:
    """Calls `late` once a client has made no progress for too long. It must run on an event loop."""

    def __init__(self, late: Callable[[], None]) -> None:
        self._late = late
        self._timer: asyncio.TimerHandle | None = None

    def start(self, seconds: float, done: Callable[[], int] = lambda: 0, rate: float = math.inf) -> None:
        """Start anew: `late` is called in `seconds`, unless the client makes progress.

        done: how many bytes the client has sent or read so far. Each `rate` bytes more give it another second, up to
        `seconds` from the moment at which they are noticed.
        """
        self.stop()
        self._grace, self._done, self._rate = seconds, done, rate
        self._seen = done()
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._at, self._look)

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now, done = self._loop.time(), self._done()
        self._at = min(now + self._grace, self._at + max(0, done - self._seen) / self._rate)
        self._seen = done
        if self._at - now < SHORTEST_LOOK:
            self._timer = None
            self._late()
        else:
            self._timer = self._loop.call_at(self._at, self._look)
