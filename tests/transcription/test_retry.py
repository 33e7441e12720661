"""The client's retries, their budget, and an outage of ten minutes."""

import asyncio
from itertools import pairwise

import pytest

from tests.support.calls import caller, client, request
from tests.support.virtual_server import VirtualServer, virtual_client
from tests.support.virtual_time import VirtualLoop, in_virtual_time
from tests.support.waiting import until
from tests.support.whisper_stub import OUT_OF_MEMORY, WhisperStub, http, said
from transcription.breaker import FAILURES_TO_OPEN, FIRST_PAUSE, LONGEST_PAUSE
from transcription.client import WhisperClient
from transcription.errors import DeadlineExceeded, QueueFull, ServerError, Unreachable

BROKEN = http(500, {"error": "broken"})


def state(whisper: WhisperClient) -> tuple[int, int, int]:
    gate = whisper.snapshot().servers[0].gate
    return gate.active, gate.queued, gate.abandoned


async def test_g6_a_call_that_waits_for_its_next_attempt_holds_no_permit() -> None:
    with WhisperStub(seconds=0.02, replies=[http(500, Retry_After="0.5"), said()]) as stub:
        whisper = client(stub.url)
        delays: list[float] = []
        put_off = asyncio.create_task(
            whisper.call_remote_asr_api(request("put off"), caller(on_retry=lambda error, delay: delays.append(delay)))
        )
        await until(lambda: bool(delays))
        assert state(whisper) == (0, 0, 0)
        await whisper.call_remote_asr_api(request("next"), caller())
        await put_off
        assert stub.prompts == ["put off", "next", "put off"]
        await whisper.aclose()


@in_virtual_time
async def test_what_a_busy_server_asks_of_one_call_all_calls_heed() -> None:
    server = VirtualServer(seconds=1.0, status=503, retry_after="30")
    whisper = virtual_client([server], limit=2)
    refused = asyncio.create_task(whisper.call_remote_asr_api(request(), caller(durable=True)))
    await asyncio.sleep(1.5)
    server.status = 200
    another = asyncio.create_task(whisper.call_remote_asr_api(request(), caller()))
    await asyncio.sleep(29)
    assert server.finished + server.computing == 1
    await asyncio.gather(refused, another)
    assert server.finished == 3
    await whisper.aclose()


async def test_a_call_is_tried_as_often_as_it_may_be_and_then_fails_with_the_last_error() -> None:
    with WhisperStub(seconds=0, replies=[OUT_OF_MEMORY, BROKEN]) as stub:
        whisper = client(stub.url, max_attempts=3)
        with pytest.raises(ServerError, match="broken"):
            await whisper.call_remote_asr_api(request(), caller())
        calls = whisper.snapshot().calls
        assert (len(stub.received), calls.total, calls.retries, calls.failed, calls.oom_errors) == (3, 1, 2, 1, 1)
        await whisper.aclose()


async def test_a_server_that_fails_every_call_gets_a_fifth_more_of_them_and_a_few_not_a_storm() -> None:
    with WhisperStub(seconds=0, replies=BROKEN) as stub:
        whisper = client(stub.url, limit=4, max_attempts=5, retry_delay=0.001)
        results = await asyncio.gather(
            *(whisper.call_remote_asr_api(request(), caller("interactive")) for _ in range(100)), return_exceptions=True
        )
        assert all(isinstance(result, ServerError) for result in results)
        assert 100 < len(stub.received) <= 100 + 100 / 5 + 10
        await whisper.aclose()


async def test_a_durable_call_waits_where_the_line_is_full_and_another_is_refused() -> None:
    with WhisperStub(seconds=0.1) as stub:
        whisper = client(stub.url, max_queue=1)
        calls = [asyncio.create_task(whisper.call_remote_asr_api(request(), caller(durable=True))) for _ in range(4)]
        await until(lambda: state(whisper) == (1, 1, 0))
        with pytest.raises(QueueFull) as refused:
            await whisper.call_remote_asr_api(request(), caller("interactive"))
        assert refused.value.retry_after > 0
        assert [transcript.text for transcript in await asyncio.gather(*calls)] == ["hello"] * 4
        counts = whisper.snapshot().calls
        assert (counts.rejected, counts.completed, len(stub.received)) == (1, 4, 4)
        await whisper.aclose()


