"""The gate decides which call may reach a Whisper server, and when. Each server has one.

    permit = gate.enter("batch", owner="user:7")    # a place in line; it never waits
    await permit.admitted()                         # from here on, the right to have one exchange in flight
    ...                                             # the HTTP exchange, and nothing else
    permit.release("ok", audio_seconds=28.4)

The rules, by the numbers that tests and design use:

G1   Permits out never exceed the limit. When the limit shrinks, no permit is taken back, and no call is let in until
     the permits out are fewer than the limit.
G2   One gate serves the whole process: any thread, any event loop.
G3   Order: the lanes live, interactive, batch; inside a lane owners take turns; inside an owner first come, first
     served. A lane that was passed over eight times in a row gets the next permit.
G4   The line is bounded. A call that finds it full gets `QueueFull` at once, with the seconds to wait before
     it comes back.
G5   A waiter that is cancelled leaves the line at once. If a permit was on its way to it, the next waiter gets that.
G6   (the client's) Retries give the permit back before they wait, and queue again.
G7   A task that holds a permit and asks the same gate for another gets `NestedPermit`: at limit 1 it would wait for
     itself.
G8   (the client's) Skipping the gate is for tests: counted, logged, and refused unless allowed.
G9   A permit is *abandoned* when nobody waits for the answer any more but the server may still compute. It stays out,
     counted apart, until it is released.
G10  A waiter may have a deadline (`DeadlineExceeded`), and a newer call may take an older one's place (`Superseded`).
G11  The limit may change at any time. When it grows, waiters are let in at once.
G12  To enter and to be let in cost O(1), however many wait. To leave costs O(n) in the waiters of the same owner.
G15  What was learnt of a server survives the process: the next one takes it up, and keeps it if it is still true.

`line` decides which waiter is next. `limit` decides how many permits may be out: the gate tells it about each finished
exchange. After the server ran out of memory, or asked to wait, the limit also says until when no call is let in.
"""

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from threading import RLock
from typing import Literal

from .errors import DeadlineExceeded, GateError, NestedPermit, QueueFull, Superseded
from .limit import Limit, LimitChange, Outcome, Sample
from .line import LANES, Lane, Line
from .memory import ServerMemory, Service
from .sentence import _
from .snapshot import GateSnapshot, LaneCount
from .wakeup import wake

log = logging.getLogger(__name__)

WINDOW = 512  # exchanges that the windows look back on
LATEST = 10  # exchanges that tell how long the next one will take


