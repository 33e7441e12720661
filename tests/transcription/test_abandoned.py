"""Rule G9 with a real server that computes on after its client has gone: never more calls at once than the limit."""

import asyncio
import random

import pytest

from tests.support.calls import SENT_WITHIN, caller, client, request
from tests.support.waiting import PATIENCE, until
from tests.support.whisper_stub import WhisperStub
from transcription.answer import Transcript
from transcription.client import WhisperClient
from transcription.errors import TimedOut


def state(whisper: WhisperClient) -> tuple[int, int, int]:
    gate = whisper.snapshot().servers[0].gate
    return gate.active, gate.queued, gate.abandoned


async def test_a_cancelled_call_keeps_its_permit_until_the_server_has_answered() -> None:
    with WhisperStub() as stub:
        stub.hold()
        whisper = client(stub.url)
        gone = asyncio.create_task(whisper.call_remote_asr_api(request("gone"), caller()))
        await until(lambda: stub.computing == 1)
        following = asyncio.create_task(whisper.call_remote_asr_api(request("next"), caller()))
        gone.cancel()
        await until(lambda: state(whisper) == (0, 1, 1))
        stub.let_go()
        await following
        assert (stub.prompts, stub.peak, stub.connections) == (["gone", "next"], 1, 1)
        assert state(whisper) == (0, 0, 0)
        assert whisper.snapshot().calls.canceled == 1
        await whisper.aclose()


async def test_a_call_that_timed_out_keeps_its_permit_until_the_server_has_answered() -> None:
    with WhisperStub() as stub:
        stub.hold()
        whisper = client(stub.url, request_timeout=SENT_WITHIN, abandoned_grace=PATIENCE, max_attempts=1)
        with pytest.raises(TimedOut, match=r"within 2 s"):
            await whisper.call_remote_asr_api(request("slow"), caller())
        assert (state(whisper), stub.computing) == ((0, 0, 1), 1)
        stub.let_go()
        await until(lambda: state(whisper) == (0, 0, 0))
        assert (stub.computing, stub.finished) == (0, 1)
        await whisper.aclose()


async def test_a_server_that_never_answers_gives_the_permit_back_after_the_grace() -> None:
    with WhisperStub(seconds=3600) as stub:
        whisper = client(stub.url, request_timeout=SENT_WITHIN, abandoned_grace=0.2, max_attempts=1)
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimedOut):
            await whisper.call_remote_asr_api(request(), caller())
        assert state(whisper) == (0, 0, 1)
        await until(lambda: state(whisper) == (0, 0, 0))
        assert asyncio.get_running_loop().time() - began > SENT_WITHIN + 0.19
        await whisper.aclose()


async def test_a_waiter_that_is_cancelled_sends_nothing() -> None:
    with WhisperStub() as stub:
        stub.hold()
        whisper = client(stub.url)
        first = asyncio.create_task(whisper.call_remote_asr_api(request("first"), caller()))
        second = asyncio.create_task(whisper.call_remote_asr_api(request("second"), caller()))
        await until(lambda: state(whisper) == (1, 1, 0))
        second.cancel()
        stub.let_go()
        await first
        assert (state(whisper), stub.prompts) == ((0, 0, 0), ["first"])
        await whisper.aclose()


@pytest.mark.parametrize("limit", [1, 3])
async def test_callers_that_leave_at_random_never_make_the_server_compute_more_than_the_limit(limit: int) -> None:
    dice = random.Random(limit)  # noqa: S311
    with WhisperStub(seconds=lambda: dice.choice([0.005, 0.02, 0.12])) as stub:
        whisper = client(stub.url, limit=limit, request_timeout=0.06, max_attempts=2)

        async def call() -> Transcript:
            await asyncio.sleep(dice.uniform(0, 1))
            return await whisper.call_remote_asr_api(request(), caller(owner=str(dice.randrange(5))))

        tasks = [asyncio.create_task(call()) for _ in range(90)]
        for task in tasks[::3]:
            asyncio.get_running_loop().call_later(dice.uniform(0, 2), task.cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: state(whisper) == (0, 0, 0))

        assert stub.peak == limit
        # On a busy machine all calls may time out.
        assert {type(result).__name__ for result in results} <= {"Transcript", "CancelledError", "TimedOut"}
        assert stub.computing == 0
        assert stub.finished == len(stub.received)
        calls = whisper.snapshot().calls
        assert calls.total == calls.completed + calls.failed + calls.canceled
        await whisper.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}
