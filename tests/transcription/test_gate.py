"""The gate's rules. Names of tests begin with the rule's number in the docstring of `transcription.gate`.

G6 and G8 are rules of the client: see test_retry and test_call_path. G13 is in test_gate_live, G14 in
test_gate_servers, and G15 in test_remembering.
"""

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.gates import Callers, counts, gate, rest, seen, set_ceiling
from tests.support.virtual_time import VirtualLoop, in_virtual_time
from tests.support.waiting import PATIENCE, until
from transcription.errors import DeadlineExceeded, Evicted, GateError, NestedPermit, QueueFull, Superseded
from transcription.gate import Gate, Permit
from transcription.limit import AdaptiveLimit, FixedLimit
from transcription.line import LANES
from transcription.station import Station

# --- G1: permits and limit ---------------------------------------------------------------------


@in_virtual_time
async def test_g1_there_are_never_more_permits_out_than_the_limit() -> None:
    callers = Callers(gate(3))
    await callers.add(*(str(number) for number in range(10)))
    assert counts(callers.gate) == (3, 7, 0)
    assert await callers.end() == [str(number) for number in range(10)]
    assert seen(callers.gate).peak == 3
    assert asyncio.get_running_loop().time() == 4.0  # ten calls of a second, three at a time


@in_virtual_time
async def test_g1_a_limit_that_shrinks_revokes_nothing_and_lets_nobody_in_until_it_fits() -> None:
    whisper = gate(3)
    held = [await whisper.acquire("batch", "someone") for _ in range(3)]
    callers = Callers(whisper)
    await callers.add("next")
    set_ceiling(whisper, 1)
    assert counts(whisper) == (3, 1, 0)
    for permit in held[:2]:
        permit.release()
        await rest()
        assert callers.order == []
    held[2].release()
    await rest()
    assert callers.order == ["next"]
    await callers.end()


@in_virtual_time
async def test_g1_a_permit_given_back_twice_counts_once() -> None:
    whisper = gate(1)
    permit = await whisper.acquire("batch", "someone")
    permit.release()
    permit.release()
    permit.abandon()
    assert counts(whisper) == (0, 0, 0)
    await whisper.acquire("batch", "someone")
    assert counts(whisper) == (1, 0, 0)


# --- G2: threads -------------------------------------------------------------------------------


def in_thread(main: Callable[[], Awaitable[None]]) -> threading.Thread:
    async def run() -> None:
        await main()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    return thread


async def test_g2_a_permit_given_back_in_one_thread_goes_to_a_waiter_of_another_loop_in_another_thread() -> None:
    whisper = Gate([Station("whisper", FixedLimit(1))])
    mine = await whisper.acquire("batch", "here")
    loops: list[asyncio.AbstractEventLoop] = []

    async def elsewhere() -> None:
        permit = await whisper.acquire("batch", "there")
        loops.append(asyncio.get_running_loop())
        permit.release()

    thread = in_thread(elsewhere)
    await until(lambda: seen(whisper).queued == 1)
    mine.release()
    await asyncio.to_thread(thread.join, 5)
    assert loops
    assert loops[0] is not asyncio.get_running_loop()
    assert counts(whisper) == (0, 0, 0)


@in_virtual_time
async def test_g2_waiters_whose_loop_was_closed_cost_nobody_a_turn() -> None:
    whisper = gate(1, max_queue=5000)
    held = await whisper.acquire("batch", "someone")
    forgotten: list[Permit[Station]] = []

    async def enter() -> None:
        forgotten.extend(whisper.enter("live", number) for number in range(3000))

    thread = in_thread(enter)  # its loop is closed when the thread ends
    thread.join()
    callers = Callers(whisper)
    await callers.add("next")
    held.release()
    assert await callers.end() == ["next"]


# --- G3: order ---------------------------------------------------------------------------------


@in_virtual_time
async def test_g3_live_goes_before_interactive_and_that_before_batch() -> None:
    callers = Callers(gate())
    await callers.add("first")
    for lane in reversed(LANES):
        await callers.add(f"{lane} 1", f"{lane} 2", lane=lane)
    assert await callers.end() == [
        "first", "live 1", "live 2", "interactive 1", "interactive 2", "batch 1", "batch 2",
    ]  # fmt: skip


@in_virtual_time
async def test_g3_owners_take_turns_and_each_is_served_in_order_of_arrival() -> None:
    callers = Callers(gate())
    await callers.add("first")
    await callers.add(*(f"A{number}" for number in range(5)), owner="A")
    await callers.add("B0", "B1", owner="B")
    await callers.add("C0", owner="C")
    assert await callers.end() == ["first", "A0", "B0", "C0", "A1", "B1", "A2", "A3", "A4"]


