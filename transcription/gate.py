"""The gate: it decides which call may reach a Whisper server, and when. One gate stands before each server.

    waiter = gate.enter("batch", owner="user:7")    # a place in line; at once, never waits
    permit = await waiter.admitted()                # the right to have one request in flight
    ...                                             # the HTTP exchange, and nothing else
    permit.release("ok", audio_seconds=28.4)

The rules, by the numbers that tests and design use:

G1   Permits out never exceed the limit. When the limit shrinks nothing is revoked: nobody is let in until it fits.
G2   One gate serves the whole process: any thread, any event loop.
G3   Order: the lanes live, interactive, batch; inside a lane owners take turns; inside an owner first come, first
     served. A lane that was passed over eight times in a row gets the next admission.
G4   The line is bounded: `QueueFull` at once, with the seconds after which to come back.
G5   A waiter that is cancelled leaves at once; a permit already on its way to it goes to the next.
G6   (the client's) Retries give the permit back before they wait, and queue again.
G7   Asking again while holding a permit of the same gate raises `NestedPermit`: at limit 1 it would wait for itself.
G8   (the client's) Skipping the gate is for tests: counted, logged, and refused unless allowed.
G9   A permit may be *abandoned*: nobody waits for the answer any more, but the server is still computing, so it
     stays out, counted apart, until it is released.
G10  A waiter may have a deadline (`DeadlineExceeded`), and a newer call may take an older one's place (`Superseded`).
G11  The limit may change while running; waiters are let in at once when it grows.
G12  Entering, leaving and admitting cost O(1), however many wait.

What the limit should be is another object's business (see `limit`): it is told of each finished exchange, and answers
with the limit and, after the server ran out of memory, a time before which nobody is let in.
"""

import asyncio
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, get_args

from .errors import DeadlineExceeded, GateError, NestedPermit, QueueFull, Superseded
from .limit import Limit, LimitChange, Outcome, Sample

log = logging.getLogger(__name__)

Lane = Literal["live", "interactive", "batch"]
LANES: tuple[Lane, ...] = get_args(Lane)

MAX_PASSES = 8  # admissions past a waiting lower lane before that lane gets one (rule G3)
WINDOW = 512  # exchanges that the windows look back on
MEAN_WEIGHT = 0.1  # of the newest exchange in the mean service time: looks back on about ten


@dataclass(frozen=True, slots=True)
class LaneCount:
    active: int
    queued: int


@dataclass(frozen=True, slots=True)
class GateSnapshot:
    """The gate at one moment. The windows look back on the latest exchanges; all times are seconds.

    `services` and `audio` go together: how long each exchange took, and how much audio it carried.
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


@dataclass(eq=False, slots=True)
class Permit:
    """The right to have one request in flight to the gate's server. Times are seconds of the gate's clock."""

    gate: "Gate"
    lane: Lane
    waited: float
    admitted_at: float
    in_flight: int
    state: Literal["active", "abandoned", "released"] = "active"

    def release(self, outcome: Outcome = "ok", audio_seconds: float = 0.0) -> None:
        """Give the permit back and say how the exchange went. Only the first call counts."""
        self.gate._release(self, outcome, audio_seconds)

    def abandon(self) -> None:
        """Nobody waits for the answer any more, but the server may still be computing: stay out, counted apart."""
        self.gate._abandon(self)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Marks the block as running under this permit, so that a nested request for another is noticed."""
        token = _held.set((*_held.get(), self))
        try:
            yield
        finally:
            _held.reset(token)


# The permits that the current task, or one that started it, runs under.
_held: ContextVar[tuple[Permit, ...]] = ContextVar("held_permits", default=())


@dataclass(eq=False, slots=True)
class Waiter:
    """A place in line. Await `admitted()` right after `enter()`: it is what leaves the line if one is cancelled."""

    gate: "Gate"
    lane: Lane
    owner: Hashable
    key: Hashable
    entered_at: float
    deadline: float | None
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Permit]"
    queued: bool = False
    outcome: Permit | GateError | None = None
    timer: asyncio.TimerHandle | None = None

    async def admitted(self) -> Permit:
        """The permit, as soon as it is this waiter's turn.

        Raises `DeadlineExceeded`, `Superseded`, or the error that the gate was drained with.
        """
        try:
            return await self.future
        except BaseException:
            self.gate._leave(self)
            raise
        finally:
            if self.timer:
                self.timer.cancel()

    def resolve(self, outcome: Permit | GateError) -> None:
        """Say what became of the waiter, and have its own loop wake it. Called under the gate's lock."""
        self.outcome = outcome
        try:
            if self.loop is _running_loop():
                self._wake()
            else:
                self.loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # its loop is closed, so nobody will ever take the permit
            self.gate._leave(self)

    def _wake(self) -> None:
        if self.future.done():  # cancelled: its task is about to call `_leave`
            return
        if isinstance(self.outcome, Permit):
            self.future.set_result(self.outcome)
        elif self.outcome:
            self.future.set_exception(self.outcome)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@dataclass(eq=False, slots=True)
