"""The gate decides which call may reach a Whisper server, when, and which server. One line of calls waits before all.

    permit = gate.enter("batch", owner="user:7")    # a place in line; it never waits
    await permit.admitted()                         # from here on, the right to have one exchange with `permit.server`
    ...                                             # the HTTP exchange, and nothing else
    permit.release("ok", audio_seconds=28.4)

The rules, by the numbers that tests and design use:

G1   Permits out for a server never exceed its limit. When the limit shrinks, no permit is taken back, and no call is
     let in until the permits out are fewer than the limit.
G2   One gate serves the whole process: any thread, any event loop.
G3   Order: the lanes live, interactive, batch; inside a lane owners take turns; inside an owner first come, first
     served. A lane that was passed over eight times in a row gets the next permit that G13 leaves it. An owner with a
     weight of n has n calls let in at one turn.
G4   The line is bounded. A call that finds it full gets `QueueFull` at once, with the seconds to wait before
     it comes back.
G5   A waiter that is cancelled leaves the line at once. If a permit was on its way to it, the next waiter gets that.
G6   (the client's) Retries give the permit back before they wait, and queue again.
G7   A task that holds a permit and asks for another gets `NestedPermit`: at limit 1 it would wait for itself.
G8   (the client's) Skipping the gate is for tests: counted, logged, and refused unless allowed.
G9   A permit is *abandoned* when nobody waits for the answer any more but the server may still compute. It stays out,
     counted apart, until it is released.
G10  A waiter may have a deadline (`DeadlineExceeded`), and a newer call may take an older one's place (`Superseded`).
G11  A limit may change at any time. When it grows, waiters are let in at once.
G12  To enter and to be let in cost O(log n) in the owners, however many wait. To leave costs O(n) in the waiters of
     the same owner.
G13  While live calls come, the other lanes hold only so many permits of a server that live calls are answered within
     a target, but at least one. An adaptive limit is one higher then, if the server is not known to fail there; the
     other lanes may not hold that permit. Ten seconds after the last live call all permits are everybody's.
G14  All calls wait in one line. A permit of whatever server is free goes to the first that may have it; of several
     free servers, the one with the greatest weight is taken, then the fastest. Calls may differ in the servers that
     suit them: one that waits for its server holds up none that another server can take. A server to avoid is taken
     only if no other takes calls. A server that is away moves nobody: calls wait until one that suits them takes calls
     again, but for those that are not patient, which get `Evicted`.
G15  What was learnt of a server survives the process: the next one takes it up, and keeps it if it is still true.

`line` decides which waiter is next. `station` has what is kept of each server. `limit` decides how many permits of it
may be out: it is told about each finished exchange. After the server ran out of memory, or asked to wait, the limit
also says until when no call is let in. `live_share` decides how many of them the other lanes may hold.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from .errors import DeadlineExceeded, Evicted, GateError, NestedPermit, QueueFull, Superseded
from .guard import Guard
from .limit import Outcome, Sample
from .line import LANES, Kind, Lane, Line
from .live_share import LiveCall
from .memory import ServerMemory
from .snapshot import GateSnapshot, LineSnapshot
from .station import Station
from .wakeup import wake

S = TypeVar("S", bound=Station)


@dataclass(eq=False)
class Permit(Generic[S]):
    """A call's place in line, and then its right to have one exchange in flight. Times are seconds of the gate's clock.

    Await `admitted()` right after `enter()`. If the task is cancelled there, the permit leaves the line.
    """

    gate: "Gate[S]"
    lane: Lane
    owner: Hashable
    kind: Kind[S]
    key: Hashable
    weight: int
    deadline: float | None
    asked_at: float
    entered_at: float
    # What changes later has its first value in the class, which makes a permit cheaper:
    state: Literal["waiting", "sent away", "active", "abandoned", "released"] = field(default="waiting", init=False)
    place: int = field(default=0, init=False)  # in the order of arrival
    server: S = field(init=False)  # from when it is admitted
    trial: bool = field(default=False, init=False)  # what the server said when it was admitted
    admitted_at: float = field(default=math.nan, init=False)
    in_flight: int = field(default=0, init=False)  # permits of the server out when it was admitted, itself included
    restrained: bool = field(default=False, init=False)  # whether other lanes might not have all permits then (G13)
    beside: dict[S, int] | None = field(default=None, init=False)  # of a live call: the others in flight on its coming
    turn: asyncio.Future[None] | None = field(default=None, init=False)  # awaited by its task; None if it did not wait
    timer: asyncio.TimerHandle | None = field(default=None, init=False)  # rings at its deadline

    @property
    def waited(self) -> float:
        return self.admitted_at - self.asked_at

    async def admitted(self) -> "Permit[S]":
        """Wait until the call is let in, and return the permit.

        Raises `DeadlineExceeded`, `Superseded` or `Evicted`.
        """
        if self.turn:
            try:
                await self.turn
            except BaseException:
                self.gate.soon(self.gate._leave, self)
                raise
            finally:
                if self.timer:
                    self.timer.cancel()
        return self

    def release(
        self,
        outcome: Outcome = "ok",
        audio_seconds: float = 0.0,
        retry_after: float = 0.0,
        *,
        reached: bool | None = None,
    ) -> None:
        """Give the permit back and say how the exchange went. Only the first release counts.

        retry_after: seconds that a busy server asked to wait.
        reached: whether the call reached the server; None if that is not known.
        """
        self.gate.soon(self.gate._release, self, outcome, audio_seconds, retry_after, reached)

    def abandon(self) -> None:
        """Say that nobody waits for the answer any more. The permit stays out (G9)."""
        self.gate.soon(self.gate._abandon, self)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The block runs under this permit. If it asks for another one, `enter()` notices (G7)."""
        token = _held.set((*_held.get(), self))
        try:
            yield
        finally:
            _held.reset(token)