@in_virtual_time
async def test_g3_an_owner_with_five_hundred_uploads_delays_another_by_one() -> None:
    callers = Callers(gate(max_queue=1000))
    await callers.add(*(f"A{number}" for number in range(500)), owner="A")
    await callers.add("B", owner="B")
    assert (await callers.end()).index("B") == 2  # behind the call that is being served, and one turn of A


@in_virtual_time
async def test_g3_a_lower_lane_gets_one_after_eight_went_past_it() -> None:
    callers = Callers(gate())
    await callers.add("first")
    await callers.add("b0", "b1", lane="batch")
    await callers.add(*(f"l{number}" for number in range(20)), lane="live")
    order = await callers.end()
    assert [order.index(name) for name in ("b0", "b1")] == [1 + 8, 1 + 8 + 1 + 8]


@in_virtual_time
async def test_g3_two_starved_lanes_each_get_one_the_lowest_first() -> None:
    callers = Callers(gate())
    await callers.add("first")
    await callers.add("b0", "b1", lane="batch")
    await callers.add("i0", "i1", lane="interactive")
    await callers.add(*(f"l{number}" for number in range(20)), lane="live")
    order = await callers.end()
    # Each lane starves again when the other lane has had a turn and seven live calls have gone past.
    assert [order.index(name) for name in ("b0", "i0", "b1", "i1")] == [9, 10, 18, 19]


@in_virtual_time
async def test_g3_passes_are_counted_only_while_somebody_waits() -> None:
    callers = Callers(gate())
    await callers.add("first", "gone")
    await callers.add(*(f"l{number}" for number in range(12)), lane="live")
    await asyncio.sleep(6.5)  # six live calls have gone past `gone`
    callers.tasks.pop("gone").cancel()
    await callers.add("late")
    order = await callers.end()
    assert order.index("late") == len(order) - 1  # only six live calls were left to go past it


# --- G4: the line is bounded -------------------------------------------------------------------


@in_virtual_time
async def test_g4_a_full_line_refuses_at_once_and_says_truthfully_when_to_come_back() -> None:
    callers = Callers(gate(2, max_queue=4), seconds=3.0)
    await callers.add("a", "b")
    await callers.end()  # so that the gate knows how long an exchange takes
    await callers.add(*"cdefgh")
    with pytest.raises(QueueFull, match="4 calls wait already") as refused:
        callers.gate.enter("live", "someone")
    assert counts(callers.gate) == (2, 4, 0)
    await asyncio.sleep(refused.value.retry_after)
    assert seen(callers.gate).queued == 0  # 4 in line and the one refused, 2 at a time, 3 s each: 7.5 s
    await callers.end()


@in_virtual_time
async def test_g4_a_full_line_refuses_also_after_exchanges_that_took_no_time() -> None:
    whisper = gate(max_queue=1)
    (await whisper.acquire("batch", "someone")).release()
    callers = Callers(whisper)
    await callers.add("runs", "waits")
    with pytest.raises(QueueFull):
        whisper.enter("batch", "someone")
    await callers.end()


# --- G5: cancellation --------------------------------------------------------------------------


@in_virtual_time
async def test_g5_a_cancelled_waiter_leaves_at_once() -> None:
    callers = Callers(gate())
    await callers.add("first", "second", "third")
    gone = callers.tasks.pop("second")
    gone.cancel()
    await rest()
    assert gone.cancelled()
    assert counts(callers.gate) == (1, 1, 0)
    assert await callers.end() == ["first", "third"]


@in_virtual_time
async def test_g5_a_permit_on_its_way_to_a_cancelled_waiter_goes_to_the_next() -> None:
    whisper = gate()
    permit = await whisper.acquire("batch", "someone")
    callers = Callers(whisper)
    await callers.add("second", "third")
    permit.release()  # the permit is handed to `second`, whose task has not run yet
    callers.tasks.pop("second").cancel()
    await rest()
    assert callers.order == ["third"]
    await callers.end()


@in_virtual_time
async def test_g5_a_waiter_that_was_cancelled_before_its_permit_came_does_not_take_it() -> None:
    whisper = gate()
    permit = await whisper.acquire("batch", "someone")
    callers = Callers(whisper)
    await callers.add("second", "third")
    callers.tasks.pop("second").cancel()
    permit.release()  # `second` still stands in line: its task has not run yet
    await rest()
    assert callers.order == ["third"]
    await callers.end()


# --- G7: nested permits ------------------------------------------------------------------------


