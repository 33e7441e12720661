"""OpenAI's own Python client, unchanged, gets the text of a file in every response format."""

import asyncio
import logging
import subprocess
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pysubs2
import pytest
from openai.types.audio import TranscriptionVerbose

from recordings.models import Recording
from tests.support.audio_files import clip
from tests.support.jobs import CLIPS, speech_with_pauses
from tests.support.openai_clients import Door, heard, open_door
from tests.support.site import Site
from tests.support.speech import librivox
from tests.support.whisper_stub import WhisperStub
from transcription.audio import RATE, wav

SENTENCES = [("This", "is", f"sentence{number}.") for number in range(CLIPS)]
TEXT = " ".join(word for sentence in SENTENCES for word in sentence)


@pytest.fixture
def door(site: Site) -> Iterator[Door]:
    """/v1 with a Whisper stub that answers with SENTENCES, one for each segment of `speech`."""
    with open_door(site, WhisperStub(0.01, replies=[heard(*sentence) for sentence in SENTENCES])) as opened:
        yield opened


@pytest.fixture
def speech() -> tuple[str, bytes]:
    return "five.wav", speech_with_pauses()


def test_json_has_the_text_of_all_segments_and_nothing_is_kept(door: Door, speech: tuple[str, bytes]) -> None:
    answer = door.client().audio.transcriptions.create(
        model="whisper-1", file=speech, language="en", prompt="Stile, 听序", temperature=0.2
    )
    assert answer.text == TEXT
    assert answer.usage
    assert answer.usage.to_dict() == {"type": "duration", "seconds": -(-len(speech[1]) // 32000)}
    sent = door.stub.received
    assert len(sent) == CLIPS
    assert {call.fields["language"] for call in sent} == {"en"}
    assert {call.fields["prompt"] for call in sent} == {"Stile, 听序"}
    assert {call.fields["temperature"] for call in sent} == {"0.2"}
    assert {call.fields["model"] for call in sent} == {"whisper-1"}
    assert door.site.files() == []
    assert not Recording.objects.exists()


def test_text_and_the_async_client(door: Door, speech: tuple[str, bytes]) -> None:
    key = door.key()

    async def ask() -> str:
        async with door.async_client(key) as client:
            return await client.audio.transcriptions.create(model="whisper-1", file=speech, response_format="text")

    assert asyncio.run(ask()) == f"{TEXT}\n"


def test_verbose_json_has_segments_and_words_at_the_times_of_the_file(door: Door, speech: tuple[str, bytes]) -> None:
    answer = door.client().audio.transcriptions.create(
        model="whisper-1",
        file=speech,
        response_format="verbose_json",
        timestamp_granularities=["segment", "word"],
    )
    TranscriptionVerbose.model_validate(answer.model_dump(), strict=True)  # has every field of OpenAI's type
    assert (answer.text, answer.language) == (TEXT, "english")
    assert answer.duration == pytest.approx(len(speech[1]) / 32000, abs=0.01)
    assert answer.segments
    assert answer.words
    assert [segment.id for segment in answer.segments] == list(range(CLIPS))
    assert [segment.text for segment in answer.segments] == [" ".join(sentence) for sentence in SENTENCES]
    assert {segment.avg_logprob for segment in answer.segments} == {-0.25}
    assert [word.word for word in answer.words] == TEXT.split()
    assert all(a.end <= b.start for a, b in pairwise(answer.segments))
    assert all(a.start < b.start for a, b in pairwise(answer.words))
    assert answer.segments[-1].start > answer.duration - 12  # times count from the start of the file


def test_verbose_json_has_what_was_asked_for_alone(door: Door, speech: tuple[str, bytes]) -> None:
    create = door.client().audio.transcriptions.create
    by_default = create(model="whisper-1", file=speech, response_format="verbose_json")
    assert by_default.segments
    assert by_default.words is None
    words = create(model="whisper-1", file=speech, response_format="verbose_json", timestamp_granularities=["word"])
    assert words.words
    assert words.segments is None


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_are_whole_files(door: Door, speech: tuple[str, bytes], form: str) -> None:
    create = door.client().audio.transcriptions.create
    said: str = create(model="whisper-1", file=speech, response_format=form)  # type: ignore[call-overload] # by name
    cues = pysubs2.SSAFile.from_string(said, format_=form)
    assert " ".join(cue.plaintext.replace("\n", " ") for cue in cues) == TEXT
    assert cues[-1].end <= len(speech[1]) / 32


def test_a_stream_has_the_segments_as_they_come(door: Door, speech: tuple[str, bytes]) -> None:
    door.stub.answer([heard(*sentence) for sentence in SENTENCES], seconds=0.2)
    deltas = []
    with door.client().audio.transcriptions.create(model="whisper-1", file=speech, stream=True) as stream:
        for event in stream:
            if event.type == "transcript.text.delta":
                deltas.append(event.delta)
                assert len(door.stub.received) <= len(deltas) + 1  # the text of a segment did not wait for later ones
            else:
                assert event.type == "transcript.text.done"
                done = event.text
    assert len(deltas) == CLIPS
    assert "".join(deltas) == done == TEXT
    assert door.site.files() == []


def test_a_translation_asks_the_server_for_one(
    door: Door, speech: tuple[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    translations = door.client().audio.translations
    assert translations.create(model="whisper-1", file=speech).text == TEXT
    asked = [line for line in caplog.messages if line.startswith("[ASR API] Calling")]
    assert asked == [f"[ASR API] Calling ASR API: url={door.stub.url}/audio/translations"] * CLIPS
    assert all("language" not in call.fields for call in door.stub.received)
    assert translations.create(model="whisper-1", file=speech, response_format="verbose_json").segments


def test_an_utterance_that_was_left_out_is_heard_again_as_in_the_library(door: Door) -> None:
    two = b"".join(wav(np.concatenate((clip(), np.zeros(RATE, np.int16), clip()))))  # one stretch, two utterances
    door.stub.answer([heard("first"), heard("second")])  # the call for both utterances has the text of the first
    answer = door.client().audio.transcriptions.create(
        model="whisper-1", file=("two.wav", two), response_format="verbose_json"
    )
    whole, part = [call.audio_seconds for call in door.stub.received]
    assert part < whole / 2
    assert answer.text == "first second"
    assert answer.segments
    first, second = answer.segments
    assert (first.text, second.text) == ("first", "second")
    assert first.end <= second.start


def test_silence_is_an_empty_text_and_is_not_sent(door: Door, speech: tuple[str, bytes]) -> None:
    silence = "silence.wav", speech[1][:44] + bytes(len(speech[1]) - 44)
    create = door.client().audio.transcriptions.create
    assert create(model="whisper-1", file=silence).text == ""
    events = list(create(model="whisper-1", file=silence, stream=True))
    assert [event.type for event in events] == ["transcript.text.done"]
    assert create(model="whisper-1", file=silence, response_format="srt") == ""
    assert door.stub.received == []


def test_the_models_are_listed(door: Door) -> None:
    client = door.client()
    assert [model.id for model in client.models.list()] == ["whisper-1"]
    assert client.models.retrieve("whisper-1").id == "whisper-1"


def test_openais_names_mean_the_model_of_the_settings(site: Site, clip: bytes) -> None:
    with open_door(site, WhisperStub(0.01), ASR_MODEL="large-v3") as door:
        client = door.client()
        assert [model.id for model in client.models.list()] == ["large-v3", "whisper-1"]
        for name in ("whisper-1", "gpt-4o-transcribe", "small", "nvidia/canary-1b"):
            client.audio.transcriptions.create(model=name, file=("clip.wav", clip))
        asked = [call.fields["model"] for call in door.stub.received]
        assert asked == ["large-v3", "large-v3", "large-v3", "nvidia/canary-1b"]


def test_a_server_that_gives_text_alone_is_enough_for_every_format(site: Site, speech: tuple[str, bytes]) -> None:
    with open_door(site, WhisperStub(0.01)) as door:
        create = door.client().audio.transcriptions.create
        verbose = create(
            model="whisper-1",
            file=speech,
            response_format="verbose_json",
            timestamp_granularities=["segment", "word"],
        )
        assert verbose.segments
        assert [segment.text for segment in verbose.segments] == ["hello"] * CLIPS
        assert verbose.words == []
        assert str(create(model="whisper-1", file=speech, response_format="vtt")).count("hello") == CLIPS


def test_curl_as_openai_writes_it(door: Door) -> None:
    """The commands of OpenAI's reference, with another host, token and file."""

    def curl(route: str, *fields: str) -> str:
        form = [word for field in fields for word in ("-F", field)]
        command = ["curl", "-sS", "--max-time", "20", f"{door.site.url}/v1/{route}"]
        headers = ["-H", f"Authorization: Bearer {door.key()}"]
        if fields:
            headers += ["-H", "Content-Type: multipart/form-data"]
        return subprocess.run([*command, *headers, *form], check=True, capture_output=True, text=True).stdout

    file = f"file=@{librivox()[0].path}"
    assert '"text": "This is sentence0."' in curl("audio/transcriptions", file, "model=gpt-4o-transcribe")
    streamed = curl("audio/transcriptions", file, "model=gpt-4o-mini-transcribe", "stream=true")
    assert streamed.startswith('data: {"type": "transcript.text.delta", "delta": "This is sentence1."}\n\ndata: ')
    words = "timestamp_granularities[]=word"
    timed = curl("audio/transcriptions", file, words, "model=whisper-1", "response_format=verbose_json")
    assert '"words": [{"word": "This"' in timed
    assert '"text": "This is sentence3."' in curl("audio/translations", file, "model=whisper-1")
    assert '"id": "whisper-1"' in curl("models")