# Permits under which the current task runs, or a task that started it.
_held: ContextVar[tuple[Permit[Any], ...]] = ContextVar("held_permits", default=())


class Gate(Generic[S]):
    """The gate before these servers. Of those that are equally fast, the first is taken.

    max_queue: how many calls may wait in line.
    clock: monotonic seconds; tests give their own.
    """

    def __init__(
        self, servers: Iterable[S], *, max_queue: int = 100, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if max_queue < 1:
            raise ValueError(f"The queue must have room for at least one call, not {max_queue}.")
        self.servers = tuple(servers)
        self.max_queue = max_queue
        self._clock = clock
        self._lock = Guard()
        self.soon = self._lock.soon
        self._line = Line[S, Permit[S]]()
        self._kinds: dict[tuple[tuple[S, ...], S | None, bool], Kind[S]] = {}
        self._alarms: dict[asyncio.AbstractEventLoop, float] = {}  # when the loops of those in line look again
        # As of the latest look:
        self._now = 0.0
        self._away = dict.fromkeys(self.servers, 0.0)  # seconds until a server takes calls
        self._shut = False  # whether one takes none
        self._has_room = False  # whether one may have room

    # --- the way in ----------------------------------------------------------------------------

    def enter(
        self,
        lane: Lane,
        owner: Hashable,
        *,
        servers: Iterable[S] | None = None,
        avoid: S | None = None,
        patient: bool = True,
        deadline: float | None = None,
        supersede: Hashable = None,
        waited: float = 0.0,
        weight: int = 1,
    ) -> Permit[S]:
        """Take a place in line. Await the permit's `admitted()` next.

        servers, avoid, patient: see `Kind`; None: all servers.
        deadline: time of the clock at which the waiter is dropped.
        supersede: a key. If this owner has a waiter with the same key in this lane, take over its place.
        waited: seconds that the call has waited elsewhere. They are added to its wait and do not change its turn.
        weight: how many calls of the owner are let in at one turn.
        Raises `QueueFull`, `NestedPermit`, `DeadlineExceeded`, `Evicted`, and `ValueError` for a lane that does not
        exist.
        """
        if lane not in LANES:
            raise ValueError(f"There is no lane {lane!r}; the lanes are {', '.join(LANES)}.")
        held = _held.get()
        if held and (mine := next((each for each in held if each.gate is self and each.state == "active"), None)):
            raise NestedPermit(f"This task already holds a permit of {mine.server.name}: it might wait for itself.")
        which = (self.servers if servers is None else tuple(servers), avoid, patient)
        with self._lock:
            now = self._clock()
            if deadline is not None and deadline <= now:
                raise DeadlineExceeded("The call came past its deadline.")
            kind = self._kinds.get(which) or self._kinds.setdefault(which, Kind(*which))
            permit = Permit(self, lane, owner, kind, supersede, weight, deadline, now - waited, now)
            self._pump(now)
            if not self._line.length:
                self._look(now)
            if self._has_room and (server := self._choose(lane, kind)):
                self._admit(permit, server)
            elif self._shut and self._is_stranded(kind):
                raise Evicted("None of the servers takes calls.")
            else:
                self._line_up(permit)
        return permit

    async def acquire(self, lane: Lane, owner: Hashable, **options: Any) -> Permit[S]:
        """`enter()` and `admitted()` in one, for callers that have nothing to do in between."""
        return await self.enter(lane, owner, **options).admitted()

    def _line_up(self, waiter: Permit[S]) -> None:
        loop = asyncio.get_running_loop()
        waiter.turn = asyncio.Future(loop=loop)  # before others can see it in line
        older = None
        if waiter.key is not None and (older := self._line.replace(waiter)):
            self._send_away(older, Superseded("A newer call took this one's place."))
            self._note_drop(older)
        elif self._line.length < self.max_queue:
            self._line.append(waiter)
        else:
            raise QueueFull(f"{self._line.length} calls wait already.", self._expected_wait())
        if waiter.lane == "live":
            waiter.beside = {server: server.expect_live(self._now) for server in waiter.kind.servers}
        if waiter.deadline is not None:
            waiter.timer = loop.call_later(waiter.deadline - self._now, self._expire, waiter)
        if loop not in self._alarms:
            for closed in [other for other in self._alarms if other.is_closed()]:
                del self._alarms[closed]
            self._alarms[loop] = math.inf
        if older or waiter.lane == "live":  # while live calls come, there may be one permit more
            self._pump(self._now)
        elif self._shut:
            self._set_alarms()

    def _choose(self, lane: Lane, kind: Kind[S]) -> S | None:
        """The server that a call of this lane and kind may have now. None: it must wait."""
        best = None
        for server in kind.servers:
            if server.has_room(lane, self._now) and not self._away[server]:
                if server is kind.avoid and not all(self._away[other] for other in kind.servers if other is not server):
                    continue
                if best is None or server.rank() < best.rank():
                    best = server
        return best

    def _pump(self, now: float) -> None:
        """Let in as many waiters as fit. Called under the lock, after each event that may have made room."""
        if not self._line.length:
            return
        self._look(now)
        if self._shut:
            self._send_away_stranded()
        while self._has_room and (found := self._line.pop(self._choose)):
            waiter, server = found
            if waiter.deadline is not None and waiter.deadline <= now:
                self._note_drop(waiter)
                self._send_away(waiter, DeadlineExceeded("The call waited past its deadline."))
                self._look(now)
                continue
            self._admit(waiter, server)
            self._has_room = len(self.servers) > 1 or server.has_room("live", now)
            if not (waiter.turn and wake(waiter.turn)):
                self._take_back(waiter)
                self._has_room = True
        if self._shut:
            self._set_alarms()

    def _look(self, now: float) -> None:
        """Look at the servers: which of them take calls, and whether one has room."""
        self._now, self._shut, self._has_room = now, False, False
        for server in self.servers:
            away = self._away[server] = server.away()
            self._shut = server.look(now) or self._shut or away > 0 or server.limit.hold_until > now
            self._has_room = self._has_room or server.has_room("live", now)

    def _send_away_stranded(self) -> None:
        for lane, kind, _ in self._line.waiting():
            if self._is_stranded(kind):
                for waiter in self._line.of(lane, kind):
                    self._line.remove(waiter)
                    self._send_away(waiter, Evicted("None of the servers takes calls any more."))

    def _is_stranded(self, kind: Kind[S]) -> bool:
        """Whether none of the servers takes calls, and the call does not wait for one."""
        return not kind.patient and all(self._away[server] for server in kind.servers)

    def _admit(self, permit: Permit[S], server: S) -> None:
        permit.server = server
        permit.state = "active"
        permit.admitted_at = self._now
        if permit.lane == "live":
            others, before = server.expect_live(self._now), permit.beside
            permit.beside = {server: max(others, before.get(server, 0)) if before else others}
        permit.in_flight = server.admit(permit.lane, self._now - permit.asked_at)
        permit.restrained = server.restrains
        permit.trial = server.begin()
        if permit.trial:
            self._away[server], self._shut = server.away(), True

    def _send_away(self, waiter: Permit[S], error: GateError) -> None:
        waiter.state = "sent away"
        if waiter.turn:
            wake(waiter.turn, error)

    def _set_alarms(self) -> None:
        """See to it that somebody looks again when a server may take calls that it does not take now."""
        waits = [max(away, server.limit.hold_until - self._now) for server, away in self._away.items()]
        waits += [server.live_share.until - self._now for server in self.servers]
        soonest = min((wait for wait in waits if wait > 0), default=math.inf)
        for loop, at in list(self._alarms.items()):  # any loop may end before, so all have an alarm
            if self._now + soonest < at:
                try:
                    loop.call_soon_threadsafe(loop.call_later, soonest, self._ring, loop)
                    self._alarms[loop] = self._now + soonest
                except RuntimeError:  # the loop is closed
                    del self._alarms[loop]

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            if self._line.length:
                self._alarms[loop] = math.inf
                self._pump(self._clock())
            else:
                self._alarms.pop(loop, None)

    def hold(self, server: S) -> Permit[S]:
        """Make an abandoned permit for an exchange that an earlier process began and a server may still compute.

        There may be more of them than the limit (G1).
        """
        with self._lock:
            now = self._clock()
            permit = Permit(self, "batch", None, Kind((server,), None, True), None, 1, None, now, now)
            permit.state, permit.server, permit.admitted_at = "abandoned", server, now
            server.hold(permit.lane)
            return permit

    # --- the ways out: also of coroutines that the garbage collector ends --------------------------

    def _release(
        self, permit: Permit[S], outcome: Outcome, audio_seconds: float, retry_after: float, reached: bool | None
    ) -> None:
        if permit.state not in ("active", "abandoned"):
            return
        now, out = self._clock(), permit.server.out
        self._take_back(permit, reached)
        sample = Sample(permit.admitted_at, now, audio_seconds, permit.in_flight, outcome, out, retry_after)
        try:
            if permit.lane == "live" and outcome != "error":  # which says nothing of the server
                self._note_live(permit, permit.server, answered=outcome == "ok")
            mixed = permit.lane == "live" and self._others_beside(permit, permit.server) > 0
            permit.server.learn(sample, restrained=permit.restrained, mixed=mixed)
        finally:
            self._pump(now)

    def _note_live(self, permit: Permit[S], server: S, *, answered: bool) -> None:
        """Tell the server's share how a live call ended (G13)."""
        others = self._others_beside(permit, server)
        server.learn_live(LiveCall(permit.entered_at, self._clock(), others, answered))

    def _others_beside(self, live: Permit[S], server: S) -> int:
        """The most calls of other lanes that were in flight beside a live call that ends now."""
        return max(live.beside.get(server, 0) if live.beside else 0, server.others)

    def _note_drop(self, waiter: Permit[S]) -> None:
        """Note that a waiter goes without an answer: a live call may have waited too long for any of its servers.

        That may change how many permits the other lanes may hold, also upwards: see rule 9 of `live_share`.
        """
        if waiter.lane == "live":
            for server in waiter.kind.servers:
                self._note_live(waiter, server, answered=False)

    def _abandon(self, permit: Permit[S]) -> None:
        if permit.state == "active":
            permit.state = "abandoned"
            permit.server.abandon(permit.lane)

    def _take_back(self, permit: Permit[S], reached: bool | None = None) -> None:
        """Note that the permit is out no longer."""
        permit.server.take_back(permit.lane, abandoned=permit.state == "abandoned")
        permit.server.end(permit.trial, reached)
        permit.state = "released"

    def _leave(self, waiter: Permit[S]) -> None:
        """The task of the waiter has ended: take it out of the line, or pass on the permit that it never used."""
        if waiter.state == "waiting":
            self._line.remove(waiter)
            waiter.state = "sent away"
            self._note_drop(waiter)
            self._pump(self._clock())
        elif waiter.state == "active":
            self._take_back(waiter)
            self._pump(self._clock())

    def _expire(self, waiter: Permit[S]) -> None:
        with self._lock:
            if waiter.state == "waiting":
                self._line.remove(waiter)
                self._note_drop(waiter)
                self._send_away(waiter, DeadlineExceeded("The call waited past its deadline."))
                self._pump(self._clock())

    # --- the limits, and what there is to see --------------------------------------------------

    def set_ceiling(self, server: S, ceiling: int | None) -> None:
        """Change a server's ceiling while running. None: its first one, which is also the most it may be.

        Raises `ValueError` with a sentence for people.
        """
        with self._lock:
            now = self._clock()
            server.set_ceiling(ceiling, now)
            self._pump(now)

    def memory(self, server: S) -> ServerMemory:
        """What was learnt of a server, for the next process (G15)."""
        with self._lock:
            return server.memory()

    def restore(self, server: S, memory: ServerMemory) -> None:
        """Take up what an earlier process learnt of a server, before the first call (G15)."""
        with self._lock:
            server.restore(memory, self._clock())

    def _expected_wait(self) -> float:
        """Seconds that one more waiter would wait, by the measured service times."""
        servers = [server for server in self.servers if not self._away[server]] or self.servers
        cool_down = min(max(0.0, server.limit.hold_until - self._now) for server in servers)
        rate = sum(server.limit.limit / server.mean_service for server in servers)  # calls a second
        return cool_down + (self._line.length + 1) / rate

    def load(self) -> tuple[int, int, int]:
        """Active calls, the limits of all servers, and calls that wait."""
        with self._lock:
            now = self._clock()
            active = sum(server.active for server in self.servers)
            return active, sum(server.limit_now(now) for server in self.servers), self._line.length

    def live_limit(self) -> int:
        """How many live calls may be in flight at once now, on all servers."""
        with self._lock:
            now = self._clock()
            return sum(server.live_share.bounds(now, server.limit).total for server in self.servers)

    def snapshot(self) -> tuple[LineSnapshot, dict[S, GateSnapshot]]:
        """The line and each server at this moment."""
        with self._lock:
            queued = {server: Counter[Lane]() for server in self.servers}
            shared = Counter[Lane]()
            for lane, kind, waiting in self._line.waiting():
                (queued[kind.servers[0]] if len(kind.servers) == 1 else shared)[lane] += waiting
            line = LineSnapshot(self._line.length, self.max_queue, {lane: shared[lane] for lane in LANES})
            now = self._clock()
            return line, {server: server.snapshot(queued[server], now) for server in self.servers}
