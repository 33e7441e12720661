"""The error that an HTTP answer without a transcript stands for.

The status and the fields that name the fault (`code`, `param`, `type`) decide first. If they say nothing, the wording
decides; each server has its own. `tests/transcription/servers/test_refusals.py` has answers of real servers.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from transcription.errors import (
    AnswerError,
    BrokenOff,
    Fault,
    Misconfigured,
    OutOfMemory,
    Rejected,
    ServerBusy,
    ServerError,
    UnknownModel,
)
from transcription.sentence import Sentence, _
from transcription.servers.salvage import finite

KEPT = 2000  # characters of a server's own words that an error keeps
SEARCHED = 100_000  # characters of them that are searched: a traceback names its error at the end

# Messages of PyTorch, CTranslate2, cuBLAS, the CUDA runtime, Xinference, ggml and vLLM when the GPU has no memory left.
# Whole words only, because of `room` and `zoom`.
OUT_OF_MEMORY = re.compile(
    r"\bout of memory\b|\bCUBLAS_STATUS_ALLOC_FAILED\b|\bcudaMalloc failed\b|\bfailed to allocate\b|\bOOM\b"
    r"|\bcudaErrorMemoryAllocation\b|\bOutOfMemoryError\b|显存不足",
    re.IGNORECASE,
)
BUSY = re.compile(r"\bqueue is full\b|\btoo many (?:concurrent )?requests\b|\bserver is busy\b", re.IGNORECASE)
# Request timeout, conflict, locked, too early, too many requests, unavailable: the same request may pass later.
PASSING = {408, 409, 423, 425, 429, 503}

_MISSING = (
    r"not found|does not exist|doesn't exist|not exist|not installed|unknown|not available|unavailable|not loaded"
)
_REFUSED = r"not supported|unsupported|not allowed|not recogni[sz]ed|invalid|could not be found|cannot be found"
# "Model 'x' is not installed locally", "The model `x` does not exist.", "Model not found in the model list, uid: x",
# "Invalid model name passed in model=x", "unknown model: x". A few words may stand between, a sentence may not.
UNKNOWN_MODEL = re.compile(
    rf"\bmodels?\b\W{{1,4}}(?:[\w./:@+-]+\W{{1,4}}){{0,4}}?(?:{_MISSING})\b"
    rf"|\bmodels?\b\W{{1,4}}(?:[\w./:@+-]+\W{{1,4}}){{0,2}}?(?:{_REFUSED})\b"
    r"|\b(?:unknown|invalid|unsupported|unrecogni[sz]ed|no such|missing|nonexistent)\s+(?:\w+\s+)?model\b"
    r"|\b(?:could not|couldn't|can ?not|can't|unable to|failed to) (?:find|load) (?:\w+ )?model\b"
    r"|模型.{0,40}(?:不存在|未找到|找不到|未安装|不支持)|(?:找不到|未找到|没有|无效的?|未知的?|不支持的?)\s*模型",
    re.IGNORECASE,
)
MESSAGES = ("message", "msg", "detail", "error")
FORMAT = re.compile(r"\bresponse[ _-]?format\b|\bverbose_json\b|\btimestamp[ _-]?granularit", re.IGNORECASE)
_NAMED = r"\b(?:field|argument|parameter|param|property)s?\b"
_WRONG = r"\b(?:required|missing|unexpected|unknown|extra|unrecogni[sz]ed|unsupported|not (?:permitted|supported)|no)\b"
FIELD = re.compile(
    rf"{_NAMED}.{{0,60}}?{_WRONG}|{_WRONG}.{{0,30}}?{_NAMED}",
    re.IGNORECASE,
)


# The fault that a status stands for, if nothing else names one.
BY_STATUS: dict[int, Fault] = {
    **dict.fromkeys((401, 402, 403, 407), "key"),
    **dict.fromkeys((404, 405, 410), "address"),
    **dict.fromkeys((406, 415), "encoding"),
}
FINDINGS: dict[Fault, Sentence] = {
    "address": _("There is no Whisper server at this address. Check ASR_API_URL, or the url in ASR_SERVERS."),
    "key": _("The Whisper server refused the API key. Check ASR_API_KEY, or the key in ASR_SERVERS."),
    "format": _("The Whisper server refuses the format of the answer it is asked for."),
    "field": _("The Whisper server wants other fields than it is sent."),
    "encoding": _("The Whisper server refuses the kind of audio file that it is sent."),
}


@dataclass(frozen=True, slots=True)
class RefusalBody:
    """The body of a failed answer: the server's own words on one line, and the fields that name the fault."""

    words: str
    code: str = ""
    param: str = ""
    kind: str = ""
    status: int | None = None  # of an error in the body of an answer with status 200

    @property
    def names_model(self) -> bool:
        return "model" in self.code or self.param in ("model", "model_name", "model_id")

    @property
    def names_format(self) -> bool:
        return bool(FORMAT.search(self.param) or FORMAT.search(self.code))


