"""Rule G13 of the gate: live calls are answered in time, and other lanes hold back for them."""

import asyncio
from typing import Any

import pytest

from tests.support.gates import Callers, counts, gate, rest, seen
from tests.support.virtual_time import in_virtual_time
from transcription.errors import DeadlineExceeded, GateError
from transcription.gate import Gate
from transcription.limit import AdaptiveLimit, FixedLimit, Limit, LimitChange, Sample
from transcription.line import Lane
from transcription.live_share import Failures, LiveShareState
from transcription.memory import read, written


async def caption(gate: Gate[Any], seconds: float, lane: Lane = "live") -> None:
    """A live call that is computed for so long."""
    permit = await gate.acquire(lane, "speaker")
    await asyncio.sleep(seconds)
    permit.release()


@in_virtual_time
async def test_g13_while_live_calls_come_other_lanes_hold_one_permit_at_first() -> None:
    whisper = gate(4)
    assert seen(whisper).live_share is None
    await caption(whisper, 0.3)
    callers = Callers(whisper)
    await callers.add("a", "b", lane="interactive")
    await callers.add("c", "d")
    assert counts(whisper) == (1, 3, 0)
    assert seen(whisper).live_share == 1
    assert await callers.end() == ["a", "b", "c", "d"]


@in_virtual_time
async def test_g13_other_lanes_hold_more_while_live_calls_are_in_time() -> None:
    whisper = gate(4)
    callers = Callers(whisper, seconds=20.0)
    await callers.add(*"abcdefgh")
    for _ in range(60):
        await caption(whisper, 0.3)
        await asyncio.sleep(0.7)
    assert seen(whisper).live_share == 4
    await callers.end()


@in_virtual_time
async def test_g13_ten_seconds_after_the_last_live_call_all_permits_are_everybodys() -> None:
    whisper = gate(4)
    await caption(whisper, 0.5)
    callers = Callers(whisper, seconds=60.0)  # no end of a call lets the waiters in
    await callers.add(*"abcd")
    await asyncio.sleep(9.9)
    assert counts(whisper) == (1, 3, 0)
    await asyncio.sleep(0.2)
    assert counts(whisper) == (4, 0, 0)
    assert seen(whisper).live_share is None
    await callers.end()


@in_virtual_time
async def test_g13_a_permit_that_is_kept_from_a_lane_is_not_given_to_it_after_eight_live_calls() -> None:
    whisper = gate(2)
    await caption(whisper, 0.1)
    callers = Callers(whisper, seconds=30.0)
    await callers.add("runs", "waits")
    started = asyncio.get_running_loop().time()
    for _ in range(10):
        await caption(whisper, 0.1)
    assert asyncio.get_running_loop().time() == pytest.approx(started + 1.0)
    assert callers.order == ["runs"]
    await callers.end()


@in_virtual_time
async def test_g13_where_the_target_cannot_be_kept_that_is_said_once_and_batch_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    whisper = gate(4)
    callers = Callers(whisper)
    await callers.add(*(f"batch {number}" for number in range(50)))
    for _ in range(20):
        await caption(whisper, 2.0)
    assert seen(whisper).live_target_missed
    assert len([line for line in caplog.messages if line == "[ASR并发] 字幕过慢 server=whisper target=1.5"]) == 1
    assert len(callers.order) > 20
    await callers.end()


@in_virtual_time
async def test_g13_a_live_call_that_gave_up_while_it_waited_counts_as_late() -> None:
    whisper = gate(1)
    permit = await whisper.acquire("batch", "someone")
    await give_up(whisper)
    assert whisper.servers[0].live_share.state() == LiveShareState(0, (Failures(1, 1),))
    permit.release()


async def give_up(gate: Gate[Any]) -> None:
    """A live call that waits for two seconds."""
    with pytest.raises(DeadlineExceeded):
        await gate.acquire("live", "speaker", deadline=asyncio.get_running_loop().time() + 2.0)


@in_virtual_time
async def test_g13_while_live_calls_come_an_adaptive_limit_is_one_higher_for_one_of_them() -> None:
    whisper = gate(AdaptiveLimit(ceiling=None))
    callers = Callers(whisper, seconds=5.0)
    await callers.add("batch 1", "batch 2")
    assert seen(whisper).limit == 1
    await callers.add("live 1", lane="live")
    assert callers.order == ["batch 1", "live 1"]
    await callers.add("live 2", lane="live")
    await callers.add("interactive", lane="interactive")
    assert (seen(whisper).limit, *counts(whisper)) == (2, 2, 3, 0)
    assert whisper.load() == (2, 2, 3)
    assert whisper.live_limit() == 2
    await callers.end()


@pytest.mark.parametrize("most", [FixedLimit(1), AdaptiveLimit(ceiling=1)])
@in_virtual_time
async def test_g13_a_limit_that_may_not_rise_is_not_one_higher_for_live_calls(most: Limit) -> None:
    whisper = gate(most)
    callers = Callers(whisper)
    await callers.add("batch")
    await callers.add("live", lane="live")
    assert (seen(whisper).limit, *counts(whisper)) == (1, 1, 1, 0)
    await callers.end()


