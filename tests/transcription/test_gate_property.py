"""The gate beside a model of its rules in a thousand random runs on a virtual clock; and the gate in two threads."""

import asyncio
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import UnionType

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.stations import PAUSE, Shaky
from tests.support.virtual_time import VirtualLoop
from transcription.errors import DeadlineExceeded, Evicted, GateError, QueueFull, Superseded
from transcription.gate import Gate, Permit
from transcription.limit import FixedLimit, LimitChange, Outcome, Sample
from transcription.line import LANES, MAX_PASSES, Lane
from transcription.live_share import LiveCall, LiveShare
from transcription.sentence import Sentence
from transcription.station import LATEST, Station

MAX_QUEUE = 6
TARGET = 0.5  # seconds, for live calls
LONGEST = 320  # quarters of a second in which all calls end that nothing keeps
HOLD = 2.0  # seconds after out-of-memory; all times are multiples of 1/4, which floats add without error


class Nervous(FixedLimit):
    """A limit that changes after most answers, and lets no call in for `HOLD` seconds after out-of-memory.

    It can spare a permit below its ceiling.
    """

    def __init__(self) -> None:
        super().__init__(3)
        self.limit = 2
        self.spare = True
        self.hold_until = -1.0

    def record(self, sample: Sample) -> LimitChange | None:
        if sample.outcome == "oom":
            self.hold_until = sample.finished + HOLD
        lower = {"oom": self.limit // 2, "busy": self.limit - 1, "ok": self.limit + 1}.get(sample.outcome, self.limit)
        self.limit = min(max(1, lower), self.ceiling or 1)
        self.spare = self.limit < (self.ceiling or 1)
        return LimitChange(self.limit, Sentence(sample.outcome))

    def set_ceiling(self, ceiling: int | None) -> LimitChange | None:
        self.ceiling = ceiling
        self.limit = ceiling or 1
        self.spare = False
        return LimitChange(self.limit, Sentence("set"))


@dataclass(eq=False)
class Call:
    """What the test knows of a call, and what the model says has become of it."""

    lane: Lane
    owner: str
    key: Hashable
    weight: int
    servers: tuple[int, ...]
    avoid: int | None
    patient: bool
    patience: float | None
    leave: asyncio.Event
    deadline: float | None = None
    entered: bool = False
    expected: str = "waiting"
    server: int = -1  # that let it in
    number: int = 0  # permits of the server out when it was let in, its own too
    trial: bool = False
    entered_at: float = 0.0
    beside: dict[int, int] = field(default_factory=dict)  # of a live call: calls of other lanes, by server
    outcome: Outcome = "ok"
    reached: bool | None = None
    permit: Permit[Shaky] | None = None
    error: BaseException | None = None
    task: "asyncio.Task[None] | None" = None

    @property
    def kind(self) -> Hashable:
        return self.lane, self.servers, self.avoid, self.patient


@dataclass
class ServerModel:
    limit: Nervous = field(default_factory=Nervous)
    share: LiveShare = field(default_factory=lambda: LiveShare(TARGET))
    out: int = 0
    live: int = 0  # of those
    peak: int = 0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=LATEST))
    lost: bool = False
    on_trial: bool = False
    back_at: float = 0.0

    def away(self, now: float) -> bool:
        return self.on_trial or now < self.back_at

    def limit_now(self, now: float) -> int:
        """One more than the limit while live calls come, if it can spare that."""
        return self.limit.limit + 1 if self.limit.spare and now < self.share.until else self.limit.limit

    def pace(self) -> float:
        return sum(self.seconds) / len(self.seconds) if self.seconds else 0.0

    @property
    def others(self) -> int:
        return self.out - self.live

    def end(self, call: Call, now: float) -> None:
        self.out -= 1
        self.live -= call.lane == "live"
        self.on_trial = self.on_trial and not call.trial
        if call.reached:
            self.lost = False
        elif call.reached is False and (call.trial or not self.lost):
            self.lost, self.back_at = True, now + PAUSE


