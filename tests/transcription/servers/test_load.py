"""What servers tell of their load. The texts have the form that each server gives them."""

from functools import partial

import pytest

from tests.support.calls import client
from transcription.servers.dialect import endpoint
from transcription.servers.load import Told, ask

VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="openai/whisper-large-v3"} 3.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="openai/whisper-large-v3"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 7.0
"""
SECOND_ENGINE = 'vllm:num_requests_running{engine="1"} 4.0\nvllm:num_requests_waiting{engine="1"} 1.0\n'
ENGINE = '{"status": "ok", "model": "base", "device": "cpu", "batch": 4, "running": 2, "waiting": 5}'


class Pages:
    """The pages of a server, by their addresses. asked: the addresses that were asked for."""

    def __init__(self, **pages: str) -> None:
        self.pages = pages
        self.asked: list[str] = []

    async def look(self, url: str) -> tuple[bytes, str]:
        self.asked.append(url)
        return self.pages.get(url.rpartition("/")[2], "").encode(), "uvicorn"


@pytest.mark.parametrize(
    ("pages", "told"),
    [
        ({"metrics": VLLM}, Told(3, 2)),
        ({"metrics": VLLM + SECOND_ENGINE}, Told(7, 3)),
        ({"metrics": "vllm:num_requests_running 1\nvllm:num_requests_waiting 0"}, Told(1, 0)),
        ({"health": ENGINE}, Told(2, 5)),
        ({"health": '{"status": "ok"}', "metrics": VLLM}, Told(3, 2)),
        ({}, None),
        ({"health": "OK", "metrics": "process_cpu_seconds_total 1.0"}, None),
        ({"metrics": "vllm:num_requests_running 1"}, None),
        ({"metrics": "vllm:num_requests_running nan\nvllm:num_requests_waiting nan"}, None),
        ({"health": "[]"}, None),
        ({"health": "[" * 100_000}, None),
        ({"health": '{"running": true, "waiting": 0}'}, None),
        ({"health": '{"running": -1, "waiting": 0}'}, None),
        ({"health": '{"running": "1", "waiting": 0}'}, None),
    ],
)
async def test_the_load_is_what_the_pages_tell(pages: dict[str, str], told: Told | None) -> None:
    assert await ask(endpoint("http://gpu:8000/v1"), Pages(**pages).look) == told


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://gpu:8000/v1/audio/transcriptions", "http://gpu:8000"),
        ("https://host/vllm/v1/audio/transcriptions", "https://host/vllm"),
        ("http://gpu:8000/audio/transcriptions", "http://gpu:8000"),
    ],
)
async def test_the_pages_lie_beside_the_api(url: str, base: str) -> None:
    pages = Pages()
    await ask(url, pages.look)
    assert pages.asked == [f"{base}/health", f"{base}/metrics"]


async def test_the_engine_tells_its_load(whisper_server: str) -> None:
    whisper = client(whisper_server)
    (server,) = whisper.pool.servers
    assert await ask(server.url, partial(whisper.http.look, server)) == (0, 0)
    await whisper.aclose()
