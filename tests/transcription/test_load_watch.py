"""Servers are asked for their load while that is of use, and calls never wait for it. The clock is virtual."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.calls import caller, request
from tests.support.virtual_server import TellingServer, virtual_client
from tests.support.virtual_time import in_virtual_time
from transcription.client import WhisperClient
from transcription.load_watch import EVERY, LOOKED, SILENT
from transcription.snapshot import Load


@asynccontextmanager
async def watched(server: TellingServer) -> AsyncIterator[WhisperClient]:
    """A client of the server, with limit 2, that watches the server's load."""
    whisper = virtual_client([server], limit=2)
    watch = asyncio.create_task(whisper.load_watch.run())
    yield whisper
    watch.cancel()
    await asyncio.wait([watch])
    await whisper.aclose()


def load(whisper: WhisperClient) -> Load | None:
    return whisper.snapshot().servers[0].load


@in_virtual_time
async def test_nobody_asks_while_no_call_is_in_flight_and_nobody_looks() -> None:
    server = TellingServer(seconds=1.0, foreign=3)
    async with watched(server) as whisper:
        await asyncio.sleep(600)
        assert (server.asked, load(whisper)) == ([], None)


@in_virtual_time
@pytest.mark.parametrize(("foreign", "calls"), [(0, 1), (0, 2), (3, 2), (1, 4)])
async def test_while_calls_are_in_flight_the_load_beyond_them_is_foreign(foreign: int, calls: int) -> None:
    server = TellingServer(seconds=10.0, foreign=foreign)
    async with watched(server) as whisper:
        asked = [asyncio.create_task(whisper.call_remote_asr_api(request(), caller())) for _ in range(calls)]
        await asyncio.sleep(3 * EVERY)
        ours, waiting = min(calls, 2), foreign // 2
        assert load(whisper) == Load(ours + foreign - waiting, waiting, foreign)
        assert server.asked == [0.0, EVERY, 2 * EVERY]
        await asyncio.gather(*asked)
        await asyncio.sleep(2 * EVERY)
        assert load(whisper) is None


@in_virtual_time
async def test_while_somebody_looks_an_idle_server_is_asked_too() -> None:
    server = TellingServer(seconds=1.0, foreign=2)
    async with watched(server) as whisper:
        await asyncio.sleep(1)
        whisper.load_watch.looked()
        await asyncio.sleep(LOOKED - 1)
        assert load(whisper) == Load(1, 1, 2)
        await asyncio.sleep(600)
        assert load(whisper) is None
        assert len(server.asked) <= LOOKED / EVERY + 1


@in_virtual_time
async def test_a_server_that_tells_nothing_is_seldom_asked_again() -> None:
    server = TellingServer(seconds=1.0, tells="nothing")
    async with watched(server) as whisper:
        for _ in range(int(2 * SILENT) - 1):
            whisper.load_watch.looked()
            await asyncio.sleep(1)
        assert load(whisper) is None
        assert server.asked == [0.0, SILENT]


@in_virtual_time
async def test_no_call_waits_for_a_server_that_does_not_tell_its_load() -> None:
    server = TellingServer(seconds=10.0, tells="hangs")
    async with watched(server) as whisper:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(whisper.call_remote_asr_api(request(), caller()) for _ in range(2)))
        assert asyncio.get_running_loop().time() == began + 10.0
        assert load(whisper) is None
        assert len(server.asked) > 1
