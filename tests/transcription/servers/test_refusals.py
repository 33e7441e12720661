# ruff: noqa: E501 (a case is a line)
"""What a failed answer means: status and body of each kind of server, and whose fault it is."""

import json
from typing import Any

import pytest

from transcription.answer import read_answer
from transcription.errors import (
    AnswerError,
    BrokenOff,
    Misconfigured,
    OutOfMemory,
    Rejected,
    ServerBusy,
    ServerError,
    UnknownModel,
)

Kind = type[AnswerError] | str  # a text stands for `Misconfigured`, and says what does not fit


def openai(message: str, param: str | None = None, code: str | None = None, kind: str = "invalid_request_error") -> Any:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def vllm(message: str, kind: str, status: int, param: str | None = None) -> Any:
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def fastapi(kind: str, *place: str, msg: str = "Field required") -> Any:
    return {"detail": [{"type": kind, "loc": ["body", *place], "msg": msg, "input": None}]}


CASES: dict[str, tuple[int, Any, Kind]] = {
    # The address.
    "whisper.cpp: no such path": (404, "File Not Found (/v1/audio/transcriptions)", "address"),
    "FastAPI: no such path": (404, {"detail": "Not Found"}, "address"),
    "FastAPI: no such method": (405, {"detail": "Method Not Allowed"}, "address"),
    "nginx: no such path": (404, "<html><head><title>404 Not Found</title></head></html>", "address"),
    "nginx: no such method": (405, "<html><title>405 Not Allowed</title></html>", "address"),
    "OpenAI: no such path": (404, openai("Invalid URL (POST /v1/v1/audio/transcriptions)"), "address"),
    "gone": (410, "", "address"),
    "an empty 404": (404, "", "address"),
    # The key.
    "OpenAI: a wrong key": (401, openai("Incorrect API key provided: sk-x.", None, "invalid_api_key"), "key"),
    "vLLM: no key": (401, {"error": "Unauthorized"}, "key"),
    "speaches: no right": (403, {"detail": "Invalid API key"}, "key"),
    "LiteLLM: a wrong key": (401, openai("Authentication Error, Invalid proxy server token passed", "None", "401", "auth_error"), "key"),
    "nothing paid": (402, "", "key"),
    "a proxy's key": (407, "", "key"),
    # The model.
    "speaches: not installed": (404, {"detail": "Model 'x' is not installed locally. You can download the model using `POST /v1/models`"}, UnknownModel),
    "speaches: not supported": (404, {"detail": "Model 'x' is not supported. If you think this is a mistake, please open an issue."}, UnknownModel),
    "vLLM: no model": (404, vllm("The model `x` does not exist.", "NotFoundError", 404), UnknownModel),
    "vLLM: no model, older": (404, {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "param": None, "code": 404}, UnknownModel),
    "OpenAI: no model": (404, openai("The model `x` does not exist or you do not have access to it.", None, "model_not_found"), UnknownModel),
    "OpenAI: no right to the model": (403, openai("Project `p` does not have access to model `x`", None, "model_not_found"), UnknownModel),
    "OpenAI: another kind of model": (400, openai("Invalid model gpt-4o. This model is not for audio.", "model", None), UnknownModel),
    "LiteLLM: no model": (400, openai("/audio/transcriptions: Invalid model name passed in model=x. Call `/v1/models` to view.", "None", "400", "None"), UnknownModel),
    "Xinference: no model": (400, {"detail": "Model not found in the model list, uid: x"}, UnknownModel),
    "open-asr-server: no model": (404, {"detail": "Model 'x' not found. Available patterns: ['tiny*', 'base*']"}, UnknownModel),
    "open-asr-server: not allowed": (403, {"detail": "Model not allowed"}, UnknownModel),
    "faster-whisper-server: no model": (400, {"detail": {"error": {"message": "unknown model: x", "type": "invalid_request_error"}}}, UnknownModel),
    "pydantic: a model of a list": (422, fastapi("literal_error", "model", msg="Input should be 'tiny' or 'base'"), UnknownModel),
    "by code alone": (400, {"error": {"message": "Nope.", "code": "model_not_found"}}, UnknownModel),
    "by param alone": (400, openai("Nope.", "model"), UnknownModel),
    "other words: no such": (400, {"error": "no such model: x"}, UnknownModel),
    "other words: load": (400, {"error": "Failed to load model x"}, UnknownModel),
    "other words: not available": (422, {"message": "Requested model whisper-x is not available"}, UnknownModel),
    "other words: unsupported": (400, {"error": "Unsupported whisper model"}, UnknownModel),
    "in Chinese": (400, {"detail": "模型 whisper-1 不存在"}, UnknownModel),
    "in Chinese, the other way": (404, {"message": "找不到模型"}, UnknownModel),
    "no model for speech": (501, {"error": {"message": "The model does not support Transcriptions API"}}, "model"),
    # The format of the answer.
    "OpenAI: no verbose_json": (400, openai("response_format 'verbose_json' is not compatible with model 'gpt-4o-transcribe'.", "response_format", "unsupported_value"), "format"),
    "vLLM: no verbose_json": (400, vllm("Currently do not support verbose_json for x", "BadRequestError", 400), "format"),
    "vLLM: some formats": (400, vllm("Currently only support response_format `text` or `json`", "BadRequestError", 400), "format"),
    "vox-box's words": (400, {"detail": "Unsupported response_format: verbose_json"}, "format"),
    "LiteLLM: drop it": (400, openai("litellm.UnsupportedParamsError: openai does not support parameters: ['timestamp_granularities'], for model=x"), "format"),
    "pydantic: a format of a list": (422, fastapi("enum", "response_format", msg="value is not a valid enumeration member"), "format"),
    # The fields.
    "pydantic: another name for the file": (422, fastapi("missing", "audio_file"), "field"),
    "pydantic 1: a field": (422, fastapi("value_error.missing", "task", msg="field required"), "field"),
    "pydantic: one too many": (422, fastapi("extra_forbidden", "temperature", msg="Extra inputs are not permitted"), "field"),
    "whisper.cpp: no file": (400, {"error": "no 'file' field in the request"}, "field"),
    "OpenAI: unknown": (400, openai("Unrecognized request argument supplied: timestamp"), "field"),
    "Django REST: unknown": (400, {"detail": "Unexpected field: temperature"}, "field"),
    "a language is wanted": (400, openai("The language parameter is required.", "language"), "field"),
    # The file.
    "another kind of file": (415, {"detail": "Unsupported Media Type"}, "encoding"),
    "an answer nobody asked for": (406, "", "encoding"),
    # What passes by itself.
    "the request took too long": (408, {"detail": "Transcription did not finish within 120s"}, ServerBusy),
    "a conflict": (409, {"detail": "Model is being loaded"}, ServerBusy),
    "locked": (423, "", ServerBusy),
    "too early": (425, "", ServerBusy),
    "too many": (429, openai("Rate limit reached", None, "rate_limit_exceeded"), ServerBusy),
    "no quota": (429, openai("You exceeded your current quota", None, "insufficient_quota"), ServerBusy),
    "loading": (503, {"status": "loading model"}, ServerBusy),
    "open-asr-server: loading": (503, {"detail": {"type": "backend_load_error", "code": "load_failed", "message": "no weights yet", "retryable": True}}, ServerBusy),
    "a full queue in a 400": (400, {"error": "The queue is full"}, ServerBusy),
    "out of memory in a 400": (400, {"detail": "CUDA out of memory"}, OutOfMemory),
    "out of memory over an unknown model": (500, {"detail": "CUDA out of memory while loading model x"}, OutOfMemory),
    # The recording, or what its owner asked for.
    "OpenAI: no audio": (400, openai("Invalid file format. Supported formats: ['flac', 'm4a', 'mp3']"), Rejected),
    "OpenAI: too short": (400, openai("Audio file is too short. Minimum audio length is 0.1 seconds.", "file", "audio_too_short"), Rejected),
    "OpenAI: could not be decoded": (400, openai("The audio file could not be decoded or its format is not supported."), Rejected),
    "OpenAI: a language": (400, openai("Invalid language 'xx'. Language parameter must be in ISO-639-1 format.", "language", "invalid_language_format"), Rejected),
    "vLLM: no audio": (400, vllm("Invalid or unsupported audio file.", "BadRequestError", 400), Rejected),
    "vLLM: too large": (400, vllm("Maximum file size exceeded", "BadRequestError", 400, "audio_filesize_mb"), Rejected),
    "whisper.cpp: no audio": (400, {"error": "failed to read audio data"}, Rejected),
    "a large file": (413, {"detail": "File too large"}, Rejected),
    "too long for the model": (400, {"error": "The audio is too long for this model."}, Rejected),
    "the audio of a model": (400, {"error": "whisper model: the audio stream is not supported"}, Rejected),
    "a bad language": (400, {"error": "bad language"}, Rejected),
    "no words at all": (400, "", Rejected),
    "a teapot": (418, "", Rejected),
    # The server itself.
    "vox-box: an error as a proper answer": (200, {"status_code": 500, "detail": "Failed to transcribe audio, boom", "headers": None}, ServerError),
    "vox-box: a refusal as a proper answer": (200, {"status_code": 400, "detail": "Unsupported response_format: x", "headers": None}, "format"),
    "an error as a proper answer": (200, {"error": {"message": "boom", "code": 500}}, ServerError),
    "a code as a proper answer": (200, {"error": {"message": "no model x", "code": "model_not_found", "status": 404}}, UnknownModel),
    "broken": (500, {"detail": "Internal Server Error"}, ServerError),
    "a proxy": (502, "<html>Bad Gateway</html>", BrokenOff),
    "a redirect": (307, "", "address"),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind"), CASES.values(), ids=CASES)
def test_a_refusal_is_told_apart_by_whose_fault_it_is(status: int, body: Any, kind: Kind) -> None:
    content = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    with pytest.raises(AnswerError) as raised:
        read_answer(status, {}, content.encode())
    error = raised.value
    assert str(error).isprintable()
    if isinstance(kind, str):
        assert isinstance(error, Misconfigured)
        assert error.what == kind
        assert error.finding in str(error) or status == 501
    else:
        assert type(error) is kind
