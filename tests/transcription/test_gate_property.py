"""The gate beside a model of its rules in a thousand random runs on a virtual clock; and the gate in two threads."""

import asyncio
import random
import threading
import time
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.virtual_time import VirtualLoop
from transcription.errors import DeadlineExceeded, Evicted, GateError, QueueFull, Superseded
from transcription.gate import Gate, Permit
from transcription.limit import FixedLimit, LimitChange, Outcome, Sample
from transcription.line import LANES, MAX_PASSES, Lane
from transcription.sentence import Sentence

MAX_QUEUE = 6
HOLD = 2.0  # seconds after out-of-memory; all times are multiples of 1/4, which floats add without error


class Nervous(FixedLimit):
    """A limit that changes after most answers, and lets no call in for `HOLD` seconds after out-of-memory."""

    def __init__(self) -> None:
        super().__init__(3)
        self.limit = 2
        self.hold_until = -1.0

    def record(self, sample: Sample) -> LimitChange | None:
        if sample.outcome == "oom":
            self.hold_until = sample.finished + HOLD
        lower = {"oom": self.limit // 2, "busy": self.limit - 1, "ok": self.limit + 1}.get(sample.outcome, self.limit)
        self.limit = min(max(1, lower), self.ceiling or 1)
        return LimitChange(self.limit, Sentence(sample.outcome))

    def set_ceiling(self, ceiling: int | None) -> LimitChange | None:
        self.ceiling = ceiling
        self.limit = ceiling or 1
        return LimitChange(self.limit, Sentence("set"))


@dataclass(eq=False)
class Call:
    """A call as the test makes it, and the state in which the model expects it."""

    lane: Lane
    owner: str
    key: Hashable
    patience: float | None
    leave: asyncio.Event
    deadline: float | None = None
    entered: bool = False
    expected: str = "waiting"
    number: int = 0  # permits out when it was let in, its own included
    outcome: Outcome = "ok"
    permit: Permit | None = None
    error: BaseException | None = None
    task: "asyncio.Task[None] | None" = None


@dataclass
class Model:
    """The gate's rules in their plainest form: lists, searched from the start."""

    limit: Nervous = field(default_factory=Nervous)
    out: int = 0
    peak: int = 0
    waiting: list[Call] = field(default_factory=list)
    turns: dict[Lane, list[str]] = field(default_factory=lambda: {lane: [] for lane in LANES})
    passed: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(LANES, 0))

    def enter(self, call: Call, now: float) -> str | None:
        """Put the call in line, or let it in. Returns the name of the error if the call is refused."""
        self.expire(now)
        older = [other for other in self.waiting if call.key and self._same_place(call, other)]
        if older:
            self.waiting[self.waiting.index(older[0])] = call
            older[0].expected = "superseded"
        elif self._room(now) and not self.waiting:
            self._let_in(call)
        elif len(self.waiting) == MAX_QUEUE:
            return "QueueFull"
        else:
            self.waiting.append(call)
            if call.owner not in self.turns[call.lane]:
                self.turns[call.lane].append(call.owner)
        return None

    def release(self, call: Call, now: float) -> None:
        self.out -= 1
        call.expected = "released"
        assert call.permit
        self.limit.record(Sample(call.permit.admitted_at, now, 0.0, call.number, call.outcome))
        self.admit(now)

    def leave(self, call: Call, now: float) -> None:
        if call.expected == "waiting":
            self._remove(call)
        elif call.expected == "active":
            self.out -= 1
            self.admit(now)
        call.expected = "gone"

    def expire(self, now: float) -> None:
        for call in [call for call in self.waiting if call.deadline is not None and call.deadline <= now]:
            self._remove(call)
            call.expected = "expired"

    def admit(self, now: float) -> None:
        while self.waiting and self._room(now):
            lanes = [lane for lane in LANES if any(call.lane == lane for call in self.waiting)]
            starved = [lane for lane in lanes if self.passed[lane] >= MAX_PASSES]
            lane = starved[-1] if starved else lanes[0]
            owner = self.turns[lane][0]
            call = next(call for call in self.waiting if (call.lane, call.owner) == (lane, owner))
            self._remove(call)
            if owner in self.turns[lane]:
                self.turns[lane].append(self.turns[lane].pop(self.turns[lane].index(owner)))
            for other in LANES:
                self.passed[other] += any(call.lane == other for call in self.waiting)
            self.passed[lane] = 0
            if call.deadline is not None and call.deadline <= now:
                call.expected = "expired"
            else:
                self._let_in(call)

    def _room(self, now: float) -> bool:
        return self.out < self.limit.limit and now >= self.limit.hold_until

    def _let_in(self, call: Call) -> None:
        self.out += 1
        assert self.out <= self.limit.limit  # G1
        self.peak = max(self.peak, self.out)
        call.expected, call.number = "active", self.out

    def _same_place(self, call: Call, other: Call) -> bool:
        return (call.lane, call.owner, call.key) == (other.lane, other.owner, other.key)

    def _remove(self, call: Call) -> None:
        self.waiting.remove(call)
        if not any((other.lane, other.owner) == (call.lane, call.owner) for other in self.waiting):
            self.turns[call.lane].remove(call.owner)
        if not any(other.lane == call.lane for other in self.waiting):
            self.passed[call.lane] = 0


