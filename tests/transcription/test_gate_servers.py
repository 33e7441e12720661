"""Rule G14 of the gate, and G3, before several servers: one line of calls waits for all of them."""

import asyncio
from typing import Any

import pytest

from tests.support.gates import Callers, gate, rest
from tests.support.stations import PAUSE, Shaky
from tests.support.virtual_time import in_virtual_time
from transcription.errors import Evicted, QueueFull
from transcription.gate import Gate, Permit
from transcription.limit import FixedLimit


def servers(*limits: int) -> list[Shaky]:
    clock = asyncio.get_running_loop().time
    return [Shaky(f"gpu{number}", FixedLimit(limit), clock) for number, limit in enumerate(limits)]


def pool(servers: list[Shaky], **options: Any) -> Gate[Shaky]:
    return Gate(servers, **{"clock": asyncio.get_running_loop().time} | options)


def lose(permit: Permit[Shaky]) -> None:
    """The server of this permit cannot be reached any more."""
    permit.release("error", reached=False)


def waiting(gate: Gate[Shaky]) -> int:
    return gate.snapshot()[0].queued


@in_virtual_time
async def test_g14_a_permit_of_whatever_server_goes_to_the_first_in_line() -> None:
    whisper = pool(servers(1, 2))
    held = [await whisper.acquire("batch", "someone") for _ in range(3)]
    assert [permit.server.name for permit in held] == ["gpu0", "gpu1", "gpu1"]
    line = [whisper.enter("batch", "someone") for _ in range(3)]
    for number in (1, 0, 2):
        held[number].release()
    assert [permit.server.name for permit in line] == ["gpu1", "gpu0", "gpu1"]


@in_virtual_time
async def test_g14_of_the_free_servers_the_one_that_is_faster_by_the_length_of_the_audio_gets_the_call() -> None:
    slow, fast = servers(1, 1)
    whisper = pool([slow, fast])
    for server, audio in ((slow, 4.0), (fast, 40.0)):
        permit = await whisper.acquire("batch", "someone", servers=[server])
        await asyncio.sleep(2 + audio / 20)  # the fast one takes longer, and does more
        permit.release("ok", audio)
    assert (await whisper.acquire("batch", "someone")).server is fast
    assert (await whisper.acquire("batch", "someone")).server is slow


@in_virtual_time
async def test_g14_a_call_that_waits_for_its_server_holds_up_none_that_another_server_can_take() -> None:
    one, two = servers(1, 1)
    whisper = pool([one, two], max_queue=3)
    held = await whisper.acquire("batch", "someone", servers=[one])
    stuck = [whisper.enter("live", "someone", servers=[one]) for _ in range(3)]
    other = await whisper.acquire("batch", "someone", servers=[two])  # also past a line that is full
    with pytest.raises(QueueFull):
        whisper.enter("batch", "someone", servers=[two])
    held.release()
    assert [permit.state for permit in stuck] == ["active", "waiting", "waiting"]
    behind = whisper.enter("batch", "someone", servers=[two])
    other.release()
    assert (behind.state, behind.server) == ("active", two)
    line, seen = whisper.snapshot()
    assert (line.queued, seen[one].queued, seen[two].queued, line.shared["live"]) == (2, 2, 0, 0)


@in_virtual_time
async def test_g3_a_lane_is_passed_over_eight_times_at_most_at_a_server_that_it_can_use() -> None:
    one, two = servers(1, 1)
    whisper = pool([one, two])
    first = await whisper.acquire("live", "someone", servers=[one])
    batch = whisper.enter("batch", "someone", servers=[one])
    live = [whisper.enter("live", "someone", servers=[one]) for _ in range(20)]
    for permit in [first, *live[:7]]:
        permit.release()
        (await whisper.acquire("batch", "someone", servers=[two])).release()  # turns of the lane at another server
    assert (live[7].state, batch.state) == ("active", "waiting")
    live[7].release()
    assert batch.state == "active"


