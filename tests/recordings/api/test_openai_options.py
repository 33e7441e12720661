"""A field of a request to /v1 is understood in every usual spelling, or refused with its name."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from django.http import QueryDict
from pydantic import ValidationError

from recordings.api.v1.models import asked_model
from recordings.api.v1.options import OpenAIOptions, read_options
from tests.support.openai_clients import Door, heard, open_door
from tests.support.site import Site
from tests.support.whisper_stub import WhisperStub
from web.problems import Problem

BOTH = {"word", "segment"}
Fields = list[tuple[str, str]]


def read(*fields: tuple[str, str]) -> OpenAIOptions:
    return read_options(QueryDict(urlencode(fields)))


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ([], {"segment"}),
        ([("timestamp_granularities[]", "word")], {"word"}),
        ([("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")], BOTH),
        ([("timestamp_granularities", "word")], {"word"}),
        ([("timestamp_granularities", "word"), ("timestamp_granularities", "segment")], BOTH),
        ([("timestamp_granularities", "word"), ("timestamp_granularities[]", "segment")], BOTH),
        ([("timestamp_granularities", "word,segment")], BOTH),
        ([("timestamp_granularities[]", " word , segment ")], BOTH),
        ([("timestamp_granularities", '["word", "segment"]')], BOTH),
        ([("timestamp_granularities[]", '["word"]')], {"word"}),
        ([("timestamp_granularities[0]", "word"), ("timestamp_granularities[1]", "segment")], BOTH),
        ([("timestamp_granularities", "")], {"segment"}),
        ([("timestamp_granularities[]", ""), ("timestamp_granularities[]", "word")], {"word"}),
        ([("timestamp_granularities", "[]")], {"segment"}),
    ],
)
def test_granularities_come_as_any_list(fields: Fields, wanted: set[str]) -> None:
    assert read(*fields).granularities == wanted


@pytest.mark.parametrize("value", ["syllable", "word,syllable", '["words"]', "word segment", "[1]", "null"])
def test_other_granularities_are_refused_by_name(value: str) -> None:
    for name in ("timestamp_granularities", "timestamp_granularities[]", "timestamp_granularities[0]"):
        with pytest.raises(ValidationError) as refused:
            read((name, value))
        assert refused.value.errors()[0]["loc"][0] == "timestamp_granularities[]"


MISSPELT = {
    "response_format": "responseFormat response-format Response_Format responseformat RESPONSE_FORMAT respons_format "
    "response_fromat output_format format outputFormat response_format[] response-type",
    "timestamp_granularities[]": "timestamp_granularity timestampGranularities timestamp-granularities "
    "timestampGranularities[] timestamps_granularities Timestamp_Granularities[] granularities "
    "word_timestamps timestamp_granularities[][]",
    "language": "lang Language LANGUAGE languge language_code languageCode language[] locale",
    "model": "Model models model_name modelId model_id",
    "prompt": "Prompt promt prompts initial_prompt initialPrompt",
    "temperature": "Temperature temprature temp temperatur",
    "stream": "Stream streaming streams",
    "chunking_strategy": "chunkingStrategy chunking-strategy chunk_strategy",
    "include[]": "Include includes",
    "keywords[]": "keyword Keywords keyWords[]",
    "languages[]": "Languages",
    "known_speaker_names[]": "knownSpeakerNames known_speakers_names",
    "known_speaker_references[]": "knownSpeakerReferences[]",
}


@pytest.mark.parametrize(("name", "meant"), [(name, meant) for meant in MISSPELT for name in MISSPELT[meant].split()])
def test_a_field_that_is_spelt_otherwise_is_refused_by_name(name: str, meant: str) -> None:
    with pytest.raises(Problem) as refused:
        read((name, "word"))
    assert (refused.value.status, refused.value.code, refused.value.param) == (400, "unknown_parameter", name)
    assert f"“{meant}”" in str(refused.value.message)


@pytest.mark.parametrize(
    "name",
    [
        *("user", "seed", "vad_filter", "vad", "hotwords", "beam_size", "best_of", "batch_size", "temperature_inc"),
        *("without_timestamps", "condition_on_previous_text", "no_speech_threshold", "max_line_width", "num_beams"),
        *("metadata", "api_key", "client_id", "min_speakers", "max_speakers", "top_p", "repetition_penalty", "id"),
        *("chunking_strategy", "chunking_strategy[type]", "chunking_strategy[threshold]", "include[]", "include"),
        *("known_speaker_names[]", "known_speaker_references[]", "task_id", "filename", "hf_token", "timeout", "extra"),
    ],
)
def test_other_fields_of_openais_and_of_other_programs_do_no_harm(name: str) -> None:
    assert read((name, "1")).model_dump(exclude={"hotwords"}) == OpenAIOptions().model_dump(exclude={"hotwords"})


@pytest.mark.parametrize(("name", "asks", "not_asks"), [
    ("task", "translate", "transcribe"), ("translate", "true", "false"), ("diarize", "True", "0")
])  # fmt: skip
def test_a_field_that_asks_for_another_operation_is_refused(name: str, asks: str, not_asks: str) -> None:
    assert read((name, not_asks)) == OpenAIOptions()
    with pytest.raises(Problem) as refused:
        read((name, asks))
    assert (refused.value.status, refused.value.param) == (400, name)


def test_terms_to_expect_are_added_to_the_prompt() -> None:
    fields = [("keywords[]", "Stile"), ("keywords", "听序, Mei"), ("hotwords", "gate"), ("prompt", "A talk.")]
    assert read(*fields).expected == "Stile, 听序, Mei, gate, A talk."
    assert read(("prompt", "early " * 1000 + "late")).expected.endswith("late")
    assert len(read(("keywords[]", "word " * 1000)).expected) <= 2000


def test_one_of_several_languages_is_no_hint() -> None:
    assert read(("languages[]", "zh-CN")).spoken == "zh"
    assert read(("languages[]", "zh"), ("languages[]", "English")).spoken == ""
    assert read(("languages[]", "zh"), ("language", "en")).spoken == "en"
    with pytest.raises(ValidationError):
        read(("languages[]", "klingon"))


DEFAULT = """
whisper-1 gpt-4o-transcribe gpt-4o-mini-transcribe gpt-4o-transcribe-diarize gpt-transcribe gpt-live-transcribe
gpt-4o-mini-transcribe-2025-12-15 gpt-4o-mini-transcribe-2025-03-20 gpt-4o-transcribe-latest gpt-5.5-transcribe
GPT-4o-Transcribe whisper whisper-large-v3 whisper-large-v3-turbo whisper-v3 whisper-v3-turbo whisper-base.en large
large-v1 large-v2 large-v3 large-v3-turbo turbo tiny tiny.en base base.en small small.en medium medium.en
openai/whisper-large-v3 openai/whisper-large-v3-turbo openai/whisper-tiny.en Systran/faster-whisper-large-v3
Systran/faster-whisper-small.en Systran/faster-distil-whisper-large-v3 guillaumekln/faster-whisper-medium
deepdml/faster-whisper-large-v3-turbo-ct2 mobiuslabsgmbh/faster-whisper-large-v3-turbo distil-large-v2
distil-large-v3 distil-large-v3.5 distil-medium.en distil-small.en distil-whisper/distil-large-v3
distil-whisper/distil-large-v3.5-ct2 distil-whisper-large-v3-en mlx-community/whisper-large-v3-turbo
mlx-community/whisper-large-v3-mlx-4bit ggml-base.en.bin ggml-large-v3-turbo-q5_0.bin ggml-small-q8_0
@cf/openai/whisper-large-v3-turbo onnx-community/whisper-small Xenova/whisper-tiny.en faster-whisper-large-v3
Whisper-Large-V3 WHISPER-1 openai_whisper-large-v3 faster-whisper
"""
UNKNOWN = """
gpt-4o whisper-9 whisper-large-v9 large-v4 no-such-model tts-1 parakeet-tdt-0.6b-v3 nvidia/canary-1b
acme/whisper-medical bofenghuang/whisper-large-v3-french my-model sense-voice-small transcribe gpt-4o-mini-tts
basement largest smallish bigscience/base-of-all whisperx qwen3-asr
"""


@pytest.mark.parametrize("name", DEFAULT.split())
def test_usual_names_mean_the_model_of_the_settings_unless_the_server_has_that_one(name: str) -> None:
    assert asked_model(name, ()) == ""
    assert asked_model(name, ("other", name)) == name


@pytest.mark.parametrize("name", UNKNOWN.split())
def test_other_names_mean_a_model_of_the_server(name: str) -> None:
    assert asked_model(name, ()) == name


def test_no_name_takes_long_to_judge() -> None:
    assert asked_model("a/" * 64, ()) == "a/" * 64
    for hard in ("whisper-" * 16, "gpt-" + "a." * 60, "ggml-" * 25 + "x", "base" + "-q5_0" * 24 + "!"):
        asked_model(hard, ())


@pytest.fixture
def door(site: Site) -> Iterator[Door]:
    with open_door(site, WhisperStub(0.001, replies=heard("What", "was", "said.")), ASR_MODEL="mine") as opened:
        yield opened


def test_options_are_understood_over_http(door: Door, clip: bytes) -> None:
    api = door.site.program()

    def ask(**data: Any) -> httpx.Response:
        return api.post("/v1/audio/transcriptions", files={"file": ("clip.wav", clip)}, data=data)

    for name in ("timestamp_granularities", "timestamp_granularities[]"):
        verbose = ask(**{name: ["word", "segment"]}, response_format="verbose_json").json()
        assert (len(verbose["words"]), len(verbose["segments"])) == (3, 1)
    refused = ask(responseFormat="srt")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "responseFormat")
    assert ask(model="gpt-4o-mini-transcribe-2025-12-15", vad_filter="true", hotwords="Stile").status_code == 200
    asked = door.stub.received[-1].fields
    assert (asked["model"], asked["prompt"]) == ("mine", "Stile")
    assert api.get("/v1/models/gpt-4o-transcribe").json()["id"] == "gpt-4o-transcribe"
