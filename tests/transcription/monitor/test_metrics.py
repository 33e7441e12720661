"""/metrics: the gate's snapshot in Prometheus's format, for callers whose token or address the settings name."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from recordings.live.journal import SECOND
from recordings.live.session import Session
from recordings.live.sessions import live
from recordings.models import LiveSession
from transcription import service
from transcription.captions import Pace
from transcription.errors import TranscriptionError
from transcription.request import AsrRequest, CallOptions
from web.throttle import BAD_TOKENS


@pytest.fixture(autouse=True)
def _fresh(settings: Any) -> Iterator[None]:
    cache.clear()
    settings.ASR_API_URL, settings.ASR_MAX_RETRIES = "http://127.0.0.1:9/v1|3", 1
    settings.METRICS_TOKEN = "scraper"
    service.engine.cache_clear()
    service.client.cache_clear()
    yield
    service.engine.cache_clear()
    service.client.cache_clear()


def scraped() -> dict[tuple[str, ...], float]:
    """The value of each sample, by its name and the values of its labels. Labels are sorted by name."""
    answer = Client().get("/metrics", headers={"Authorization": "Bearer scraper"})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.content.decode())
    return {(s.name, *dict(sorted(s.labels.items())).values()): s.value for family in families for s in family.samples}


async def failing_call() -> None:
    with pytest.raises(TranscriptionError):
        await service.client().call_remote_asr_api(AsrRequest(b"", 1.0), CallOptions("batch", "mei"))
    await service.client().aclose()


def test_it_shows_what_the_gate_counts() -> None:
    asyncio.run(failing_call())
    seen = scraped()
    assert seen["asr_slots", "127.0.0.1:9"] >= 1
    assert seen["asr_results_total", "failed"] == seen["asr_calls_total",] == 1
    assert seen["asr_results_total", "completed"] == 0
    assert seen["asr_active", "live", "127.0.0.1:9"] == seen["asr_queued", "batch", "127.0.0.1:9"] == 0
    assert seen["asr_upstream_up", "127.0.0.1:9"] == 1
    assert seen["process_open_fds",] > 0


def test_it_shows_live_sessions_and_the_slowest(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = scraped()
    assert seen["live_sessions",] == seen["live_lag_seconds",] == 0
    sessions = [Session(LiveSession(), Pace(lambda: 1)) for _ in range(2)]
    monkeypatch.setattr(live, "_running", dict(enumerate(sessions)))
    sessions[1].journal.size = 3 * SECOND
    seen = scraped()
    assert (seen["live_sessions",], seen["live_lag_seconds",]) == (2, 3)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.7", ""])
def test_nobody_reads_it_until_the_settings_say_who_may(settings: Any, address: str) -> None:
    settings.METRICS_TOKEN = ""
    refused = Client().get("/metrics", REMOTE_ADDR=address)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("127.0.0.1", 200),
        ("10.1.2.3", 200),
        ("::1", 200),
        ("10.0.0.9", 403),
        ("11.0.0.1", 403),
        ("::2", 403),
        ("", 403),
    ],
)
def test_an_address_that_may_reads_it_without_a_token_unless_it_is_a_proxys(
    settings: Any, address: str, status: int
) -> None:
    settings.METRICS_TOKEN, settings.METRICS_ALLOWED = "", ["127.0.0.1", "::1", "10.0.0.0/8"]
    settings.TRUSTED_PROXIES = ["10.0.0.9"]
    assert Client().get("/metrics", REMOTE_ADDR=address).status_code == status


def test_with_a_token_nobody_reads_it_without(settings: Any) -> None:
    settings.METRICS_TOKEN = "scraper's own"
    client = Client(REMOTE_ADDR="10.0.0.7")
    assert client.get("/metrics", headers={"Authorization": "Bearer scraper's own"}).status_code == 200
    for _ in range(BAD_TOKENS.most):
        assert client.get("/metrics", headers={"Authorization": "Bearer 听"}).status_code == 401
    refused = client.get("/metrics")
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= BAD_TOKENS.seconds
    assert Client().get("/metrics").status_code == 401  # nor from this machine
