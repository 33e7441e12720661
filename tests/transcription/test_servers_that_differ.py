"""Servers that differ in models, lanes, keys and weight: where calls go, and that no key is shown."""

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.calls import WAV, caller, client, request
from tests.support.jobs import whisper_at
from tests.support.waiting import until
from tests.support.whisper_stub import WhisperStub
from transcription import service
from transcription.errors import TranscriptionError
from transcription.line import LANES, Lane
from transcription.monitor.metrics import exposition
from transcription.monitor.stats import monitor_stats
from transcription.servers.file import NamedServer


@pytest.fixture
def stubs() -> Iterator[tuple[WhisperStub, WhisperStub]]:
    with WhisperStub(seconds=0) as one, WhisperStub(seconds=0) as two:
        yield one, two


Stubs = tuple[WhisperStub, WhisperStub]


def named(stubs: Stubs, first: dict[str, Any], second: dict[str, Any]) -> list[NamedServer]:
    return [NamedServer(stub.url, **more) for stub, more in zip(stubs, (first, second), strict=True)]


def counts(stubs: Stubs) -> tuple[int, int]:
    return len(stubs[0].received), len(stubs[1].received)


async def test_a_call_for_a_model_goes_where_the_model_is_and_another_anywhere(stubs: Stubs) -> None:
    whisper = client(*named(stubs, {"models": ("small", "tiny")}, {"models": ("large-v3",)}))
    for model in ("large-v3", "tiny", "large-v3", "small", "large-v3"):
        await whisper.call_remote_asr_api(request(model=model), caller())
    assert counts(stubs) == (2, 3)
    assert [each.fields["model"] for each in stubs[0].received] == ["tiny", "small"]
    await whisper.call_remote_asr_api(request(model="unheard-of"), caller())  # the server may know it by another name
    assert sum(counts(stubs)) == 6
    await whisper.aclose()


@pytest.mark.parametrize(
    ("model", "asked"), [("", ("small", "large-v3")), ("large-v3", (None, "large-v3")), ("tiny", ("tiny", None))]
)
async def test_a_call_that_names_no_model_asks_for_that_of_the_settings_or_the_servers_first(
    model: str, asked: tuple[str | None, str | None], stubs: Stubs
) -> None:
    whisper = client(*named(stubs, {"models": ("small", "tiny")}, {"models": ("large-v3",)}), model=model)
    stubs[0].hold()
    stubs[1].hold()
    calls = [asyncio.create_task(whisper.call_remote_asr_api(request(), caller())) for _ in range(2)]
    await until(lambda: all(stub.computing for stub, each in zip(stubs, asked, strict=True) if each))
    stubs[0].let_go()
    stubs[1].let_go()
    await asyncio.gather(*calls)
    assert [{each.fields["model"] for each in stub.received} for stub in stubs] == [{each} - {None} for each in asked]
    await whisper.aclose()


async def test_a_servers_own_list_counts_where_the_file_names_no_models(stubs: Stubs) -> None:
    whisper = client(*named(stubs, {}, {}))
    for server, models in zip(whisper.pool.servers, (("small", "tiny*"), ("large-v3",)), strict=True):
        server.profile.dialect = replace(server.profile.dialect, models=models)
    for model in ("large-v3", "tiny.en", "small", "large-v3", "large-v3"):
        await whisper.call_remote_asr_api(request(model=model), caller())
    assert counts(stubs) == (2, 3)
    await whisper.aclose()


async def test_a_server_gets_calls_of_its_lanes_only(stubs: Stubs) -> None:
    whisper = client(*named(stubs, {"lanes": ("live",)}, {"lanes": ("interactive", "batch")}))
    for lane in LANES:
        await whisper.call_remote_asr_api(request(lane), caller(lane))
    assert [stub.prompts for stub in stubs] == [["live"], ["interactive", "batch"]]
    await whisper.aclose()


async def test_of_free_servers_the_one_with_the_greater_weight_gets_the_call(stubs: Stubs) -> None:
    whisper = client(*named(stubs, {"weight": 1}, {"weight": 2}))
    for _ in range(3):
        await whisper.call_remote_asr_api(request(), caller())
    assert counts(stubs) == (0, 3)
    stubs[1].hold()
    held = asyncio.create_task(whisper.call_remote_asr_api(request(), caller()))
    await until(lambda: stubs[1].computing == 1)
    await whisper.call_remote_asr_api(request(), caller())
    assert counts(stubs) == (1, 4)
    stubs[1].let_go()
    await held
    await whisper.aclose()


def file(folder: Path, stubs: Stubs) -> str:
    """The path of a file with two servers, each with its key and its model."""
    path = folder / "servers.toml"
    path.write_text(
        "".join(
            f'[[server]]\nurl = "{stub.url}"\nkey = "secret-{name}"\nmodels = ["{name}"]\n'
            for stub, name in zip(stubs, ("small", "large-v3"), strict=True)
        )
    )
    return str(path)


async def transcribe(lane: Lane, model: str = "") -> None:
    await service.transcribe_audio(WAV, seconds=1.0, lane=lane, owner="someone", model=model)


async def test_captions_have_a_model_of_their_own_and_each_server_gets_its_key(stubs: Stubs, tmp_path: Path) -> None:
    path = file(tmp_path, stubs)
    with whisper_at(stubs[0], ASR_API_URL="", ASR_SERVERS=path, ASR_MODEL="large-v3", ASR_LIVE_MODEL="small"):
        for lane in LANES:
            await transcribe(lane)
        await transcribe("live", "large-v3")
        await service.client().aclose()
    for stub, name, calls in zip(stubs, ("small", "large-v3"), (1, 3), strict=True):
        sent = [(each.fields["model"], each.headers["authorization"]) for each in stub.received]
        assert sent == [(name, f"bearer secret-{name}")] * calls  # the stub makes all headers lower case


@pytest.mark.django_db(transaction=True)
async def test_no_key_stands_in_logs_stats_metrics_or_what_python_shows_of_a_server(
    stubs: Stubs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stubs[1].stop()
    with whisper_at(stubs[0], ASR_API_URL="", ASR_SERVERS=file(tmp_path, stubs), ASR_MAX_RETRIES=2):
        async with service.running():
            await transcribe("batch", "small")
            with pytest.raises(TranscriptionError):
                await transcribe("interactive", "large-v3")
            shown = [
                json.dumps(monitor_stats()),
                exposition("")[0].decode(),
                str(asdict(service.snapshot())),
                repr([(server, server.named) for server in service.client().pool.servers]),
                caplog.text,
            ]
    assert stubs[0].received[-1].headers["authorization"] == "bearer secret-small"
    assert not [text for text in shown if "secret" in text]