@in_virtual_time
async def test_g13_when_no_live_calls_come_any_more_a_permit_that_is_out_stays_and_nobody_is_let_in_for_it() -> None:
    whisper = gate(AdaptiveLimit(ceiling=None))
    callers = Callers(whisper, seconds=30.0)
    await callers.add("batch 1", "batch 2", "batch 3")
    live = await whisper.acquire("live", "speaker")
    await asyncio.sleep(10.5)
    assert (seen(whisper).limit, *counts(whisper)) == (1, 2, 2, 0)  # the live call is computed still
    live.release("error")
    await asyncio.sleep(19.0)
    assert callers.order == ["batch 1"]
    await asyncio.sleep(1.0)
    assert callers.order == ["batch 1", "batch 2"]
    await callers.end()


@in_virtual_time
async def test_g13_the_limit_for_live_calls_is_noted_when_they_begin_and_when_they_end() -> None:
    whisper = gate(AdaptiveLimit(ceiling=None))
    begin = asyncio.get_running_loop().time()
    callers = Callers(whisper, seconds=100.0)
    await callers.add("batch")
    for _ in range(20):
        await caption(whisper, 0.5)
        await asyncio.sleep(0.5)
    for _ in range(20):
        seen(whisper)
        await asyncio.sleep(1.0)
    changes = [(at - begin, change.limit, str(change.reason)) for at, change in seen(whisper).changes]
    assert changes == [(0.0, 2, "one more, for live calls"), (30.0, 1, "no longer one more for live calls")]
    await callers.end()


class Told(FixedLimit):
    """A limit that remembers how many calls were in flight, by the samples."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.in_flight: list[int] = []
        self.audio: list[float] = []

    def record(self, sample: Sample) -> LimitChange | None:
        self.in_flight.append(sample.in_flight)
        self.audio.append(sample.audio_seconds)
        return super().record(sample)


@pytest.mark.parametrize("end", ["past its deadline", "cancelled", "superseded"])
@in_virtual_time
async def test_g13_a_permit_that_becomes_free_because_a_live_call_gave_up_is_given_out_at_once(end: str) -> None:
    guarded = gate(2)
    now = asyncio.get_running_loop().time
    await caption(guarded, 2.0)  # late beside no other call, so from now on one call of any lane is let in at a time
    await guarded.acquire("live", "speaker")
    deadline = now() + 2.0 if end == "past its deadline" else None
    late = asyncio.create_task(guarded.acquire("live", "speaker", supersede="session", deadline=deadline))
    waiting = asyncio.create_task(guarded.acquire("batch", "someone"))
    await asyncio.sleep(1.9)
    assert not waiting.done()
    await asyncio.sleep(0.1)
    if end == "cancelled":
        late.cancel()
    elif end == "superseded":
        waiting.cancel()
        waiting = asyncio.create_task(guarded.acquire("live", "speaker", supersede="session"))
    await rest()
    assert waiting.done()
    assert late.cancelled() if end == "cancelled" else isinstance(late.exception(), GateError)


@in_virtual_time
async def test_g13_the_limit_learns_no_throughput_while_permits_are_kept_from_other_lanes() -> None:
    limit = Told(2)
    whisper = gate(limit)
    await asyncio.gather(*(caption(whisper, 1.0, "batch") for _ in range(4)))
    assert 2 in limit.in_flight
    limit.in_flight.clear()
    await asyncio.gather(
        *(caption(whisper, 0.1) for _ in range(4)), *(caption(whisper, 1.0, "batch") for _ in range(4))
    )
    assert set(limit.in_flight) == {1}
    began_beside_captions = asyncio.gather(caption(whisper, 0.1), caption(whisper, 30.0, "batch"))
    await asyncio.sleep(20.0)
    await caption(whisper, 1.0, "batch")  # when all permits are everybody's again
    await began_beside_captions
    assert limit.in_flight[-2:] == [2, 1]


@pytest.mark.parametrize(
    ("doubling", "others", "learns"), [(True, 1, False), (True, 0, True), (False, 1, True), (False, 0, True)]
)
@in_virtual_time
async def test_g13_a_limit_that_judges_by_few_calls_learns_no_throughput_from_a_live_call_beside_others(
    doubling: bool, others: int, learns: bool
) -> None:
    limit = Told(4)
    limit.doubling = doubling
    whisper = gate(limit)
    batch = [await whisper.acquire("batch", "someone") for _ in range(others)]
    live = await whisper.acquire("live", "speaker")
    live.release("ok", 3.0)
    for each in batch:
        each.release("ok", 28.0)
    assert limit.audio == [3.0 if learns else 0.0] + [28.0] * others


@in_virtual_time
async def test_g13_what_was_learnt_of_the_share_is_kept_for_the_next_process() -> None:
    whisper, again = gate(1), gate(4)
    permit = await whisper.acquire("batch", "someone")
    await give_up(whisper)
    permit.release()
    again.restore(again.servers[0], read(written(whisper.memory(whisper.servers[0]))))
    assert again.servers[0].live_share.state() == LiveShareState(0, (Failures(1, 1),))
