"""OpenAI's client, the product and the real Whisper together."""

from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.support.openai_clients import open_door
from tests.support.site import Site
from tests.support.speech import audioeval, librivox, word_error_rate
from tests.support.whisper_stub import WhisperStub

pytestmark = pytest.mark.slow


@pytest.fixture
def client(site: Site, whisper_server: str) -> Iterator[OpenAI]:
    with open_door(site, WhisperStub(), ASR_API_URL=whisper_server) as door:  # the stub gets no call
        yield door.client(timeout=120)


def test_speech_becomes_text_with_the_times_of_its_words(client: OpenAI) -> None:
    clip = librivox()[0]
    answer = client.audio.transcriptions.create(
        model="whisper-1",
        file=clip.path,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert word_error_rate(clip.text, answer.text) < 0.2
    assert answer.language == "english"
    assert answer.words
    assert answer.segments
    assert " ".join(word.word for word in answer.words) == answer.text
    assert all(0 <= word.start <= word.end <= answer.duration for word in answer.words)
    assert all(segment.avg_logprob < 0 for segment in answer.segments)


def test_chinese_becomes_english_in_a_translation(client: OpenAI) -> None:
    clip = next(clip for clip in audioeval("zh") if clip.text == "你好世界。")
    assert client.audio.translations.create(model="whisper-1", file=clip.path).text.startswith("Hello")