@dataclass
class Model:
    """The rules, as plainly as they can be put: lists that are searched from the start."""

    servers: list[ServerModel]
    waiting: list[Call] = field(default_factory=list)
    turns: dict[Lane, list[str]] = field(default_factory=lambda: {lane: [] for lane in LANES})
    had: Counter[tuple[Lane, str]] = field(default_factory=Counter)
    passed: Counter[Hashable] = field(default_factory=Counter)

    def enter(self, call: Call, now: float) -> str | None:
        """The name of the error, if the call is refused."""
        self.expire(now)
        self.admit(now)
        call.entered_at = now
        if (server := self._server(call, now)) is not None:
            self._let_in(call, server, now)
            return None
        if self._stranded(call, now):
            return "Evicted"
        older = [other for other in self.waiting if call.key and self._same_place(call, other)]
        if older:
            place = self.waiting.index(older[0])
            self._drop(older[0], now)
            self._line_up(call, place, now)
            self._remove(older[0])
            older[0].expected = "superseded"
            self.admit(now)
        elif len(self.waiting) == MAX_QUEUE:
            return "QueueFull"
        else:
            self._line_up(call, len(self.waiting), now)
        return None

    def _line_up(self, call: Call, place: int, now: float) -> None:
        self.waiting.insert(place, call)
        if call.owner not in self.turns[call.lane]:
            self.turns[call.lane].append(call.owner)
        if call.lane == "live":
            for number in call.servers:
                self._expect_live(call, number, now)
            self.admit(now)

    def _expect_live(self, call: Call, number: int, now: float) -> None:
        self.servers[number].share.ask(now)
        call.beside[number] = max(call.beside.get(number, 0), self.servers[number].others)

    def _tell_share(self, call: Call, number: int, now: float, *, answered: bool) -> None:
        server = self.servers[number]
        others = max(call.beside[number], server.others)
        server.share.record(LiveCall(call.entered_at, now, others, answered), server.limit)

    def _drop(self, call: Call, now: float) -> None:
        if call.lane == "live":
            for number in call.servers:
                self._tell_share(call, number, now, answered=False)

    def release(self, call: Call, now: float) -> None:
        server = self.servers[call.server]
        server.end(call, now)
        call.expected = "released"
        assert call.permit
        if call.lane == "live" and call.outcome != "error":
            self._tell_share(call, call.server, now, answered=call.outcome == "ok")
        sample = Sample(call.permit.admitted_at, now, 1.0, call.number, call.outcome, server.out + 1)
        if call.outcome == "ok":
            server.seconds.append(now - call.permit.admitted_at)
        server.limit.record(sample)
        self.admit(now)

    def leave(self, call: Call, now: float) -> None:
        if call.expected == "waiting":
            self._remove(call)
            self._drop(call, now)
        elif call.expected == "active":
            call.reached = None
            self.servers[call.server].end(call, now)
            self.admit(now)
        call.expected = "gone"

    def expire(self, now: float) -> None:
        for call in [call for call in self.waiting if call.deadline is not None and call.deadline <= now]:
            self._remove(call)
            self._drop(call, now)
            call.expected = "expired"

    def admit(self, now: float) -> None:
        for call in [call for call in self.waiting if self._stranded(call, now)]:
            self._remove(call)
            call.expected = "evicted"
        while ready := [call for call in self.waiting if self._server(call, now) is not None]:
            lanes = [lane for lane in LANES if any(call.lane == lane for call in ready)]
            starved = [lane for lane in lanes if any(self._is_starved(call) for call in ready if call.lane == lane)]
            lane = starved[-1] if starved else lanes[0]
            call = min(
                (call for call in ready if call.lane == lane), key=lambda call: self.turns[lane].index(call.owner)
            )
            server = self._server(call, now)
            assert server is not None
            for kind in {other.kind for other in self.waiting if server in other.servers}:
                self.passed[kind] = 0 if kind[0] == lane else self.passed[kind] + 1  # type: ignore[index]
            self.had[lane, call.owner] += 1
            over = self.had[lane, call.owner] >= call.weight
            self._remove(call)
            if over and call.owner in self.turns[lane]:
                self.turns[lane].append(self.turns[lane].pop(self.turns[lane].index(call.owner)))
                del self.had[lane, call.owner]
            if call.deadline is not None and call.deadline <= now:
                self._drop(call, now)
                call.expected = "expired"
            else:
                self._let_in(call, server, now)

    def _is_starved(self, call: Call) -> bool:
        return self.passed[call.kind] >= MAX_PASSES

    def _server(self, call: Call, now: float) -> int | None:
        """The server that the call may have now."""
        there = [number for number in call.servers if not self.servers[number].away(now)]
        if there != [call.avoid]:
            there = [number for number in there if number != call.avoid]
        free = [number for number in there if self._room(self.servers[number], call.lane, now)]
        return min(free, key=lambda number: self.servers[number].pace(), default=None)

    def _stranded(self, call: Call, now: float) -> bool:
        return not call.patient and all(self.servers[number].away(now) for number in call.servers)

    def _room(self, server: ServerModel, lane: Lane, now: float) -> bool:
        total, others = server.share.bounds(now, server.limit)
        return server.out < total and (lane == "live" or server.others < others) and now >= server.limit.hold_until

    def _let_in(self, call: Call, number: int, now: float) -> None:
        server = self.servers[number]
        if call.lane == "live":
            self._expect_live(call, number, now)
            server.live += 1
        server.out += 1
        assert server.out <= server.limit_now(now)  # G1
        server.peak = max(server.peak, server.out)
        server.on_trial = call.trial = server.lost
        call.expected, call.server, call.number = "active", number, server.out

    def _same_place(self, call: Call, other: Call) -> bool:
        return (call.lane, call.owner, call.key) == (other.lane, other.owner, other.key)

    def _remove(self, call: Call) -> None:
        self.waiting.remove(call)
        if not any((other.lane, other.owner) == (call.lane, call.owner) for other in self.waiting):
            self.turns[call.lane].remove(call.owner)
            del self.had[call.lane, call.owner]
        if not any(other.kind == call.kind for other in self.waiting):
            del self.passed[call.kind]