def failure(status: int, headers: dict[str, str], body: bytes) -> AnswerError:
    """The error that this answer stands for."""
    said = read(body)
    if status < 300 and said.status:  # vox-box returns its HTTPException as a proper answer
        status = said.status
    words = said.words[:KEPT] or f"HTTP {status}"
    retry_after = _seconds(headers.get("retry-after"))
    if status == 507 or (status not in range(201, 400) and OUT_OF_MEMORY.search(said.words)):
        return OutOfMemory(words, retry_after)
    if status in PASSING or BUSY.search(said.words):
        return ServerBusy(words, retry_after)
    if status in (502, 504):  # a proxy says that it cannot reach the server behind it
        return BrokenOff(f"HTTP {status}: {words}", retry_after)
    if status == 501:  # vLLM, where its model is none for speech
        return Misconfigured(
            f"HTTP 501: {words}", _("The Whisper server cannot transcribe with the model it has."), "model"
        )
    if status >= 500 or status < 300:
        return ServerError(f"HTTP {status}: {words}", retry_after)
    return _refusal(status, replace(said, words=words))


def _refusal(status: int, said: RefusalBody) -> Rejected | Misconfigured:
    """The error for a status from 300 to 499, of a request that would be refused again."""
    if status < 400:
        finding = _(
            "The Whisper server redirects elsewhere, which is not followed. "
            "Check ASR_API_URL, or the url in ASR_SERVERS."
        )
        return Misconfigured(f"{finding} (HTTP {status})", finding, "address")
    what = _named_by_fields(said) or _named_by_words(status, said) or BY_STATUS.get(status, "audio")
    if what == "model":
        return UnknownModel(f"The Whisper server does not know this model: {said.words}")
    if what == "audio":
        return Rejected(f"The Whisper server refused the request (HTTP {status}): {said.words}")
    finding = FINDINGS[what]
    return Misconfigured(f"{finding} (HTTP {status}): {said.words}", finding, what)


def _named_by_fields(said: RefusalBody) -> Fault | None:
    """The fault that `code`, `param` and `type` name, if they name one."""
    if said.names_model:
        return "model"
    if said.names_format:
        return "format"
    if said.kind in ("missing", "extra_forbidden", "value_error.missing", "value_error.extra"):  # pydantic's names
        return "field"
    if said.param in ("language", "prompt", "file") or said.code.startswith(
        "audio"
    ):  # from the caller, not the settings
        required = said.param == "language" and FIELD.search(f"field {said.words}")
        return "field" if required else "audio"
    return "field" if said.param in ("temperature", "stream", "include") else None


def _named_by_words(status: int, said: RefusalBody) -> Fault | None:
    if UNKNOWN_MODEL.search(said.words):
        return "model"
    if status in (400, 422):
        if FORMAT.search(said.words):
            return "format"
        if FIELD.search(said.words):
            return "field"
    return None


def read(body: bytes) -> RefusalBody:
    """Read an error in the form of OpenAI, FastAPI, vLLM or a similar one. Of another body, all of it is the words."""
    try:
        answer = json.loads(body, parse_int=float)
    except (ValueError, RecursionError):
        return RefusalBody(_line(body.decode(errors="replace")))
    objects = list(_objects(answer))
    if isinstance(answer, str):
        words = answer
    else:
        words = next(
            filter(None, (_field(objects, name, lower=False) for name in MESSAGES)), body.decode(errors="replace")
        )
    code, param, kind = _field(objects, "code", "error_code"), _field(objects, "param", "loc"), _field(objects, "type")
    return RefusalBody(_line(words), code, param, kind, _status(objects))


def _objects(answer: Any) -> Iterator[dict[str, Any]]:
    """The nested objects of an error, the outermost first. FastAPI's `detail` is an object or a list of objects."""
    for _depth in range(5):
        if isinstance(answer, list):
            answer = next(iter(answer), None)
        if not isinstance(answer, dict):
            return
        yield answer
        answer = next((answer[name] for name in ("error", "detail", "message", "errors") if answer.get(name)), None)


def _field(objects: list[dict[str, Any]], *names: str, lower: bool = True) -> str:
    """The text under one of the names, from the innermost object that has one. Lower case, unless it is for people."""
    for inner in reversed(objects):
        for name in names:
            value = inner.get(name)
            if isinstance(value, list) and value:  # FastAPI: ["body", "model"]
                value = value[-1]
            if isinstance(value, str) and value not in ("", "None"):  # LiteLLM writes None so
                return value.lower() if lower else value
    return ""


def _status(objects: list[dict[str, Any]]) -> int | None:
    for inner in objects:
        for name in ("status_code", "status", "code"):
            value = inner.get(name)
            if isinstance(value, float | str) and re.fullmatch(r"[45]\d\d(?:\.0)?", str(value)):
                return int(float(value))
    return None


def _line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:SEARCHED]).strip()


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` in seconds from now. The header holds seconds or a date (RFC 9110, 10.2.3)."""
    if not retry_after:
        return None
    if (seconds := finite(retry_after)) is None:
        try:
            seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):  # no date, or a date without a time zone
            return None
    return min(max(0.0, seconds), 86400.0)
