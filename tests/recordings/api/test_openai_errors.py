"""Errors of /v1 have OpenAI's shape, and OpenAI's client tries again after those that pass."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import httpx
import openai
import pytest

from tests.support.calls import SENT_WITHIN
from tests.support.jobs import speech_with_pauses
from tests.support.openai_clients import Door, open_door
from tests.support.site import Site
from tests.support.waiting import PATIENCE, wait_for
from tests.support.whisper_stub import OUT_OF_MEMORY, WhisperStub, hang, http, said
from transcription import service

Speech = tuple[str, bytes]


@pytest.fixture
def door(site: Site) -> Iterator[Door]:
    with open_door(site, WhisperStub(0.01), ASR_MAX_RETRIES=1) as opened:
        yield opened


@pytest.fixture
def speech(clip: bytes) -> Speech:
    return "clip.wav", clip


class Answer(Protocol):
    """A response of any HTTP client."""

    @property
    def status_code(self) -> int: ...

    def json(self) -> Any: ...


def fault(answer: Answer) -> tuple[int, str, str | None]:
    """Status, code and param of an error in OpenAI's shape."""
    body = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    assert body["error"]["type"] == ("server_error" if answer.status_code >= 500 else "invalid_request_error")
    return answer.status_code, body["error"]["code"], body["error"]["param"]


def refused(door: Door, file: Speech, **fields: Any) -> tuple[int, str, str | None]:
    with pytest.raises(openai.APIStatusError) as raised:
        door.client().audio.transcriptions.create(**{"model": "whisper-1", "file": file, **fields})
    return fault(raised.value.response)


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "empty_file"), (b"no sound " * 100, "not_audio"), (b"<html></html>", "not_audio")]
)
def test_what_is_not_audio_is_refused_and_gone(door: Door, content: bytes, code: str) -> None:
    assert refused(door, ("talk.mp3", content)) == (400, code, "file")
    assert refused(door, ("talk.mp3", content), stream=True) == (400, code, "file")
    assert door.site.files() == []
    assert door.stub.received == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("response_format", "diarized_json"),
        ("temperature", 2),
        ("temperature", "warm"),
        ("language", "klingon"),
        ("timestamp_granularities", ["syllable"]),
        ("stream", "perhaps"),
        ("model", "no model; is named so"),
    ],
)
def test_a_wrong_field_is_named(door: Door, speech: Speech, field: str, value: object) -> None:
    named = f"{field}[]" if isinstance(value, list) else field
    assert refused(door, speech, extra_body={field: value}) == (400, "invalid_value", named)
    assert door.site.files() == []


def test_other_ways_of_saying_the_same_are_understood(door: Door, speech: Speech) -> None:
    create = door.client().audio.transcriptions.create
    create(model="", file=speech, language="zh-CN", prompt="", extra_body={"temperature": "", "include": ["logprobs"]})
    create(model="acme/whisper-medical", file=speech, prompt="early " * 1000 + "late")
    plain, long = (call.fields for call in door.stub.received)
    assert (plain["model"], plain["language"], plain["temperature"]) == ("whisper-1", "zh", "0.0")
    assert long["model"] == "acme/whisper-medical"
    assert len(long["prompt"]) <= 2000
    assert long["prompt"].endswith("late")


def test_a_caller_without_the_right_is_told_so_in_openais_shape(door: Door, speech: Speech) -> None:
    url = f"{door.site.url}/v1/models"
    assert fault(httpx.get(url)) == (401, "not_authenticated", None)
    assert fault(door.site.browser().get("/v1/models")) == (401, "not_authenticated", None)
    for size in (1, 3 * 1024**2):  # bytes; a body of the second size is refused before it is read
        for key, status in (("asr_wrong", 401), (door.key(scopes=["read", "write", "stats"]), 403)):
            client = openai.OpenAI(base_url=f"{door.site.url}/v1", api_key=key, max_retries=0)
            with pytest.raises(openai.APIStatusError) as raised:
                client.audio.transcriptions.create(model="whisper-1", file=("a.wav", bytes(size)))
            assert fault(raised.value.response)[0] == status
    assert door.site.files() == []


