"""Models of /v1: their list, and which of them a name means."""

import re
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.http import HttpResponse

from accounts.auth import ApiRequest
from web.problems import Problem

from .door import as_json, door

DEFAULT_MODEL = "whisper-1"

# OpenAI's names, dated ones too: gpt-4o-mini-transcribe-2025-12-15, gpt-live-transcribe, gpt-4o-transcribe-diarize.
_OPENAI = re.compile(r"whisper-1|gpt-(?:[\w.]+-)*transcribe(?:-[\w.]+)*")
# The names of Whisper's sizes and of the forms in which people publish them: openai/whisper-large-v3-turbo,
# Systran/faster-distil-whisper-small.en, ggml-base-q5_1.bin, large-v3.
_WHISPER = re.compile(
    r"(?:[\w.@-]+/)*(?:(?:ggml|faster|distil|mlx|whisper|openai)[-_])*"
    r"(?:whisper|(?:whisper-)?v[1-3]|tiny|base|small|medium|large|turbo)"
    r"(?:[-_.](?:v[1-3](?:\.5)?|turbo|en|ct2|ggml|mlx|bin|onnx|int8|fp16|float16|\d+bit|q\d(?:_\w)?))*"
)


def asked_model(name: str, there: Collection[str]) -> str:
    """The model to ask a Whisper server for; empty: the model of the settings.

    there: the models of the servers. The usual names of OpenAI and Whisper, which fill programs and examples, mean the
    model of the settings where no server has a model of that very name.
    """
    if name in there or not stands_for_default(name):
        return name
    return ""


def stands_for_default(name: str) -> bool:
    """Whether it is a usual name of OpenAI's or Whisper's."""
    return bool(_OPENAI.fullmatch(name.lower()) or _WHISPER.fullmatch(name.lower()))


@door("GET")
async def models(request: ApiRequest) -> HttpResponse:
    return as_json({"object": "list", "data": [_model(name) for name in _listed()]})


@door("GET")
async def model(request: ApiRequest, *, name: str) -> HttpResponse:
    if name not in _listed() and not stands_for_default(name):
        raise Problem("model_not_found", param="model", model=name)
    return as_json(_model(name))


def _listed() -> list[str]:
    """The model of the settings, and the name that means it everywhere."""
    return list(dict.fromkeys([settings.ASR_MODEL or DEFAULT_MODEL, DEFAULT_MODEL]))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "stile"}