@in_virtual_time
async def test_g7_a_task_that_holds_a_permit_is_refused_another_of_the_same_gate() -> None:
    whisper, other = gate(), gate()
    permit = await whisper.acquire("batch", "someone")
    with permit.held():
        with pytest.raises(NestedPermit, match="already holds a permit of whisper"):
            whisper.enter("batch", "someone")
        with pytest.raises(NestedPermit):
            await asyncio.create_task(whisper.acquire("batch", "someone"))
        (await other.acquire("batch", "someone")).release()
        permit.release()
        (await whisper.acquire("batch", "someone")).release()
    assert counts(whisper) == (0, 0, 0)


# --- G9: abandoned permits ---------------------------------------------------------------------


@in_virtual_time
async def test_g9_an_abandoned_permit_stays_out_and_is_counted_apart() -> None:
    callers = Callers(gate())
    permit = await callers.gate.acquire("live", "someone")
    permit.abandon()
    await callers.add("next")
    await asyncio.sleep(60)
    assert counts(callers.gate) == (0, 1, 1)
    assert seen(callers.gate).lanes["live"].active == 0
    permit.release("timeout")
    assert await callers.end() == ["next"]


# --- G10: deadlines and newer calls ------------------------------------------------------------


@in_virtual_time
async def test_g10_a_waiter_past_its_deadline_is_dropped_and_takes_no_permit() -> None:
    callers = Callers(gate(), seconds=5.0)
    await callers.add("first")
    await callers.add("hasty", lane="live", deadline=2.0)
    await callers.add("patient")
    with pytest.raises(DeadlineExceeded, match="past its deadline"):
        await callers.tasks.pop("hasty")
    assert asyncio.get_running_loop().time() == 2.0
    assert counts(callers.gate) == (1, 1, 0)
    assert await callers.end() == ["first", "patient"]


@in_virtual_time
async def test_g10_a_call_that_comes_past_its_deadline_is_refused_though_the_gate_is_open() -> None:
    whisper = gate()
    await asyncio.sleep(3)
    with pytest.raises(DeadlineExceeded):
        whisper.enter("live", "someone", deadline=3.0)
    assert counts(whisper) == (0, 0, 0)


@in_virtual_time
async def test_g10_a_deadline_that_is_met_does_nothing_later() -> None:
    callers = Callers(gate(), seconds=5.0)
    await callers.add("first")
    await callers.add("second", deadline=6.0)
    assert await callers.end() == ["first", "second"]
    assert asyncio.get_running_loop().time() == 10.0


@in_virtual_time
async def test_g10_a_newer_call_takes_the_older_ones_place_even_in_a_full_line() -> None:
    callers = Callers(gate(max_queue=2))
    await callers.add("first")
    await callers.add("old", lane="live", supersede="session 1")
    await callers.add("other", lane="live")
    await callers.add("new", lane="live", supersede="session 1")
    with pytest.raises(Superseded):
        await callers.tasks.pop("old")
    assert counts(callers.gate) == (1, 2, 0)
    assert await callers.end() == ["first", "new", "other"]


@in_virtual_time
async def test_g10_another_owner_or_lane_is_not_superseded() -> None:
    callers = Callers(gate())
    await callers.add("first")
    await callers.add("mine", lane="live", owner="A", supersede="session 1")
    await callers.add("theirs", lane="live", owner="B", supersede="session 1")
    await callers.add("batch", lane="batch", owner="A", supersede="session 1")
    assert await callers.end() == ["first", "mine", "theirs", "batch"]


# --- G11: the limit changes --------------------------------------------------------------------


@in_virtual_time
async def test_g11_waiters_are_let_in_at_once_when_the_limit_grows(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "transcription.gate")
    callers = Callers(gate(3))
    set_ceiling(callers.gate, 1)
    await callers.add("1", "2", "3", "4")
    set_ceiling(callers.gate, 3)
    await rest()
    assert callers.order == ["1", "2", "3"]
    assert "[ASR并发] 并发上限调整 server=whisper limit=3" in caplog.text
    assert [change.limit for _, change in seen(callers.gate).changes] == [1, 3]
    await callers.end()


@in_virtual_time
async def test_nobody_is_let_in_during_the_cool_down_after_an_out_of_memory_answer_and_all_wake_after_it() -> None:
    limit = AdaptiveLimit(floor=1, ceiling=4)
    callers = Callers(gate(limit), seconds=0.5)
    permit = await callers.gate.acquire("batch", "someone")
    await asyncio.sleep(1)
    permit.release("oom")
    assert limit.hold_until > 1
    await callers.add("a", "b")
    await asyncio.sleep((limit.hold_until - 1) / 2)
    assert callers.order == []
    await asyncio.sleep((limit.hold_until - 1) / 2)
    await rest()
    assert callers.order
    await callers.end()


