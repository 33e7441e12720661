"""A server that takes calls and does not answer, as while it loads its model: durable calls wait until it answers."""

import asyncio
from collections import Counter

import httpx
import pytest

from recordings.models import Transcription
from recordings.work.jobs import aqueue_transcription
from tests.support.calls import caller, client, request
from tests.support.jobs import CLIPS, finished, jobs_running, recording, someone, whisper_at
from tests.support.virtual_server import VirtualServer, virtual_client
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until
from tests.support.whisper_stub import WhisperStub, said
from transcription.answer import Transcript
from transcription.client import WhisperClient
from transcription.errors import Poison, TimedOut, Unreachable
from transcription.retry import POISON

GRACE = 400  # seconds, after which each time-out and each grace is over


class HangingServer(VirtualServer):
    """A server that answers only while it is `awake`, and never a call with the prompt `poison`.

    When it wakes it computes all calls that have come.
    """

    def __init__(self, seconds: float = 2.0) -> None:
        super().__init__(seconds)
        self.awake = asyncio.Event()
        self.awake.set()
        self.sent: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        poison = b"poison" in await request.aread()
        self.sent["poison" if poison else "other"] += 1
        if poison:
            await asyncio.sleep(86_400)
        await self.awake.wait()
        return await super().handle_async_request(request)


async def ask(whisper: WhisperClient, name: str = "") -> Transcript:
    return await whisper.call_remote_asr_api(request(name), caller(durable=True))


@in_virtual_time
@pytest.mark.parametrize(("minutes", "limit", "servers"), [(4, 1, 1), (10, 1, 1), (10, 8, 1), (10, 2, 2), (90, 4, 1)])
async def test_however_long_a_server_hangs_no_durable_call_fails(minutes: int, limit: int, servers: int) -> None:
    hanging = [HangingServer() for _ in range(servers)]
    whisper = virtual_client(hanging, limit=limit)
    await asyncio.gather(*(ask(whisper) for _ in range(4)))  # calls got through before the servers hang
    for server in hanging:
        server.awake.clear()
    calls = [asyncio.create_task(ask(whisper)) for _ in range(20)]
    await asyncio.sleep(60 * minutes)
    for server in hanging:
        server.awake.set()
    await asyncio.gather(*calls)
    await asyncio.sleep(GRACE)
    gates = [server.gate for server in whisper.snapshot().servers]
    assert [(gate.active, gate.queued, gate.abandoned) for gate in gates] == [(0, 0, 0)] * servers


@in_virtual_time
async def test_a_server_that_hangs_again_and_again_fails_no_durable_call() -> None:
    server = HangingServer()
    whisper = virtual_client([server], limit=2)
    calls = []
    for _ in range(8):
        calls += [asyncio.create_task(ask(whisper)) for _ in range(5)]
        server.awake.clear()
        await asyncio.sleep(1500)
        server.awake.set()
        await asyncio.sleep(2100)
    await asyncio.gather(*calls)


@in_virtual_time
@pytest.mark.parametrize(("limit", "others"), [(1, 0), (1, 30), (4, 30)])
async def test_a_call_that_alone_hangs_the_server_each_time_fails_with_a_reason(limit: int, others: int) -> None:
    server = HangingServer()
    whisper = virtual_client([server], limit=limit)
    results = await asyncio.gather(
        ask(whisper, "poison"), *(ask(whisper, f"{number}") for number in range(others)), return_exceptions=True
    )
    assert isinstance(results[0], Poison)
    assert f"{POISON} times" in str(results[0])
    assert all(isinstance(result, Transcript) for result in results[1:])
    assert server.sent["poison"] == POISON
    await asyncio.sleep(GRACE)


@in_virtual_time
async def test_a_call_that_hangs_every_server_fails_and_takes_no_other_with_it() -> None:
    servers = [HangingServer(), HangingServer(), HangingServer()]
    whisper = virtual_client(servers)
    names = ["poison", *map(str, range(40)), "more poison"]
    results = await asyncio.gather(*(ask(whisper, name) for name in names), return_exceptions=True)
    assert [isinstance(result, Poison) for result in results] == [True, *[False] * 40, True]
    assert all(isinstance(result, Transcript) for result in results[1:-1])
    await asyncio.sleep(GRACE)


@in_virtual_time
async def test_a_server_that_comes_back_and_hangs_gets_one_call_at_a_time_and_refuses_the_others_at_once() -> None:
    server = HangingServer()
    whisper = virtual_client([server], limit=4)
    server.up = False
    calls = [asyncio.create_task(ask(whisper)) for _ in range(6)]
    await asyncio.sleep(60)
    server.awake.clear()
    server.up, server.sent = True, Counter()
    await asyncio.sleep(1000)
    assert server.sent["other"] <= 4  # in 1000 s: each call stays until its time-out and grace are over
    start = asyncio.get_running_loop().time()
    with pytest.raises(Unreachable):
        await whisper.call_remote_asr_api(request(), caller("interactive"))
    assert asyncio.get_running_loop().time() == start
    server.awake.set()
    await asyncio.gather(*calls)


@in_virtual_time
async def test_a_call_that_cannot_wait_has_two_attempts() -> None:
    server = HangingServer()
    server.awake.clear()
    whisper = virtual_client([server])
    with pytest.raises(TimedOut):
        await whisper.call_remote_asr_api(request(), caller("interactive"))
    assert server.sent["other"] == 2
    await asyncio.sleep(GRACE)


async def test_over_real_http_a_server_that_hangs_is_waited_out_within_its_limit() -> None:
    with WhisperStub(seconds=3600) as stub:
        whisper = client(stub.url, limit=2, request_timeout=0.5, abandoned_grace=0.05)
        calls = [asyncio.create_task(ask(whisper)) for _ in range(6)]
        await until(lambda: len(stub.received) >= 12)  # twice as many time-outs as calls
        assert not any(call.done() for call in calls)
        stub.answer(said(), seconds=0.01)
        assert [(await call).text for call in calls] == ["hello"] * 6
        await whisper.aclose()


@pytest.mark.django_db(transaction=True)
async def test_a_server_that_hangs_costs_no_recording() -> None:
    stub = WhisperStub(seconds=3600, knows_silence=False)
    with stub, whisper_at(stub, ASR_REQUEST_TIMEOUT=0.5, ASR_ABANDONED_GRACE=0.1):
        mei = await someone()
        jobs = [await aqueue_transcription(await recording(mei)) for _ in range(2)]
        async with jobs_running():
            await until(lambda: len(stub.received) >= 6)
            stub.answer(said(), seconds=0.01)
            for job in jobs:
                await finished(job)
    assert [job.status async for job in Transcription.objects.order_by("pk")] == ["done"] * 2
    assert [await job.segments.acount() for job in jobs] == [CLIPS] * 2
