"""Several servers: each that is free takes the next call in line, and no call is lost when a server is."""

import asyncio
import random

import pytest

from tests.support.calls import caller, client, request
from tests.support.virtual_server import PacedServer, VirtualServer, virtual_client
from tests.support.virtual_time import in_virtual_time
from tests.support.whisper_stub import OUT_OF_MEMORY, WhisperStub, said
from transcription.breaker import Breaker
from transcription.client import WhisperClient
from transcription.pool import Pool
from transcription.servers.dialect import endpoint


async def work(whisper: WhisperClient, calls: int, workers: int) -> float:
    """Make `calls` durable calls, `workers` at a time, and return how many seconds that took. No call may fail."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    left = iter(range(calls))

    async def worker(number: int) -> None:
        for _ in left:
            await whisper.call_remote_asr_api(request(), caller(owner=str(number), durable=True))

    await asyncio.gather(*(worker(number) for number in range(workers)))
    assert whisper.snapshot().calls.completed == calls
    assert all(server.gate.active == server.gate.queued == 0 for server in whisper.snapshot().servers)
    return loop.time() - start


@pytest.mark.parametrize("workers", [3, 12, 60])
@pytest.mark.parametrize("fast_first", [True, False])
@in_virtual_time
async def test_of_two_servers_the_one_twice_as_fast_gets_twice_as_much(workers: int, fast_first: bool) -> None:
    fast, slow = VirtualServer(seconds=1.0), VirtualServer(seconds=2.0)
    whisper = virtual_client([fast, slow] if fast_first else [slow, fast])
    seconds = await work(whisper, calls=300, workers=workers)
    equal_shares = 150 * 2.0  # seconds that the slow server needs for half of the calls
    assert equal_shares / seconds >= 1.45
    assert fast.peak == slow.peak == 1


@pytest.mark.parametrize("dying", [0, 1])
@in_virtual_time
async def test_a_server_that_dies_half_way_loses_no_call_and_gets_one_probe_at_a_time(dying: int) -> None:
    servers = [VirtualServer(seconds=1.0), VirtualServer(seconds=2.0)]
    dead, other = servers[dying], servers[1 - dying]
    whisper = virtual_client(servers, retry_delay=0.1)
    half_way = asyncio.get_running_loop().call_later(100, setattr, dead, "up", False)
    seconds = await work(whisper, calls=300, workers=12)
    half_way.cancel()
    # Both servers do 150 calls in 100 s. The other one does the rest alone, with 5 % allowed for idle moments.
    assert seconds <= 100 + (300 - 150) * other.seconds * 1.05
    assert dead.most_attempts == 1
    assert len(dead.attempts) <= 3 + 7 + seconds / 60
    assert other.peak == 1


def mixed(calls: int) -> list[float]:
    """Lengths of audio: short clips, sentences and whole stretches, in seconds."""
    dice = random.Random(4)  # noqa: S311
    return [dice.choice([dice.uniform(1, 4), dice.uniform(4, 15), dice.uniform(20, 30)]) for _ in range(calls)]


async def makespan(whisper: WhisperClient, lengths: list[float], workers: int) -> float:
    """Make durable calls of these lengths, so many at a time; returns how many seconds it took. None may fail."""
    start = asyncio.get_running_loop().time()
    left = iter(lengths)

    async def worker(number: int) -> None:
        for seconds in left:
            await whisper.call_remote_asr_api(request(f"{seconds}", seconds), caller(owner=f"{number}", durable=True))

    await asyncio.gather(*(worker(number) for number in range(workers)))
    assert whisper.snapshot().calls.completed == len(lengths)
    return asyncio.get_running_loop().time() - start


@pytest.mark.parametrize("workers", [12, 300])
@pytest.mark.parametrize("fast_first", [True, False])
@in_virtual_time
async def test_g14_calls_of_mixed_length_take_no_longer_than_one_queue_for_both_servers_needs(
    workers: int, fast_first: bool
) -> None:
    fast, slow = PacedServer(seconds=1 / 30), PacedServer(seconds=1 / 10)
    whisper = virtual_client([fast, slow] if fast_first else [slow, fast])
    lengths = mixed(300)
    assert await makespan(whisper, lengths, workers) <= 1.05 * sum(lengths) / (30 + 10)
    assert fast.peak == slow.peak == 1


@pytest.mark.parametrize("dying", ["fast", "slow"])
@pytest.mark.parametrize("workers", [12, 300])
@in_virtual_time
async def test_g14_where_a_server_dies_half_way_no_call_waits_behind_it(workers: int, dying: str) -> None:
    servers = {"fast": PacedServer(seconds=1 / 30), "slow": PacedServer(seconds=1 / 10)}
    whisper = virtual_client(list(servers.values()), retry_delay=0.1)
    dead = servers.pop(dying)
    (other,) = servers.values()
    lengths = mixed(300)
    half_way = sum(lengths) / (30 + 10) / 2
    asyncio.get_running_loop().call_later(half_way, setattr, dead, "up", False)
    seconds = await makespan(whisper, lengths, workers)
    assert seconds <= 1.05 * (half_way + sum(lengths) / 2 * other.seconds)
    assert dead.most_attempts == 1


async def test_after_out_of_memory_another_server_is_tried() -> None:
    with WhisperStub(seconds=0, replies=OUT_OF_MEMORY) as full, WhisperStub(seconds=0, replies=said("here")) as other:
        whisper = client(full.url, other.url)
        assert (await whisper.call_remote_asr_api(request(), caller())).text == "here"
        assert (len(full.received), len(other.received)) == (1, 1)
        await whisper.aclose()


async def test_a_server_that_refuses_connections_costs_a_call_one_retry_on_another() -> None:
    with WhisperStub(seconds=0) as dead, WhisperStub(seconds=0) as other:
        dead.stop()
        whisper = client(dead.url, other.url)
        await whisper.call_remote_asr_api(request(), caller("interactive"))
        assert len(other.received) == 1
        await whisper.aclose()


def test_a_pool_without_servers_has_none_to_offer() -> None:
    assert Pool([]).pick([]) is None
    assert Breaker().allows()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://gpu:8000/v1", "http://gpu:8000/v1/audio/transcriptions"),
        ("https://gpu/v1/", "https://gpu/v1/audio/transcriptions"),
        (" http://gpu/v1/audio/transcriptions ", "http://gpu/v1/audio/transcriptions"),
    ],
)
def test_an_address_is_taken_as_a_base_or_in_full(url: str, expected: str) -> None:
    assert endpoint(url) == expected


@pytest.mark.parametrize("url", ["", "gpu:8000", "ftp://gpu/v1", "http://", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ValueError, match="such as http://host:8000/v1"):
        endpoint(url)
