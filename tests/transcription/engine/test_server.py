"""The embedded Whisper server, asked over HTTP, with the real model and real speech."""

import io
import re
import socket
import time
import wave
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, repeat
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import uvicorn
from django.conf import settings
from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment, TranscriptionInfo
from starlette.applications import Starlette

from tests.support.audio_files import clip, encode, sounds_like
from tests.support.speech import Clip, audioeval, librivox, word_error_rate
from tests.support.waiting import PATIENCE, wait_for
from transcription.audio import wav
from transcription.engine import server as server_module
from transcription.engine.batcher import Participant, Step
from transcription.engine.model import AT_ONCE, SAMPLE_RATE, Model, OnlyRest, Samples, decode, load
from transcription.engine.weights import ensure_weights, weight_folders
from transcription.errors import BadAudio
from transcription.servers.refusal import OUT_OF_MEMORY

VERBOSE: dict[str, str | list[str]] = {"response_format": "verbose_json"}
SHORT = librivox()[1].path  # 3 s


def ask(
    server: str,
    audio: Path | bytes,
    fields: Mapping[str, str | list[str]] | None = None,
    *,
    route: str = "transcriptions",
    timeout: float = 120,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    content = audio.read_bytes() if isinstance(audio, Path) else audio
    url = f"{server}/audio/{route}"
    return httpx.post(url, files={"file": ("audio", content)}, data=fields, timeout=timeout, headers=headers)


def repeated(path: Path, times: int) -> bytes:
    """A WAV file with the sound of the file at `path`, `times` times."""
    with wave.open(str(path)) as source:
        parameters, sound = source.getparams(), source.readframes(source.getnframes())
    with wave.open(target := io.BytesIO(), "wb") as repetition:
        repetition.setparams(parameters)
        repetition.writeframes(sound * times)
    return target.getvalue()


def test_five_english_clips_come_out_with_at_most_one_word_in_twenty_wrong(whisper_server: str) -> None:
    clips = librivox()
    texts = [ask(whisper_server, clip.path).json()["text"] for clip in clips]
    assert word_error_rate(" ".join(clip.text for clip in clips), " ".join(texts)) <= 0.05


def test_chinese_is_recognised_and_comes_out_in_chinese(whisper_server: str) -> None:
    clip = next(clip for clip in audioeval("zh") if clip.text == "你好世界。")
    answer = ask(whisper_server, clip.path, VERBOSE).json()
    assert answer["language"] == "zh"
    assert answer["text"].startswith("你好")


def test_a_verbose_answer_holds_segments_and_the_words_that_were_asked_for(whisper_server: str) -> None:
    granularities: dict[str, str | list[str]] = {"timestamp_granularities[]": ["segment", "word"]}
    answer = ask(whisper_server, SHORT, VERBOSE | granularities).json()
    (segment,) = answer["segments"]
    assert (answer["task"], answer["language"], answer["duration"]) == ("transcribe", "en", 2.99)
    assert answer["text"] == segment["text"].strip() == "He was not an ill-disposed young man."
    assert segment["id"] == 0
    assert 0 <= segment["start"] < segment["end"] <= 3.0
    assert segment["avg_logprob"] < 0 < segment["compression_ratio"] < 2.4
    assert 0 <= segment["no_speech_prob"] < 0.5
    assert answer["words"] == segment["words"]
    assert [word["word"].strip() for word in answer["words"]] == answer["text"].replace("ill-", "ill -").split()
    assert all(0 <= word["start"] <= word["end"] <= 3.0 for word in answer["words"])


def beginning(clip: Clip, seconds: float) -> bytes:
    """A WAV file of the clip's first `seconds`."""
    with clip.path.open("rb") as file:
        sound = decode(file)[: round(seconds * SAMPLE_RATE)]
    return b"".join(wav((sound * 32767).astype(np.int16)))


def test_a_short_sound_gets_no_more_text_than_can_be_said_in_its_time(whisper_server: str) -> None:
    counting = next(clip for clip in audioeval("it") if clip.path.stem == "conteggio")
    answer = ask(whisper_server, beginning(counting, 0.8), VERBOSE | {"language": "it"}).json()
    assert answer["text"].startswith("1, 2, 3")  # without a bound the model counts on, for 200 tokens
    assert sum(len(segment["tokens"]) for segment in answer["segments"]) <= 40


class StandIn:
    """A model whose windows are laid down. It computes each with a step of the batcher."""

    model = SimpleNamespace(device="cpu")

    def __init__(self, windows: Iterable[Callable[[], str]]) -> None:
        self._windows = windows
        self._step = Step(lambda key, windows: [window() for window in windows], rank=0)

    def shared_by(self, caller: Participant) -> Self:
        self._caller = caller
        return self

    def transcribe(self, audio: Any, **options: Any) -> tuple[Iterator[Segment], TranscriptionInfo]:
        return self._segments(), TranscriptionInfo("en", 1.0, 3.0, 3.0, None, None, None)

    def _segments(self) -> Iterator[Segment]:
        for window in self._windows:
            text = self._caller.compute(self._step, None, window)
            yield Segment(0, 0, 0.0, 1.0, text, [], 0.0, 0.0, 0.0, None, 0.0)


def stand_in(monkeypatch: pytest.MonkeyPatch, windows: Iterable[Callable[[], str]]) -> Starlette:
    """The server's application with such a model."""
    monkeypatch.setattr(server_module, "load", lambda folder: StandIn(windows))
    return server_module.create_app(Path(), "base", batch=1)


async def ask_stand_in(app: Starlette) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://server/v1") as client:
        with SHORT.open("rb") as file:
            return await client.post("/audio/transcriptions", files={"file": file})


def window(seconds: float) -> Samples:
    """Features of so much noise, filled up with zeros."""
    features = np.zeros((80, 3000), np.float32)
    features[:, : round(seconds * 100)] = -0.5
    return features


def test_the_moment_behind_the_last_word_is_not_computed(model: Model) -> None:
    model.encode(window(0.4))  # the first window may be short
    model.encode(window(0.7))
    with pytest.raises(OnlyRest):
        model.encode(window(0.5))


def test_a_transcription_ends_before_that_moment(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def windows() -> Iterator[str]:
        yield " One."
        raise OnlyRest

    monkeypatch.setattr(WhisperModel, "transcribe", lambda *args, **options: (windows(), None))
    segments, _ = model.transcribe(np.zeros(SAMPLE_RATE, np.float32))
    assert list(segments) == [" One."]


@pytest.mark.parametrize(("seconds", "encoded"), [(0, 10), (2, 10), (12, 15), (14, 20), (28, 30)])
def test_the_padding_of_a_short_sound_is_not_encoded(model: Model, seconds: float, encoded: int) -> None:
    assert model.encode(window(seconds)).shape[1] == encoded * 50


@pytest.fixture
def model() -> Model:
    return copy(_model())


@cache
def _model() -> Model:
    return load(ensure_weights("base", weight_folders(settings.DATA_DIR)))


def test_words_are_left_out_where_nobody_asked_for_them(whisper_server: str) -> None:
    answer = ask(whisper_server, SHORT, VERBOSE).json()
    assert "words" not in answer
    assert answer["segments"][0]["words"] is None


def test_the_same_request_gets_the_same_answer(whisper_server: str) -> None:
    first, second = (ask(whisper_server, SHORT, VERBOSE).json() for _ in range(2))
    assert first == second


def test_calls_that_are_computed_together_get_the_words_that_they_get_alone(whisper_server: str) -> None:
    fields: dict[str, str | list[str]] = VERBOSE | {"timestamp_granularities[]": ["word"]}
    calls = [(clip.path, fields) for clip in (*librivox(), *audioeval("fr"), *audioeval("zh"))]
    calls += [(path, fields | {"prompt": "Mrs. Dashwood"}) for path, _ in calls[:3]]
    alone = [ask(whisper_server, *call).json() for call in calls]
    with ThreadPoolExecutor(len(calls)) as pool:
        together = list(pool.map(lambda call: ask(whisper_server, *call).json(), calls))
    assert [answer["language"] for answer in together] == [answer["language"] for answer in alone]
    texts = [" ".join(answer["text"] for answer in answers) for answers in (alone, together)]
    assert word_error_rate(*texts) <= 0.01
    for one, other in zip(alone, together, strict=True):
        if one["text"] == other["text"]:
            moments, others = (
                [word[end] for word in answer["words"] for end in ("start", "end")] for answer in (one, other)
            )
            assert others == pytest.approx(moments, abs=0.08)


def test_health_tells_the_device_the_batch_and_how_many_calls_there_are(whisper_server: str) -> None:
    told = health(whisper_server.removesuffix("/v1"))
    assert told.pop("batch") in range(1, 17)
    assert told.pop("device") in ("cpu", "cuda")
    assert told == {"status": "ok", "model": "base", "running": 0, "waiting": 0}


def test_live_calls_are_computed_beside_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    free, begun = Event(), count(1)

    def window() -> str:
        if next(begun) <= AT_ONCE:
            assert free.wait(PATIENCE)
        return ""

    with listening(stand_in(monkeypatch, [window])) as url, ThreadPoolExecutor() as pool:
        others = [pool.submit(ask, f"{url}/v1", SHORT) for _ in range(AT_ONCE + 1)]
        wait_for(lambda: health(url)["waiting"] == 1, "the call for which there is no room in the batches")
        assert health(url)["running"] == AT_ONCE
        assert ask(f"{url}/v1", SHORT, headers={"X-Stile-Live": "1"}).status_code == 200
        assert not any(other.done() for other in others)
        free.set()
        assert [other.result().status_code for other in others] == [200] * len(others)


def health(url: str) -> dict[str, Any]:
    told: dict[str, Any] = httpx.get(f"{url}/health", timeout=PATIENCE).json()
    return told


@contextmanager
def listening(app: Starlette) -> Iterator[str]:
    """The URL at which the application is served, without a path."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:
        serving = pool.submit(server.run, [listener])
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
        serving.result()


def test_a_prompt_teaches_the_spelling_of_a_name(whisper_server: str) -> None:
    answer = ask(whisper_server, librivox()[0].path, {"prompt": "Mr. John Dashwoode, Mrs. Dashwoode"})
    assert "Dashwoode" in answer.json()["text"]


@pytest.mark.parametrize(
    ("response_format", "media_type", "text"),
    [
        ("text", "text/plain; charset=utf-8", r"He was not an ill-disposed young man\.\n"),
        (
            "srt",
            "text/plain; charset=utf-8",
            r"1\n00:00:00,000 --> 00:00:0[23],\d00\nHe was not an ill-disposed young man\.\n\n",
        ),
        (
            "vtt",
            "text/vtt; charset=utf-8",
            r"WEBVTT\n\n00:00\.000 --> 00:0[23]\.\d00\nHe was not an ill-disposed young man\.\n\n",
        ),
    ],
)
def test_text_comes_in_other_formats_too(whisper_server: str, response_format: str, media_type: str, text: str) -> None:
    answer = ask(whisper_server, SHORT, {"response_format": response_format})
    assert answer.headers["content-type"] == media_type
    assert re.fullmatch(text, answer.text), answer.text


def test_speech_in_another_language_is_translated(whisper_server: str) -> None:
    french = next(clip for clip in audioeval("fr") if clip.text == "Bonjour le monde.")
    answer = ask(whisper_server, french.path, VERBOSE, route="translations").json()
    assert (answer["task"], answer["language"]) == ("translate", "fr")
    assert "hello" in answer["text"].lower()


@pytest.mark.parametrize(
    ("fields", "status", "param", "message"),
    [
        ({"model": "x"}, 404, "model", "There is no model 'x' here; this server has 'base'."),
        ({"language": "xx"}, 400, "language", "The model 'base' knows no language 'xx'."),
        (
            {"response_format": "x"},
            400,
            "response_format",
            "There is no format 'x'; there are json, text, srt, vtt, verbose_json.",
        ),
        ({"temperature": "warm"}, 400, "temperature", "A temperature is a number from 0 to 1, not 'warm'."),
        ({"temperature": "nan"}, 400, "temperature", "A temperature is a number from 0 to 1, not 'nan'."),
        (
            {"timestamp_granularities[]": "letter"},
            400,
            "timestamp_granularities[]",
            "Timestamps come by 'segment' or 'word', not by 'letter'.",
        ),
    ],
)
def test_a_wrong_field_is_refused_with_a_sentence(
    whisper_server: str, fields: dict[str, str], status: int, param: str, message: str
) -> None:
    answer = ask(whisper_server, SHORT, fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (status, "invalid_request_error")
    assert (error["param"], error["message"]) == (param, message)


@pytest.mark.parametrize(("content", "code"), [(b"", "empty_file"), (b"Dear diary, " * 99, "not_audio")])
def test_what_is_not_audio_is_refused(whisper_server: str, content: bytes, code: str) -> None:
    answer = ask(whisper_server, content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_a_request_without_a_file_is_refused(whisper_server: str) -> None:
    answer = httpx.post(f"{whisper_server}/audio/transcriptions", data={"model": "base"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")


def test_an_unknown_route_and_a_wrong_method_answer_in_the_same_shape(whisper_server: str) -> None:
    for answer in (httpx.get(f"{whisper_server}/nothing"), httpx.get(f"{whisper_server}/audio/transcriptions")):
        assert answer.status_code in (404, 405)
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_playlist_makes_the_server_open_nothing(whisper_server: str) -> None:
    with recording_server() as (address, requests):
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}/a.ts\n#EXT-X-ENDLIST\n"
        assert ask(whisper_server, playlist.encode()).status_code == 400
        assert ask(whisper_server, f"ffconcat version 1.0\nfile {address}/a.wav\n".encode()).status_code == 400
        assert requests == []


@contextmanager
def recording_server() -> Iterator[tuple[str, list[str]]]:
    """Run an HTTP server that has nothing. Yields its address, and the paths that it is asked for."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", requests
        server.shutdown()


def test_an_upload_that_is_too_large_is_refused_before_it_is_sent(whisper_server: str) -> None:
    address = urlsplit(whisper_server)
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE) as connection:
        connection.sendall(
            b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        )
        answer = connection.makefile("rb").read()  # until the server closes the connection
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"The upload is larger than 512 MiB." in answer


def test_health_answers_while_a_transcription_is_computed(whisper_server: str) -> None:
    with ThreadPoolExecutor() as pool:
        transcription = pool.submit(ask, whisper_server, repeated(SHORT, 20))
        time.sleep(1)  # by now the server computes the transcription
        told = health(whisper_server.removesuffix("/v1"))
        assert not transcription.done()
        assert (told["status"], told["model"]) == ("ok", "base")
        assert transcription.result().status_code == 200


def test_a_caller_who_hangs_up_is_not_computed_for_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = Event()

    def window() -> str:
        time.sleep(0.05)
        computed.set()
        return ""

    with listening(stand_in(monkeypatch, repeat(window))) as url:  # windows without an end
        with pytest.raises(httpx.ReadTimeout):
            ask(f"{url}/v1", SHORT, timeout=2.0)
        assert computed.wait(PATIENCE)
        wait_for(lambda: health(url)["running"] == 0, "the end of the computation")


def test_the_model_is_listed(whisper_server: str) -> None:
    (model,) = httpx.get(f"{whisper_server}/models").json()["data"]
    assert (model["id"], model["object"]) == ("base", "model")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("CUDA failed with error out of memory"), "CUDA failed with error out of memory"),
        (MemoryError("std::bad_alloc"), "Out of memory: std::bad_alloc"),
    ],
)
async def test_running_out_of_memory_is_told_in_words_that_callers_know(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def window() -> str:
        raise error

    answer = await ask_stand_in(stand_in(monkeypatch, [window]))
    assert answer.status_code == 500
    assert answer.json()["error"] == {"message": message, "type": "server_error", "param": None, "code": None}
    assert OUT_OF_MEMORY.search(message)


def test_all_tracks_of_a_file_are_heard(tmp_path: Path) -> None:
    two = encode(tmp_path / "two.mkv", np.zeros_like(clip()), clip(), codec="flac").read_bytes()
    sound = decode(io.BytesIO(two))
    assert len(sound) == len(clip())
    assert sounds_like((sound * 32767).astype(np.int16), 0.0, clip())


def test_audio_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transcription.engine.model.MAX_HOURS", 0.01)
    assert len(decode(io.BytesIO(repeated(SHORT, 12)))) == 12 * 2.99 * 16000
    with pytest.raises(BadAudio, match=r"longer than 0\.01 hours"):
        decode(io.BytesIO(repeated(SHORT, 13)))