class GateMachine(RuleBasedStateMachine):
    """Random events at a gate, and the same events in the model.

    Most rules only ask for something. The loop runs in `step` and `advance` alone, so that each event may meet each
    other event at every `await`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.gate = Gate("whisper", Nervous(), max_queue=MAX_QUEUE, clock=self.loop.time)
        self.model = Model()
        self.calls: list[Call] = []

    async def call(self, call: Call) -> None:
        """The task of one call. It tells the model of each event at the moment when the gate learns of it."""
        now = self.loop.time()
        call.deadline = None if call.patience is None else now + call.patience
        refused = self.model.enter(call, now)
        call.entered = refused is None
        try:
            call.permit = self.gate.enter(call.lane, call.owner, deadline=call.deadline, supersede=call.key)
            await call.permit.admitted()
            await call.leave.wait()
        except asyncio.CancelledError:
            if call.permit and call.expected in ("active", "abandoned") and call.permit.state == call.expected:
                self.give_back(call)  # it was let in: the permit goes back as after any error
            else:
                self.model.leave(call, self.loop.time())
            return
        except GateError as error:
            call.error = error
        else:
            self.give_back(call)
        assert refused == (type(call.error).__name__ if refused else None)

    def give_back(self, call: Call) -> None:
        assert call.permit
        call.permit.release(call.outcome)
        self.model.release(call, self.loop.time())

    def having(self, *expected: str) -> list[Call]:
        return [call for call in self.calls if call.entered and call.expected in expected]

    @rule(
        lane=st.sampled_from(LANES),
        owner=st.sampled_from("ABC"),
        key=st.sampled_from([None, None, "session"]),
        patience=st.sampled_from([None, None, None, 0.25, 1.0]),
    )
    def arrive(self, lane: Lane, owner: str, key: str | None, patience: float | None) -> None:
        call = Call(lane, owner, key, patience, asyncio.Event())
        call.task = self.loop.create_task(self.call(call))
        self.calls.append(call)

    @precondition(lambda self: self.having("active", "abandoned"))
    @rule(data=st.data(), outcome=st.sampled_from(["ok", "ok", "oom", "busy", "timeout", "error"]))
    def end(self, data: st.DataObject, outcome: Outcome) -> None:
        call = data.draw(st.sampled_from(self.having("active", "abandoned")))
        call.outcome = outcome
        call.leave.set()

    @precondition(lambda self: self.having("waiting", "active"))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.having("waiting", "active")))
        assert call.task
        call.task.cancel()

    @precondition(lambda self: self.having("active"))
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.having("active")))
        assert call.permit
        if call.permit.turn is None or call.permit.turn.done():
            call.permit.abandon()
            call.expected = "abandoned"

    @rule(ceiling=st.integers(1, 3))
    def change_limit(self, ceiling: int) -> None:
        self.gate.set_ceiling(ceiling)
        self.model.limit.set_ceiling(ceiling)
        self.model.peak = 0
        self.model.admit(self.loop.time())

    @rule()
    def lose_the_server(self) -> None:
        self.gate.drain(lambda: Evicted("The server is gone."))
        for call in list(self.model.waiting):
            self.model._remove(call)
            call.expected = "evicted"

    @rule()
    def step(self) -> None:
        self.loop.step()

    @rule(quarters=st.integers(1, 10))
    def advance(self, quarters: int) -> None:
        for _ in range(quarters):
            self.loop.advance(0.25)
            now = self.loop.time()
            self.model.expire(now)
            if now >= self.model.limit.hold_until:
                self.model.admit(now)

    @invariant()
    def the_gate_does_as_the_model_says(self) -> None:
        snapshot = self.gate.snapshot()
        assert snapshot.active + snapshot.abandoned == self.model.out
        assert snapshot.queued == len(self.model.waiting)
        assert snapshot.limit == self.model.limit.limit
        assert snapshot.peak == self.model.peak
        for lane in LANES:
            active = len([call for call in self.having("active") if call.lane == lane])
            queued = len([call for call in self.model.waiting if call.lane == lane])
            assert (snapshot.lanes[lane].active, snapshot.lanes[lane].queued) == (active, queued)
        states = {"superseded": "sent away", "expired": "sent away", "evicted": "sent away"}
        for call in self.calls:
            if call.entered and call.permit and call.expected != "gone":
                assert call.permit.state == states.get(call.expected, call.expected), call
                if call.number:
                    assert call.permit.in_flight == call.number, call

    def teardown(self) -> None:
        for call in self.calls:
            call.leave.set()
        for call in self.calls[::2]:
            if call.task:
                call.task.cancel()
        self.loop.advance(10 * HOLD)
        snapshot = self.gate.snapshot()
        assert (snapshot.active, snapshot.queued, snapshot.abandoned) == (0, 0, 0)
        assert not asyncio.all_tasks(self.loop)
        errors: dict[str, type[GateError]] = {
            "superseded": Superseded, "expired": DeadlineExceeded, "evicted": Evicted,
        }  # fmt: skip
        for call in self.calls:
            assert not call.error or isinstance(call.error, errors.get(call.expected, QueueFull | DeadlineExceeded))
        self.loop.close()


GateMachine.TestCase.settings = settings(
    max_examples=1000,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
TestGateAgainstItsModel = GateMachine.TestCase


class Computer:
    """Stands in for a server: counts the calls inside it, over all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = self.peak = self.visits = 0

    def enter(self) -> None:
        with self._lock:
            self.inside += 1
            self.visits += 1
            self.peak = max(self.peak, self.inside)

    def leave(self) -> None:
        with self._lock:
            self.inside -= 1


