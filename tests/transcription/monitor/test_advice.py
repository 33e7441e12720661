"""A fixed limit that is too high: stats, the monitor and `/readyz` say so after the third out-of-memory answer."""

from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from django.utils.translation import override

from tests.support.whisper_stub import WhisperStub
from transcription import service
from transcription.monitor import probes
from transcription.monitor.stats import monitor_stats

MANY = (
    "Out of memory 3 times at the fixed limit of 8, which is too high: lower ASR_MAX_CONCURRENT, or set "
    "ASR_ADAPTIVE=on."
)
ONE = "Out of memory 3 times with one call at a time: the model is too large for the server."


@pytest.fixture
def server(settings: LazySettings) -> Iterator[WhisperStub]:
    with WhisperStub() as stub:
        settings.ASR_API_URL, settings.ASR_ADAPTIVE = stub.url, False
        service.client.cache_clear()
        service.engine.cache_clear()
        yield stub
    service.client.cache_clear()
    service.engine.cache_clear()


async def run_out_of_memory() -> str | None:
    """Have one call end in an out-of-memory answer. Returns the advice of the stats."""
    (await service.client().pool.gate.acquire("batch", "someone")).release("oom")
    advice: str | None = monitor_stats()["servers"][0]["advice"]
    return advice


@pytest.mark.parametrize(("limit", "advice"), [("8", MANY), ("1", ONE)])
async def test_the_third_out_of_memory_answer_under_a_fixed_limit_is_told_with_what_to_do(
    server: WhisperStub, settings: LazySettings, limit: str, advice: str
) -> None:
    settings.ASR_MAX_CONCURRENT = limit
    assert [await run_out_of_memory() for _ in range(3)] == [None, None, advice]
    assert (await probes.gate()).advice == [advice]
    with override("zh-hans"):
        assert "显存不足 3 次" in monitor_stats()["servers"][0]["advice"]


async def test_advice_is_withdrawn_when_an_admin_lowers_the_limit(server: WhisperStub, settings: LazySettings) -> None:
    settings.ASR_MAX_CONCURRENT = "8"
    for _ in range(3):
        await run_out_of_memory()
    (gpu,) = service.client().pool.servers
    service.set_ceiling(gpu.name, 2)
    assert await run_out_of_memory() is None
