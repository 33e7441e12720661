"""A ceiling above what the server bears costs one out-of-memory answer on the way up, never a burst."""

import asyncio
from collections import Counter

import pytest

from tests.support.calls import caller, client, request
from tests.support.virtual_server import VirtualServer, virtual_client
from tests.support.virtual_time import in_virtual_time
from tests.support.whisper_stub import WhisperStub
from transcription.client import WhisperClient
from transcription.limit import SHUN_SECONDS, AdaptiveLimit

MINUTE = 60.0


async def keep_calling(whisper: WhisperClient, seconds: float, callers: int = 30) -> Counter[int]:
    """Make calls for so many seconds, more at a time than may go. Returns the limits, looked at ten times a second."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds

    async def call() -> None:
        while clock() < end:
            await whisper.call_remote_asr_api(request(), caller(durable=True))

    calls = asyncio.gather(*(call() for _ in range(callers)))
    limits = Counter[int]()
    while clock() < end:
        await asyncio.sleep(0.1)
        limits[whisper.snapshot().servers[0].gate.limit] += 1
    await calls
    return limits


def failures(whisper: WhisperClient) -> int:
    return whisper.snapshot().calls.oom_errors


@in_virtual_time
@pytest.mark.parametrize(
    ("ceiling", "fits", "seconds"),
    [(8, 1, 2.0), (8, 2, 0.2), (8, 2, 2.0), (8, 2, 10.0), (8, 3, 2.0), (8, 7, 2.0), (64, 5, 2.0)],
)
async def test_the_climb_meets_one_failure_and_the_limit_stands_at_what_fits(
    ceiling: int, fits: int, seconds: float
) -> None:
    server = VirtualServer(seconds, capacity=fits)
    whisper = virtual_client([server], limit=AdaptiveLimit(ceiling=ceiling))
    await keep_calling(whisper, 2 * MINUTE)
    assert failures(whisper) == 1
    limits = await keep_calling(whisper, SHUN_SECONDS / 3)  # the level that failed is not yet tried again
    assert limits.most_common(1)[0][0] == fits
    await whisper.aclose()


@in_virtual_time
async def test_a_ceiling_that_an_admin_raises_is_climbed_to_in_the_same_way() -> None:
    server = VirtualServer(2.0, capacity=5)
    whisper = virtual_client([server], limit=AdaptiveLimit(ceiling=16))
    (gpu,) = whisper.pool.servers
    whisper.pool.gate.set_ceiling(gpu, 2)
    await keep_calling(whisper, MINUTE)
    assert (gpu.limit.limit, failures(whisper)) == (2, 0)
    whisper.pool.gate.set_ceiling(gpu, 16)
    assert gpu.limit.limit == 2
    await keep_calling(whisper, MINUTE)
    assert failures(whisper) == 1
    limits = await keep_calling(whisper, MINUTE)
    assert limits.most_common(1)[0][0] == 5
    await whisper.aclose()


@in_virtual_time
async def test_a_ceiling_that_holds_is_reached_soon() -> None:
    whisper = virtual_client([VirtualServer(2.0)], limit=AdaptiveLimit(ceiling=8))
    limits = await keep_calling(whisper, MINUTE / 2)
    assert max(limits) == 8
    assert failures(whisper) == 0
    await whisper.aclose()


async def test_thirty_calls_at_once_over_http_where_two_fit_meet_one_failure() -> None:
    with WhisperStub(seconds=0.1, capacity=2) as stub:
        whisper = client(stub.url, limit=AdaptiveLimit(ceiling=8))
        await asyncio.gather(*(whisper.call_remote_asr_api(request(), caller(durable=True)) for _ in range(30)))
        assert failures(whisper) == 1
        assert whisper.snapshot().servers[0].gate.limit == 2
        await whisper.aclose()