@in_virtual_time
async def test_ten_minutes_without_the_server_fail_no_durable_call_and_end_without_a_burst() -> None:
    server = VirtualServer(seconds=2.0)
    whisper = virtual_client([server], limit=2)
    loop = asyncio.get_running_loop()
    calls = [asyncio.create_task(whisper.call_remote_asr_api(request(), caller(durable=True))) for _ in range(40)]
    await asyncio.sleep(5)
    server.up = False
    await asyncio.sleep(60)

    with pytest.raises(Unreachable) as refused:  # a call that cannot wait is told when to come back
        await whisper.call_remote_asr_api(request(), caller("interactive"))
    lost = whisper.snapshot().servers[0]
    assert (lost.breaker, lost.gate.active) == ("open", 0)
    assert whisper.snapshot().queued_calls == 40 - whisper.snapshot().calls.completed  # those in line stay there
    assert lost.unreachable_since is not None
    assert 50 < lost.unreachable_since < 60
    assert lost.retry_in is not None
    assert refused.value.retry_after == pytest.approx(max(1.0, lost.retry_in))

    await asyncio.sleep(540)
    assert not any(call.done() and call.exception() for call in calls)
    assert server.most_attempts <= 2  # before the breaker opened; then one trial at a time
    trials = server.attempts[-10:]
    assert all(later - earlier >= 1 for earlier, later in pairwise(trials))
    assert len(server.attempts) <= 18

    server.up, back = True, loop.time()
    server.peak = 0
    await asyncio.gather(*calls)
    assert server.peak == 2
    assert loop.time() - back <= LONGEST_PAUSE + 40 * 2.0 / 2 + 5
    assert whisper.snapshot().calls.completed == 40
    assert whisper.snapshot().servers[0].breaker == "closed"
    assert state(whisper) == (0, 0, 0)


@in_virtual_time
async def test_a_call_may_be_cancelled_at_every_step_of_its_way_and_leaves_nothing_behind() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    server = VirtualServer(seconds=1.0, status=500)
    whisper = virtual_client([server], request_timeout=20.0, abandoned_grace=5.0)
    sent = set()
    for steps in range(60):
        before = server.finished
        calls = [
            asyncio.create_task(whisper.call_remote_asr_api(request(), caller("live", durable=True))) for _ in range(2)
        ]
        for step in range(steps):
            await asyncio.sleep(0 if step % 8 else 1.0)  # some steps wait for the server or for the next attempt
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        await asyncio.sleep(30)
        assert state(whisper) == (0, 0, 0)
        assert len(asyncio.all_tasks()) == 1
        sent.add(server.finished - before)
    assert min(sent) == 0
    assert max(sent) >= 4
    assert server.peak == 1


@in_virtual_time
async def test_a_trial_that_never_got_its_permit_leaves_its_turn_to_the_next_call() -> None:
    whisper = virtual_client([VirtualServer(seconds=1.0)])
    server = whisper.pool.servers[0]
    permit = await whisper.pool.gate.acquire("batch", "someone")
    for _ in range(FAILURES_TO_OPEN):
        server.breaker.finish(server.breaker.start(), reached=False)
    await asyncio.sleep(FIRST_PAUSE)
    with pytest.raises(DeadlineExceeded):
        await whisper.call_remote_asr_api(request(), caller("live", deadline=FIRST_PAUSE + 2))
    assert (server.breaker.state, server.breaker.allows()) == ("open", True)
    permit.release()
    await whisper.call_remote_asr_api(request(), caller("live"))
    assert server.breaker.state == "closed"