class _Line:
    """The waiters of one lane: owners in the order of their turns, each with its waiters in order of arrival."""

    owners: OrderedDict[Hashable, OrderedDict[Hashable, Waiter]] = field(default_factory=OrderedDict)
    active: int = 0
    queued: int = 0
    passed: int = 0

    def find(self, owner: Hashable, key: Hashable) -> Waiter | None:
        return self.owners[owner].get(key) if owner in self.owners else None

    def put(self, waiter: Waiter) -> None:
        """To the end of its owner's waiters, or in the place of the one with the same key."""
        waiters = self.owners.setdefault(waiter.owner, OrderedDict())
        self.queued += waiter.key not in waiters
        waiters[waiter.key] = waiter
        waiter.queued = True

    def remove(self, waiter: Waiter) -> None:
        waiters = self.owners[waiter.owner]
        del waiters[waiter.key]
        if not waiters:
            del self.owners[waiter.owner]
        self.queued -= 1
        waiter.queued = False

    def first(self) -> Waiter:
        """The first waiter of the owner whose turn it is."""
        return next(iter(next(iter(self.owners.values())).values()))

    def pop(self) -> Waiter:
        """Take out the first waiter; its owner's next turn comes after all others'."""
        waiter = self.first()
        self.remove(waiter)
        if waiter.owner in self.owners:
            self.owners.move_to_end(waiter.owner)
        return waiter


