"""A call that breaks each server that it is sent to fails, and no other call fails with it."""

import asyncio
import random
from collections import Counter

import httpx
import pytest

from tests.support.calls import caller, request
from tests.support.virtual_server import VirtualServer, virtual_client
from tests.support.virtual_time import in_virtual_time
from transcription.answer import Transcript
from transcription.client import WhisperClient
from transcription.errors import Poison, Unreachable
from transcription.retry import POISON


class FragileServer(VirtualServer):
    """A server that crashes over a call with the prompt `poison`.

    It breaks off all calls that it computes, and is up again `away` seconds later.
    """

    def __init__(self, seconds: float, away: float) -> None:
        super().__init__(seconds)
        self._away = away
        self._lives = 0
        self.sent: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = "poison" if b"poison" in await request.aread() else "other"
        life = self._lives
        if self.up:
            self.sent[name] += 1
            if name == "poison":
                asyncio.get_running_loop().call_later(self.seconds / 2, self._die)
        response = await super().handle_async_request(request)
        if life != self._lives:
            raise httpx.ReadError("Connection reset by peer")
        return response

    def _die(self) -> None:
        self._lives += 1
        self.up = False
        asyncio.get_running_loop().call_later(self._away, setattr, self, "up", True)


async def ask(whisper: WhisperClient, name: str) -> Transcript:
    return await whisper.call_remote_asr_api(request(name), caller(durable=True))


@in_virtual_time
async def test_a_call_alone_that_breaks_the_server_each_time_fails_with_a_reason() -> None:
    server = FragileServer(seconds=2, away=20)
    whisper = virtual_client([server])
    with pytest.raises(Poison, match="5 times"):
        await ask(whisper, "poison")
    assert server.sent["poison"] == POISON
    assert server.sent["other"] >= POISON - 2  # probes, which showed each time that the server was well


@in_virtual_time
@pytest.mark.parametrize("limit", [1, 4, 8])
@pytest.mark.parametrize("seed", range(5))
async def test_no_call_beside_a_poison_fails_however_often_it_is_broken_off(limit: int, seed: int) -> None:
    random.seed(seed)  # for the backoffs
    server = FragileServer(seconds=3, away=20)
    whisper = virtual_client([server], limit=limit)
    names = ["poison", *(f"{number}" for number in range(100))]
    results = await asyncio.gather(*(ask(whisper, name) for name in names), return_exceptions=True)
    assert isinstance(results[0], Poison)
    assert [result for result in results[1:] if not isinstance(result, Transcript)] == []
    gate = whisper.snapshot().servers[0].gate
    assert (gate.active, gate.queued, gate.abandoned) == (0, 0, 0)


@in_virtual_time
async def test_two_poisons_fail_and_no_other_call() -> None:
    server = FragileServer(seconds=3, away=20)
    whisper = virtual_client([server], limit=4)
    names = ["poison", *(f"{number}" for number in range(50)), "more poison"]
    results = await asyncio.gather(*(ask(whisper, name) for name in names), return_exceptions=True)
    assert [isinstance(result, Poison) for result in results] == [True, *[False] * 50, True]
    assert all(isinstance(result, Transcript) for result in results[1:-1])


@in_virtual_time
async def test_a_server_that_breaks_down_over_everything_for_hours_fails_nothing() -> None:
    server = FragileServer(seconds=1, away=0.5)
    whisper = virtual_client([server], limit=4)
    loop = asyncio.get_running_loop()
    calls = [asyncio.create_task(ask(whisper, f"{number}")) for number in range(20)]
    while loop.time() < 3 * 3600:
        await asyncio.sleep(0.7)
        server._die()
        server.up = True
    await asyncio.sleep(600)
    assert all(isinstance(call.result(), Transcript) for call in calls)


@in_virtual_time
async def test_a_call_that_cannot_wait_has_the_usual_attempts() -> None:
    server = FragileServer(seconds=1, away=0.1)
    whisper = virtual_client([server], retry_delay=0.5)
    with pytest.raises(Unreachable):
        await whisper.call_remote_asr_api(request("poison"), caller("interactive"))
    assert server.sent["other"] == 0