def test_an_unknown_route_or_model_and_a_missing_file_are_told_in_openais_shape(door: Door) -> None:
    program = door.site.program()
    assert fault(program.post("/v1/chat/completions", json={}))[:2] == (404, "not_found")
    assert fault(program.get("/v1/models/gpt-4")) == (404, "model_not_found", "model")
    wrong_method = program.get("/v1/audio/transcriptions")
    assert fault(wrong_method)[:2] == (405, "method_not_allowed")
    assert wrong_method.headers["Allow"] == "POST"
    assert fault(program.post("/v1/audio/transcriptions", data={"model": "x"})) == (400, "missing_file", "file")
    assert fault(program.post("/v1/audio/transcriptions", json={"model": "x"})) == (400, "missing_file", "file")


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (http(404, {"error": "Model 'x' does not exist"}), 404, "model_not_found"),
        (http(400, {"error": "bad language"}), 400, "rejected"),
        (http(401, {"error": "secret"}), 502, "misconfigured"),
        (http(404, "secret"), 502, "misconfigured"),
        (http(422, {"detail": [{"type": "missing", "loc": ["body", "task"], "msg": "secret"}]}), 502, "misconfigured"),
        (http(500, "secret"), 502, "server_error"),
        (http(200, "<p>secret</p>"), 502, "protocol_error"),
        (OUT_OF_MEMORY, 503, "out_of_memory"),
        (http(503, "secret", Retry_After="7"), 503, "server_busy"),
        (hang, 504, "timed_out"),
    ],
)
def test_what_went_wrong_at_the_server_has_a_status_of_its_own(
    site: Site, speech: Speech, reply: Any, status: int, code: str
) -> None:
    hasty = {"ASR_MAX_RETRIES": 1, "ASR_REQUEST_TIMEOUT": SENT_WITHIN, "ASR_ABANDONED_GRACE": 0.1}
    with open_door(site, WhisperStub(0, replies=reply), **hasty) as door:
        with pytest.raises(openai.APIStatusError) as raised:
            door.client().audio.transcriptions.create(model="x", file=speech)
        assert fault(raised.value.response)[:2] == (status, code)
        assert "secret" not in raised.value.response.text
        assert raised.value.response.headers.get("Retry-After") == {"out_of_memory": "1", "server_busy": "7"}.get(code)
        assert site.files() == []


def test_an_error_in_the_middle_of_a_stream_is_raised_by_the_client(site: Site) -> None:
    stub = WhisperStub(0.01, replies=[said("one"), http(500, "broken")])
    with open_door(site, stub, ASR_MAX_RETRIES=1) as door:
        stream = door.client().audio.transcriptions.create(
            model="whisper-1", file=("five.wav", speech_with_pauses()), stream=True
        )
        assert next(iter(stream)).to_dict() == {"type": "transcript.text.delta", "delta": "one"}
        with pytest.raises(openai.APIError, match="reported an error"):
            list(stream)
        assert site.files() == []


def test_a_server_that_is_away_is_a_503_and_the_client_comes_back_by_itself(door: Door, speech: Speech) -> None:
    door.stub.stop()
    with pytest.raises(openai.InternalServerError) as raised:
        door.client().audio.transcriptions.create(model="whisper-1", file=speech)
    assert fault(raised.value.response)[:2] == (503, "unreachable")
    assert "127.0.0.1" not in raised.value.response.text
    assert int(raised.value.response.headers["Retry-After"]) >= 1
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(door.client(retries=5).audio.transcriptions.create, model="whisper-1", file=speech)
        time.sleep(0.5)
        assert not asking.done()
        door.stub.start()
        assert asking.result(PATIENCE).text == "hello"


def test_a_full_queue_is_a_503_that_the_client_obeys(site: Site, speech: Speech) -> None:
    with open_door(site, WhisperStub(), ASR_MAX_QUEUE=1) as door, ThreadPoolExecutor() as pool:
        door.stub.hold()
        clients = [door.client(user, retries=retries) for user, retries in (("a", 0), ("b", 0), ("c", 0), ("d", 9))]
        first, second = (
            pool.submit(client.audio.transcriptions.create, model="whisper-1", file=speech) for client in clients[:2]
        )
        wait_for(lambda: service.snapshot().servers[0].gate.queued, "a call in line", every=0.01)
        with pytest.raises(openai.InternalServerError) as raised:
            clients[2].audio.transcriptions.create(model="whisper-1", file=speech)
        assert fault(raised.value.response)[:2] == (503, "queue_full")
        assert int(raised.value.response.headers["Retry-After"]) >= 1
        last = pool.submit(clients[3].audio.transcriptions.create, model="whisper-1", file=speech)
        wait_for(lambda: service.snapshot().calls.rejected == 2, "the last call, and its end")
        door.stub.let_go()
        assert first.result(PATIENCE).text == second.result(PATIENCE).text == last.result(PATIENCE).text == "hello"
        assert door.stub.peak == 1
        assert len(door.stub.received) == 3


def test_a_file_over_the_limit_is_refused_before_it_is_sent(door: Door, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 1024**2
    assert refused(door, ("a.wav", bytes(4 * 1024**2)))[:2] == (413, "too_large")
    assert json.loads(httpx.get(f"{door.site.url}/api/nothing").content)["error"].keys() == {"code", "message"}