class Gate:
    """The gate before one server.

    limit: says how many permits may be out (see `limit`).
    max_queue: how many calls may wait.
    clock: monotonic seconds; tests give their own.
    """

    def __init__(
        self,
        name: str,
        limit: Limit,
        *,
        max_queue: int = 100,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_queue < 1:
            raise ValueError(f"The queue must have room for at least one call, not {max_queue}.")
        self.name = name
        self.max_queue = max_queue
        self._limit = limit
        self._clock = clock
        # Reentrant: collecting a coroutine that was never finished may call `_leave` in the midst of anything.
        self._lock = threading.RLock()
        self._lines: dict[Lane, _Line] = {lane: _Line() for lane in LANES}
        self._active = self._abandoned = self._queued = self._peak = 0
        self._waits: deque[float] = deque(maxlen=WINDOW)
        self._services: deque[float] = deque(maxlen=WINDOW)
        self._audio: deque[float] = deque(maxlen=WINDOW)
        self._changes: deque[tuple[float, LimitChange]] = deque(maxlen=WINDOW)
        self._mean_service: float | None = None
        self._reopening: tuple[asyncio.AbstractEventLoop, float] | None = None

    # --- the way in ----------------------------------------------------------------------------

    def enter(
        self, lane: Lane, owner: Hashable, *, deadline: float | None = None, supersede: Hashable = None
    ) -> Waiter:
        """Take a place in line; await the waiter's `admitted()` next.

        deadline: clock time past which the waiter is dropped.
        supersede: where this owner has a waiter of the same key in this lane, take over its place.
        Raises `QueueFull`, `NestedPermit`, and `ValueError` for a lane that does not exist.
        """
        if lane not in self._lines:
            raise ValueError(f"There is no lane {lane!r}; the lanes are {', '.join(LANES)}.")
        if any(permit.gate is self and permit.state == "active" for permit in _held.get()):
            raise NestedPermit(f"This task already holds a permit of {self.name}: at limit 1 it would wait for itself.")
        loop = asyncio.get_running_loop()
        line = self._lines[lane]
        with self._lock:
            now = self._clock()
            waiter = Waiter(self, lane, owner, supersede, now, deadline, loop, loop.create_future())
            if supersede is None:
                waiter.key = waiter
            elif older := line.find(owner, supersede):
                line.put(waiter)
                older.queued = False
                older.resolve(Superseded("A newer call took this one's place."))
            if not waiter.queued:
                if not self._queued and self._open(now):
                    waiter.resolve(self._admit(waiter, now))
                    return waiter
                if self._queued >= self.max_queue:
                    raise QueueFull(f"{self._queued} calls wait already.", self.expected_wait())
                line.put(waiter)
                self._queued += 1
            if deadline is not None:
                waiter.timer = loop.call_later(max(0.0, deadline - now), self._expire, waiter)
            self._pump()
        return waiter

    async def acquire(
        self, lane: Lane, owner: Hashable, *, deadline: float | None = None, supersede: Hashable = None
    ) -> Permit:
        """`enter()` and `admitted()` in one, for callers that have nothing to do in between."""
        return await self.enter(lane, owner, deadline=deadline, supersede=supersede).admitted()

    def _open(self, now: float) -> bool:
        return self._active + self._abandoned < self._limit.limit and now >= self._limit.hold_until

    def _pump(self) -> None:
        """Let in as many as fit. Called under the lock, after anything that may have made room."""
        now = self._clock()
        while self._queued and self._open(now):
            line = self._next_line()
            waiter = line.pop()
            self._queued -= 1
            if waiter.deadline is not None and waiter.deadline <= now:
                waiter.resolve(DeadlineExceeded("The call waited past its deadline."))
            else:
                self._count_passes(line)
                waiter.resolve(self._admit(waiter, now))
        if self._queued and now < self._limit.hold_until:
            self._reopen_at(self._limit.hold_until, now)

    def _admit(self, waiter: Waiter, now: float) -> Permit:
        self._active += 1
        self._lines[waiter.lane].active += 1
        out = self._active + self._abandoned
        self._peak = max(self._peak, out)
        self._waits.append(now - waiter.entered_at)
        return Permit(self, waiter.lane, now - waiter.entered_at, now, out)

    def _next_line(self) -> _Line:
        lines = [line for line in self._lines.values() if line.queued]
        # The lowest first: what a starved lower lane takes does not count as passing a starved higher one.
        return next((line for line in reversed(lines) if line.passed >= MAX_PASSES), lines[0])

    def _count_passes(self, admitted: _Line) -> None:
        admitted.passed = 0
        lower = False
        for line in self._lines.values():
            if lower:
                line.passed = line.passed + 1 if line.queued else 0
            lower = lower or line is admitted

    def _reopen_at(self, when: float, now: float) -> None:
        """Look again when the cool-down is over: one timer, on the loop of somebody who waits."""
        if self._reopening and self._reopening[1] >= when and not self._reopening[0].is_closed():
            return
        loop = self._next_line().first().loop
        self._reopening = (loop, when)
        loop.call_soon_threadsafe(loop.call_later, when - now, self._reopen)

    def _reopen(self) -> None:
        with self._lock:
            self._reopening = None
            self._pump()

    # --- the ways out --------------------------------------------------------------------------

    def _release(self, permit: Permit, outcome: Outcome, audio_seconds: float) -> None:
        with self._lock:
            if permit.state == "released":
                return
            now = self._clock()
            if outcome == "ok":
                seconds = now - permit.admitted_at
                self._services.append(seconds)
                self._audio.append(audio_seconds)
                mean = self._mean_service
                self._mean_service = seconds if mean is None else mean + MEAN_WEIGHT * (seconds - mean)
            sample = Sample(permit.admitted_at, now, audio_seconds, permit.in_flight, outcome)
            self._note(self._limit.record(sample), now)
            self._take_back(permit)

    def _abandon(self, permit: Permit) -> None:
        with self._lock:
            if permit.state == "active":
                permit.state = "abandoned"
                self._active -= 1
                self._lines[permit.lane].active -= 1
                self._abandoned += 1

    def _take_back(self, permit: Permit) -> None:
        if permit.state == "active":
            self._active -= 1
            self._lines[permit.lane].active -= 1
        elif permit.state == "abandoned":
            self._abandoned -= 1
        permit.state = "released"
        self._pump()

    def _leave(self, waiter: Waiter) -> None:
        """Nobody waits here any more: leave the line, or pass on the permit that was never used."""
        with self._lock:
            if waiter.queued:
                self._lines[waiter.lane].remove(waiter)
                self._queued -= 1
            elif isinstance(waiter.outcome, Permit) and waiter.outcome.state == "active":
                self._take_back(waiter.outcome)

    def _expire(self, waiter: Waiter) -> None:
        with self._lock:
            if waiter.queued:
                self._leave(waiter)
                waiter.resolve(DeadlineExceeded("The call waited past its deadline."))

    def drain(self, error: Callable[[], GateError]) -> None:
        """Send every waiter away, each with an error of its own, as when the server cannot be reached."""
        with self._lock:
            for line in self._lines.values():
                while line.queued:
                    waiter = line.pop()
                    self._queued -= 1
                    waiter.resolve(error())

    # --- the limit, and what there is to see ---------------------------------------------------

    def set_ceiling(self, ceiling: int | None) -> None:
        """Change the highest limit while running; None has it found from 1 upwards. `ValueError` says what is wrong."""
        with self._lock:
            self._note(self._limit.set_ceiling(ceiling), self._clock())
            self._pump()

    def _note(self, change: LimitChange | None, now: float) -> None:
        if change:
            self._changes.append((now, change))
            log.info("[ASR并发] 并发上限调整 server=%s limit=%d reason=%r", self.name, change.limit, change.reason)

    def expected_wait(self) -> float:
        """Seconds until all that wait now have been let in, by the measured service time (1 before there is one)."""
        return (self._queued + 1) * (self._mean_service or 1.0) / self._limit.limit

    def counts(self) -> str:
        """The load in the words of the log lines, e.g. `active=1/1 queued=3`."""
        return f"active={self._active}/{self._limit.limit} queued={self._queued}"

    def snapshot(self) -> GateSnapshot:
        """Everything there is to know, of one moment."""
        with self._lock:
            return GateSnapshot(
                name=self.name,
                ceiling=self._limit.ceiling,
                limit=self._limit.limit,
                active=self._active,
                queued=self._queued,
                abandoned=self._abandoned,
                peak=self._peak,
                max_queue=self.max_queue,
                lanes={lane: LaneCount(line.active, line.queued) for lane, line in self._lines.items()},
                waits=tuple(self._waits),
                services=tuple(self._services),
                audio=tuple(self._audio),
                changes=tuple(self._changes),
            )