@in_virtual_time
async def test_what_a_busy_server_asks_for_holds_all_calls_not_only_the_one_that_was_refused() -> None:
    callers = Callers(gate(2))
    (await callers.gate.acquire("batch", "refused")).release("busy", retry_after=7.0)
    await callers.add("live", lane="live")
    await callers.add("batch")
    await asyncio.sleep(6.9)
    assert callers.order == []
    await asyncio.sleep(0.2)
    assert callers.order == ["live", "batch"]
    await callers.end()


async def test_a_cool_down_ends_for_all_though_the_loop_that_was_first_in_line_is_gone() -> None:
    limit = AdaptiveLimit(floor=1, ceiling=1)
    whisper = Gate([Station("whisper", limit)])
    permit = await whisper.acquire("batch", "someone")
    forgotten: list[Permit[Station]] = []

    async def enter() -> None:
        forgotten.append(whisper.enter("live", "elsewhere"))

    in_thread(enter).join()
    waiting = asyncio.create_task(whisper.acquire("batch", "here"))
    await asyncio.sleep(0)
    permit.release("oom")
    (await asyncio.wait_for(waiting, PATIENCE)).release()


@in_virtual_time
async def test_a_cool_down_ends_though_the_timer_was_early_by_the_gates_clock() -> None:
    loop = asyncio.get_running_loop()
    whisper = gate(AdaptiveLimit(floor=1, ceiling=1), clock=lambda: 0.75 * loop.time())
    (await whisper.acquire("batch", "someone")).release("oom")
    (await asyncio.wait_for(whisper.acquire("batch", "someone"), 60)).release()


# --- G12: cost ---------------------------------------------------------------------------------


@in_virtual_time
async def test_g12_an_admission_takes_as_many_steps_behind_ten_waiters_as_behind_ten_thousand() -> None:
    async def steps(waiters: int) -> int:
        """How many Python and C calls it takes to enter, admit and release, with `waiters` in line."""
        whisper = gate(max_queue=20_000)
        permit = await whisper.acquire("batch", "someone")
        owners = waiters // 6  # each has two waiters in each lane
        line = [whisper.enter(LANES[number % 3], number // 3 % owners) for number in range(waiters)]
        calls = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        line.append(whisper.enter("batch", "new"))
        permit.release()
        sys.setprofile(None)
        return calls

    few, many = await steps(12), await steps(12_000)
    assert abs(many - few) <= 2  # the owner that is let in has more waiters, or none
    assert many < 110


# --- misuse ------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_lane_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="no lane 'fast'; the lanes are live, interactive, batch"):
        gate().enter("fast", "someone")  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [0, -1, "2", 1.5, True])
@in_virtual_time
async def test_a_limit_that_is_no_limit_is_refused_with_a_sentence_and_changes_nothing(limit: Any) -> None:
    for whisper in (gate(2), gate(AdaptiveLimit(floor=1, ceiling=2))):
        whisper.enter("batch", "someone").release()
        before = seen(whisper).ceiling, seen(whisper).limit
        with pytest.raises(ValueError, match=r"must be .*, not"):
            set_ceiling(whisper, limit)
        assert (seen(whisper).ceiling, seen(whisper).limit) == before
        assert seen(whisper).peak == 1


@in_virtual_time
async def test_nobody_raises_a_limit_above_what_the_settings_say_and_no_number_means_that() -> None:
    for whisper in (gate(2), gate(AdaptiveLimit(floor=1, ceiling=2))):
        set_ceiling(whisper, 1)
        with pytest.raises(ValueError, match="settings let whisper have at most 2 calls at once, not 3"):
            set_ceiling(whisper, 3)
        assert seen(whisper).ceiling == 1
        set_ceiling(whisper, None)
        assert seen(whisper).ceiling == 2
    found = gate(AdaptiveLimit(floor=1, ceiling=None))
    set_ceiling(found, 7)
    assert seen(found).ceiling == 7
    set_ceiling(found, None)
    assert seen(found).ceiling is None


@in_virtual_time
async def test_a_line_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="room for at least one call, not 0"):
        gate(max_queue=0)


def test_errors_of_the_gate_are_one_family() -> None:
    assert all(issubclass(kind, GateError) for kind in (DeadlineExceeded, Evicted, NestedPermit, QueueFull, Superseded))


def test_the_virtual_loop_notices_when_nothing_will_ever_happen() -> None:
    with pytest.raises(RuntimeError, match="nothing will ever happen"), asyncio.Runner(loop_factory=VirtualLoop) as run:
        run.run(asyncio.Event().wait())