async def crowd(gate: Gate, computer: Computer, seed: int) -> None:
    """Make sixty calls, and wait for their ends. Some have deadlines; some are superseded, abandoned or cancelled."""
    dice = random.Random(seed)  # noqa: S311

    async def call(number: int) -> None:
        await asyncio.sleep(dice.uniform(0, 0.01))
        deadline = time.monotonic() + dice.uniform(0, 0.02) if dice.random() < 0.2 else None
        key = "session" if dice.random() < 0.2 else None
        try:
            permit = await gate.acquire(dice.choice(LANES), number % 5, deadline=deadline, supersede=key)
        except (DeadlineExceeded, Superseded, QueueFull):
            return
        computer.enter()
        try:
            if dice.random() < 0.2:
                permit.abandon()
            await asyncio.sleep(dice.uniform(0, 0.002))
        finally:
            computer.leave()
            permit.release(dice.choice(["ok", "busy", "error"]))

    tasks = [asyncio.create_task(call(number)) for number in range(60)]
    for task in tasks:
        if dice.random() < 0.3:
            asyncio.get_running_loop().call_later(dice.uniform(0, 0.03), task.cancel)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(task.exception()) for task in tasks if not task.cancelled()} <= {type(None)}
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_two_event_loops_in_two_threads_never_pass_the_limit_together_and_leave_nothing_behind() -> None:
    for seed in range(40):
        gate = Gate("whisper", FixedLimit(1 + seed % 3), max_queue=50)
        computer = Computer()
        with ThreadPoolExecutor(2) as threads:
            for run in [threads.submit(asyncio.run, crowd(gate, computer, 2 * seed + side)) for side in range(2)]:
                run.result()
        snapshot = gate.snapshot()
        assert (snapshot.active, snapshot.queued, snapshot.abandoned) == (0, 0, 0)
        assert computer.peak == snapshot.peak == 1 + seed % 3
        assert computer.visits > 20
