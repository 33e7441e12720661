"""The snapshot's counts agree with those of the server, after hundreds of calls with every kind of fault."""

import asyncio
import random
from typing import Any

import pytest

from tests.support.calls import caller, client, request
from tests.support.waiting import PATIENCE, until
from tests.support.whisper_stub import OUT_OF_MEMORY, Reply, WhisperStub, http, raw, reset, said
from transcription.line import LANES
from transcription.request import SILENCE

BUSY = http(503, {"error": "queue is full"}, Retry_After="0.01")


async def stall(writer: Any) -> None:
    await asyncio.sleep(3600)


FAULTS: list[Reply] = [OUT_OF_MEMORY, BUSY, http(500, "broken"), http(400, "refused"), raw(b"garbage\r\n\r\n"), reset]


async def test_after_hundreds_of_calls_with_faults_the_counts_agree_with_the_servers_own() -> None:
    dice = random.Random(4)  # noqa: S311
    answer = said()
    script = [answer if dice.random() < 0.75 else dice.choice(FAULTS) for _ in range(1000)]
    script[50:250:50] = [stall] * 4
    with WhisperStub(seconds=lambda: dice.uniform(0, 0.004), replies=script, knows_silence=False) as stub:
        # A time-out that no call reaches before it is sent, on a busy machine either: the server could not count it.
        whisper = client(stub.url, limit=3, max_queue=500, request_timeout=4.0, abandoned_grace=0.1, allow_bypass=True)
        calls = [
            whisper.call_remote_asr_api(request(), caller(dice.choice(LANES), dice.choice("ABC"), durable=True))
            for _ in range(400)
        ]
        results = await asyncio.gather(*calls, return_exceptions=True)
        await until(lambda: not whisper.in_flight.tasks)
        counted, seen = whisper.snapshot(), script[: len(stub.received)]
        silent = [received.file_bytes == len(SILENCE) for received in stub.received]
        answered = [reply for reply, probe in zip(seen, silent, strict=True) if not probe].count(answer)
        assert counted.calls.probes == sum(silent)
        assert counted.calls.total + counted.calls.retries + counted.calls.probes == len(stub.received)
        assert counted.calls.oom_errors == counted.servers[0].oom_errors == seen.count(OUT_OF_MEMORY) > 5
        assert counted.calls.completed == answered == len([r for r in results if not isinstance(r, Exception)])
        assert counted.calls.failed == 400 - counted.calls.completed > 0
        assert (stub.peak, counted.servers[0].gate.peak) == (3, 3)
        assert (counted.servers[0].gate.active, counted.servers[0].gate.queued) == (0, 0)

        unguarded = [whisper.call_remote_asr_api(request(), caller(), use_concurrency_control=False) for _ in range(10)]
        await asyncio.gather(*unguarded, return_exceptions=True)
        assert whisper.snapshot().calls.bypassed == len(stub.received) - len(seen) >= 10
        await whisper.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_attempt_that_sent_nothing_but_silence_is_no_retry() -> None:
    with WhisperStub(seconds=0.0, replies=[reset, reset, reset, said()], knows_silence=False) as stub:
        whisper = client(stub.url)
        await whisper.call_remote_asr_api(request(), caller(durable=True))
        counted = whisper.snapshot().calls
        assert [received.file_bytes == len(SILENCE) for received in stub.received] == [False, False, True, True, False]
        assert (counted.total, counted.retries, counted.probes) == (1, 2, 2)
        await whisper.aclose()


@pytest.mark.parametrize("count", [0, 1, 5])
async def test_snapshot_tells_the_load_and_the_latest_times(count: int) -> None:
    with WhisperStub(seconds=0.02) as stub:
        whisper = client(stub.url)
        await asyncio.gather(*(whisper.call_remote_asr_api(request(seconds=7.0), caller("live")) for _ in range(count)))
        gate = whisper.snapshot().servers[0].gate
        assert len(gate.waits) == len(gate.services) == count
        assert gate.audio == (7.0,) * count
        assert all(0.02 <= seconds < PATIENCE for seconds in gate.services)
        assert sorted(gate.waits) == list(gate.waits)
        await whisper.aclose()