@in_virtual_time
async def test_g3_an_owner_has_one_turn_for_all_the_servers_that_its_calls_can_use() -> None:
    one, two = servers(1, 1)
    whisper = pool([one, two])
    held = [await whisper.acquire("batch", "someone") for _ in range(2)]
    mine = [whisper.enter("batch", "me", servers=each) for each in ([one], [two], [one, two])]
    yours = whisper.enter("batch", "you")
    held[0].release()
    held[1].release()
    assert [permit.state for permit in [*mine, yours]] == ["active", "waiting", "waiting", "active"]
    yours.release()
    assert mine[1].state == "active"
    mine[0].release()
    assert (mine[2].state, mine[2].server) == ("active", one)


@in_virtual_time
async def test_g3_an_owner_with_a_weight_has_so_many_calls_let_in_at_one_turn() -> None:
    callers = Callers(gate())
    await callers.add("first")
    await callers.add(*(f"A{number}" for number in range(6)), owner="A", weight=3)
    await callers.add(*(f"B{number}" for number in range(4)), owner="B")
    assert await callers.end() == ["first", "A0", "A1", "A2", "B0", "A3", "A4", "A5", "B1", "B2", "B3"]


@in_virtual_time
async def test_g14_a_server_to_avoid_is_taken_only_if_no_other_takes_calls() -> None:
    bad, other = servers(2, 1)
    whisper = pool([bad, other])
    held = await whisper.acquire("batch", "someone", avoid=bad)
    assert held.server is other
    retry = whisper.enter("batch", "someone", avoid=bad)
    assert retry.state == "waiting"  # though the other server has room
    assert (await whisper.acquire("batch", "someone")).server is bad
    lose(held)
    assert (retry.state, retry.server) == ("active", bad)


@in_virtual_time
async def test_g14_a_server_that_is_lost_moves_nobody_and_one_call_tries_it_when_it_may_be_back() -> None:
    one, two = servers(1, 1)
    whisper = pool([one, two])
    held = [await whisper.acquire("batch", "someone", servers=[each]) for each in (one, two)]
    callers = Callers(whisper, seconds=PAUSE / 4)
    await callers.add("a", "b", "c", "d", "e", "f")
    lose(held[0])
    await rest()
    assert (waiting(whisper), callers.order) == (6, [])
    held[1].release()
    await asyncio.sleep(0.9 * PAUSE)
    assert callers.order == ["a", "b", "c", "d"]  # all at the other server, in their turns
    assert one.trials == 0
    await callers.end()
    assert callers.order == [*"abcdef"]
    assert one.trials == 1


@in_virtual_time
async def test_g14_where_all_servers_are_lost_the_patient_wait_and_the_others_are_told() -> None:
    one, two = servers(1, 1)
    whisper = pool([one, two])
    held = [await whisper.acquire("batch", "someone") for _ in range(2)]
    callers = Callers(whisper)
    await callers.add("hasty", patient=False)
    await callers.add("hasty, for one", patient=False, servers=[one])
    await callers.add("a", "b")
    lose(held[0])
    with pytest.raises(Evicted):
        await callers.tasks.pop("hasty, for one")
    await rest()
    assert not callers.tasks["hasty"].done()
    lose(held[1])
    with pytest.raises(Evicted):
        await callers.tasks.pop("hasty")
    with pytest.raises(Evicted):
        whisper.enter("live", "someone", patient=False)
    assert (waiting(whisper), callers.order) == (2, [])
    await callers.end()
    assert asyncio.get_running_loop().time() == PAUSE + 1.0


@in_virtual_time
async def test_g14_a_trial_that_was_never_used_leaves_its_turn_to_the_next() -> None:
    (whisper_server,) = servers(2)
    whisper = pool([whisper_server])
    lose(await whisper.acquire("batch", "someone"))
    callers = Callers(whisper)
    await callers.add("first", "second", "third")
    whisper_server.back_at = 0.0
    callers.tasks.pop("first").cancel()
    late = whisper.enter("batch", "someone")  # sees that the server is back: the first is let in, and will not use it
    assert (whisper_server.on_trial, late.state) == (True, "waiting")
    await rest()
    assert (whisper_server.trials, callers.order) == (2, ["second"])
    (await late.admitted()).release()
    assert await callers.end() == ["second", "third"]