@dataclass(eq=False, slots=True)
class Permit:
    """A call's place in line, and then its right to have one exchange in flight. Times are seconds of the gate's clock.

    Await `admitted()` right after `enter()`. If the task is cancelled there, the permit leaves the line.
    """

    gate: "Gate"
    lane: Lane
    owner: Hashable
    key: Hashable
    deadline: float | None
    asked_at: float
    state: Literal["waiting", "sent away", "active", "abandoned", "released"] = "waiting"
    admitted_at: float = math.nan
    in_flight: int = 0  # permits out when it was admitted, itself included
    turn: asyncio.Future[None] | None = None  # awaited by its task; None if it never had to wait
    timer: asyncio.TimerHandle | None = None  # rings at its deadline

    @property
    def waited(self) -> float:
        return self.admitted_at - self.asked_at

    async def admitted(self) -> "Permit":
        """Wait until the call is let in, and return the permit.

        Raises `DeadlineExceeded`, `Superseded`, or the error that the gate was drained with.
        """
        if self.turn:
            try:
                await self.turn
            except BaseException:
                self.gate._leave(self)
                raise
            finally:
                if self.timer:
                    self.timer.cancel()
        return self

    def release(self, outcome: Outcome = "ok", audio_seconds: float = 0.0, retry_after: float = 0.0) -> None:
        """Give the permit back and say how the exchange went. Only the first release counts.

        retry_after: seconds that a busy server asked to wait.
        """
        self.gate._release(self, outcome, audio_seconds, retry_after)

    def abandon(self) -> None:
        """Say that nobody waits for the answer any more. The permit stays out (G9)."""
        self.gate._abandon(self)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The block runs under this permit. If it asks for another one, `enter()` notices (G7)."""
        token = _held.set((*_held.get(), self))
        try:
            yield
        finally:
            _held.reset(token)


# Permits under which the current task runs, or a task that started it.
_held: ContextVar[tuple[Permit, ...]] = ContextVar("held_permits", default=())


class Gate:
    """The gate before one server.

    limit: decides how many permits may be out.
    max_queue: how many calls may wait in line.
    clock: monotonic seconds; tests give their own.
    """

    def __init__(
        self, name: str, limit: Limit, *, max_queue: int = 100, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if max_queue < 1:
            raise ValueError(f"The queue must have room for at least one call, not {max_queue}.")
        self.name = name
        self.max_queue = max_queue
        self._limit = limit
        self._first_ceiling = limit.ceiling  # that of the settings: no admin may go above it. None: any
        self._clock = clock
        # Reentrant: the garbage collector may end a coroutine that waits here, which calls `_leave` at any moment.
        self._lock = RLock()
        self._line = Line[Permit]()
        self._out = set[Permit]()  # the active ones, and the abandoned
        self._peak = 0
        self._waits: deque[float] = deque(maxlen=WINDOW)
        self._answered: deque[Sample] = deque(maxlen=WINDOW)
        self._changes: deque[tuple[float, LimitChange]] = deque(maxlen=WINDOW)

    # --- the way in ----------------------------------------------------------------------------

    def enter(
        self,
        lane: Lane,
        owner: Hashable,
        *,
        deadline: float | None = None,
        supersede: Hashable = None,
        waited: float = 0.0,
    ) -> Permit:
        """Take a place in line. Await the permit's `admitted()` next.

        deadline: time of the clock at which the waiter is dropped.
        waited: seconds that the call has waited elsewhere. They are added to its wait and do not change its turn.
        supersede: a key. If this owner has a waiter with the same key in this lane, take over its place.
        Raises `QueueFull`, `NestedPermit`, `DeadlineExceeded`, and `ValueError` for a lane that does not exist.
        """
        if lane not in LANES:
            raise ValueError(f"There is no lane {lane!r}; the lanes are {', '.join(LANES)}.")
        held = _held.get()
        if held and any(permit.gate is self and permit.state == "active" for permit in held):
            raise NestedPermit(f"This task already holds a permit of {self.name}: at limit 1 it would wait for itself.")
        with self._lock:
            now = self._clock()
            if deadline is not None and deadline <= now:
                raise DeadlineExceeded("The call came past its deadline.")
            permit = Permit(self, lane, owner, supersede, deadline, now - waited)
            if not self._line.length and self._has_room(now):
                self._admit(permit, now)
            else:
                self._line_up(permit, now)
        return permit

    async def acquire(
        self, lane: Lane, owner: Hashable, *, deadline: float | None = None, supersede: Hashable = None
    ) -> Permit:
        """`enter()` and `admitted()` in one, for callers that have nothing to do in between."""
        return await self.enter(lane, owner, deadline=deadline, supersede=supersede).admitted()

    def _line_up(self, waiter: Permit, now: float) -> None:
        loop = asyncio.get_running_loop()
        waiter.turn = asyncio.Future(loop=loop)  # before others can see it in line
        if waiter.key is not None and (older := self._line.replace(waiter)):
            self._send_away(older, Superseded("A newer call took this one's place."))
        elif self._line.length < self.max_queue:
            self._line.append(waiter)
        else:
            raise QueueFull(f"{self._line.length} calls wait already.", self.expected_wait())
        if waiter.deadline is not None:
            waiter.timer = loop.call_later(waiter.deadline - now, self._expire, waiter)
        if now < self._limit.hold_until:
            loop.call_later(self._limit.hold_until - now, self._reopen)

    def _has_room(self, now: float) -> bool:
        return len(self._out) < self._limit.limit and now >= self._limit.hold_until

    def _pump(self, now: float) -> None:
        """Let in as many waiters as fit. Called under the lock, after each event that may have made room."""
        if (cool_down := self._limit.hold_until - now) > 0:
            for loop in {waiter.turn.get_loop() for waiter in self._line if waiter.turn}:  # any loop may end before
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(loop.call_later, cool_down, self._reopen)
            return
        while self._line.length and len(self._out) < self._limit.limit:
            waiter = self._line.pop()
            if waiter.deadline is not None and waiter.deadline <= now:
                self._send_away(waiter, DeadlineExceeded("The call waited past its deadline."))
                continue
            self._admit(waiter, now)
            if not (waiter.turn and wake(waiter.turn)):
                self._take_off(waiter)

    def _admit(self, permit: Permit, now: float) -> None:
        self._out.add(permit)
        permit.state = "active"
        permit.admitted_at = now
        permit.in_flight = len(self._out)
        if permit.in_flight > self._peak:
            self._peak = permit.in_flight
        self._waits.append(permit.waited)

    def _send_away(self, waiter: Permit, error: GateError) -> None:
        waiter.state = "sent away"
        if waiter.turn:
            wake(waiter.turn, error)

    def _reopen(self) -> None:
        with self._lock:
            self._pump(self._clock())

    def hold(self) -> Permit:
        """Make an abandoned permit for an exchange that an earlier process began and a server may still compute.

        There may be more of them than the limit (G1).
        """
        with self._lock:
            now = self._clock()
            permit = Permit(self, "batch", None, None, None, now, "abandoned", now)
            self._out.add(permit)
            return permit

    # --- the ways out --------------------------------------------------------------------------

    def _release(self, permit: Permit, outcome: Outcome, audio_seconds: float, retry_after: float) -> None:
        with self._lock:
            if permit not in self._out:
                return
            self._take_off(permit)
            now = self._clock()
            sample = Sample(permit.admitted_at, now, audio_seconds, permit.in_flight, outcome, retry_after)
            if outcome == "ok":
                self._answered.append(sample)
            try:
                if change := self._limit.record(sample):
                    self._note(change, now)
            finally:
                self._pump(now)

    def _abandon(self, permit: Permit) -> None:
        with self._lock:
            if permit.state == "active":
                permit.state = "abandoned"

    def _take_off(self, permit: Permit) -> None:
        """Note that the permit is out no longer."""
        self._out.remove(permit)
        permit.state = "released"

    def _leave(self, waiter: Permit) -> None:
        """The task of the waiter has ended: take it out of the line, or pass on the permit that it never used."""
        with self._lock:
            if waiter.state == "waiting":
                self._line.remove(waiter)
                waiter.state = "sent away"
            elif waiter.state == "active":
                self._take_off(waiter)
                self._pump(self._clock())

    def _expire(self, waiter: Permit) -> None:
        with self._lock:
            if waiter.state == "waiting":
                self._line.remove(waiter)
                self._send_away(waiter, DeadlineExceeded("The call waited past its deadline."))

    def drain(self, error: Callable[[], GateError]) -> None:
        """Send every waiter away, each with an error of its own. Called when the server cannot be reached."""
        with self._lock:
            while self._line.length:
                self._send_away(self._line.pop(), error())

    # --- the limit, and what there is to see ---------------------------------------------------

    def set_ceiling(self, ceiling: int | None) -> None:
        """Change the ceiling while running. None: the gate's first one, which is also the most it may be.

        Raises `ValueError` with a sentence for people.
        """
        if ceiling is not None and type(ceiling) is not int:
            raise ValueError(_("The limit must be a whole number, not {!r}.", ceiling))
        if ceiling is None:
            ceiling = self._first_ceiling
        elif self._first_ceiling is not None and ceiling > self._first_ceiling:
            raise ValueError(
                _("The settings let {} have at most {} calls at once, not {}.", self.name, self._first_ceiling, ceiling)
            )
        with self._lock:
            now = self._clock()
            change = self._limit.set_ceiling(ceiling)
            self._peak = 0
            if change:
                self._note(change, now)
            self._pump(now)

    def _note(self, change: LimitChange, now: float) -> None:
        self._changes.append((now, change))
        log.info("[ASR并发] 并发上限调整 server=%s limit=%d reason=%r", self.name, change.limit, change.reason)

    def memory(self) -> ServerMemory:
        """What was learnt of the server, for the next process (G15)."""
        with self._lock:
            latest = [Service(each.finished - each.started, each.audio_seconds) for each in self._answered][-LATEST:]
            return ServerMemory(self._limit.state(), tuple(latest), version=1)

    def restore(self, memory: ServerMemory) -> None:
        """Take up what an earlier process learnt of the server, before the first call (G15)."""
        with self._lock:
            now = self._clock()
            self._answered.extend(
                Sample(now - service.seconds, now, service.audio_seconds, 1, "ok") for service in memory.services
            )
            if memory.limit and (change := self._limit.restore(memory.limit)):
                self._note(change, now)

    @property
    def mean_service(self) -> float:
        """Mean seconds of the latest exchanges; 1 before the first."""
        latest = list(self._answered)[-LATEST:]
        return sum(each.finished - each.started for each in latest) / len(latest) if latest else 1.0

    def expected_wait(self) -> float:
        """Seconds that a call which came now would wait, by the measured service time."""
        with self._lock:
            now = self._clock()
            if not self._line.length and self._has_room(now):
                return 0.0
            cool_down = max(0.0, self._limit.hold_until - now)
            return cool_down + (self._line.length + 1) * self.mean_service / self._limit.limit

    def load(self) -> tuple[int, int, int]:
        """Active calls, the limit, and calls that wait here."""
        with self._lock:
            return self._active().total(), self._limit.limit, self._line.length

    def _active(self) -> Counter[Lane]:
        return Counter(permit.lane for permit in list(self._out) if permit.state == "active")

    def snapshot(self) -> GateSnapshot:
        """The gate at this moment."""
        with self._lock:
            active = self._active()
            answered = list(self._answered)
            return GateSnapshot(
                name=self.name,
                ceiling=self._limit.ceiling,
                limit=self._limit.limit,
                active=active.total(),
                queued=self._line.length,
                abandoned=len(self._out) - active.total(),
                peak=self._peak,
                max_queue=self.max_queue,
                lanes={lane: LaneCount(active[lane], self._line.waiting(lane)) for lane in LANES},
                waits=tuple(self._waits),
                services=tuple(each.finished - each.started for each in answered),
                audio=tuple(each.audio_seconds for each in answered),
                changes=tuple(self._changes),
                learnt=self._limit.learnt,
            )