class GateMachine(RuleBasedStateMachine):
    """Rules ask for something; only `step` and `advance` run the loop, so that all meets all at every await point."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.calls: list[Call] = []

    @initialize(servers=st.integers(1, 3))
    def begin(self, servers: int) -> None:
        self.servers = [
            Shaky(f"gpu{number}", Nervous(), self.loop.time, LiveShare(TARGET)) for number in range(servers)
        ]
        self.gate = Gate(self.servers, max_queue=MAX_QUEUE, clock=self.loop.time)
        self.model = Model([ServerModel() for _ in range(servers)])

    async def call(self, call: Call) -> None:
        """A caller. The model is told of each thing at the moment that the gate does it."""
        now = self.loop.time()
        call.deadline = None if call.patience is None else now + call.patience
        refused = self.model.enter(call, now)
        call.entered = refused is None
        try:
            call.permit = self.gate.enter(
                call.lane,
                call.owner,
                servers=[self.servers[number] for number in call.servers],
                avoid=None if call.avoid is None else self.servers[call.avoid],
                patient=call.patient,
                deadline=call.deadline,
                supersede=call.key,
                weight=call.weight,
            )
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
        call.permit.release(call.outcome, 1.0, reached=call.reached)
        self.model.release(call, self.loop.time())

    def having(self, *expected: str) -> list[Call]:
        return [call for call in self.calls if call.entered and call.expected in expected]

    @rule(
        lane=st.sampled_from(LANES),
        owner=st.sampled_from("ABC"),
        key=st.sampled_from([None, None, "session"]),
        weight=st.sampled_from([1, 1, 2]),
        suiting=st.sampled_from([(0, 1, 2), (0, 1, 2), (0,), (1,), (2, 0)]),
        avoid=st.sampled_from([None, None, 0, 1]),
        patient=st.booleans(),
        patience=st.sampled_from([None, None, None, 0.25, 1.0]),
    )
    def arrive(
        self,
        lane: Lane,
        owner: str,
        key: str | None,
        weight: int,
        suiting: tuple[int, ...],
        avoid: int | None,
        patient: bool,
        patience: float | None,
    ) -> None:
        servers = tuple(number for number in suiting if number < len(self.servers)) or (0,)
        avoid = avoid if avoid in servers else None
        call = Call(lane, owner, key, weight, servers, avoid, patient, patience, asyncio.Event())
        call.task = self.loop.create_task(self.call(call))
        self.calls.append(call)

    @precondition(lambda self: self.having("active", "abandoned"))
    @rule(
        data=st.data(),
        outcome=st.sampled_from(["ok", "ok", "oom", "busy", "timeout", "error"]),
        reached=st.sampled_from([True, True, None, False]),
    )
    def end(self, data: st.DataObject, outcome: Outcome, reached: bool | None) -> None:
        call = data.draw(st.sampled_from(self.having("active", "abandoned")))
        call.outcome, call.reached = outcome, reached
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

    @rule(data=st.data(), ceiling=st.integers(1, 3))
    def change_limit(self, data: st.DataObject, ceiling: int) -> None:
        number = data.draw(st.integers(0, len(self.servers) - 1))
        self.gate.set_ceiling(self.servers[number], ceiling)
        model = self.model.servers[number]
        model.limit.set_ceiling(ceiling)
        model.peak = 0
        self.model.admit(self.loop.time())

    @rule()
    def step(self) -> None:
        self.loop.step()

    @rule(quarters=st.integers(1, 10))
    def advance(self, quarters: int) -> None:
        for _ in range(quarters):
            self._tick()

    def _tick(self) -> None:
        self.loop.advance(0.25)
        now = self.loop.time()
        self.model.expire(now)
        self.model.admit(now)

    @invariant()
    def the_gate_does_as_the_model_says(self) -> None:
        line, seen = self.gate.snapshot()
        assert line.queued == len(self.model.waiting)
        for number, (server, model) in enumerate(zip(self.servers, self.model.servers, strict=True)):
            assert seen[server].active + seen[server].abandoned == model.out
            assert seen[server].limit == model.limit_now(self.loop.time())
            assert seen[server].peak == model.peak
            told, held = seen[server].live_share, self.loop.time() < model.share.until
            assert told == (model.share.bounds(self.loop.time(), model.limit).others if held else None)
            only = [call for call in self.model.waiting if call.servers == (number,)]
            assert seen[server].queued == len(only)
            for lane in LANES:
                active = [call for call in self.having("active") if (call.lane, call.server) == (lane, number)]
                assert seen[server].lanes[lane].active == len(active)
        states = {"superseded": "sent away", "expired": "sent away", "evicted": "sent away"}
        for call in self.calls:
            if call.entered and call.permit and call.expected != "gone":
                assert call.permit.state == states.get(call.expected, call.expected), call
                if call.number:
                    assert (call.permit.in_flight, call.permit.server) == (call.number, self.servers[call.server]), call

    def teardown(self) -> None:
        for call in self.calls:
            call.leave.set()
        for call in self.calls[::2]:
            if call.task:
                call.task.cancel()
        for _ in range(LONGEST):
            if asyncio.all_tasks(self.loop):
                self._tick()
        for call in self.calls:
            if call.task and not call.task.cancelled():
                call.task.result()
        line, seen = self.gate.snapshot()
        assert line.queued == 0
        assert all((each.active, each.queued, each.abandoned) == (0, 0, 0) for each in seen.values())
        assert not asyncio.all_tasks(self.loop)
        errors: dict[str, type[GateError] | UnionType] = {
            "superseded": Superseded, "expired": DeadlineExceeded, "evicted": Evicted,
        }  # fmt: skip
        for call in self.calls:
            refusals = QueueFull | DeadlineExceeded | Evicted
            assert not call.error or isinstance(call.error, errors.get(call.expected, refusals))
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


async def crowd(gate: Gate[Station], computer: Computer, seed: int) -> None:
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
        gate = Gate([Station("whisper", FixedLimit(1 + seed % 3))], max_queue=50)
        computer = Computer()
        with ThreadPoolExecutor(2) as threads:
            for run in [threads.submit(asyncio.run, crowd(gate, computer, 2 * seed + side)) for side in range(2)]:
                run.result()
        (snapshot,) = gate.snapshot()[1].values()
        assert (snapshot.active, snapshot.queued, snapshot.abandoned) == (0, 0, 0)
        assert computer.peak == snapshot.peak == 1 + seed % 3
        assert computer.visits > 20
