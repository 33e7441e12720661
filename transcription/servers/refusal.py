"""What an HTTP answer without a transcript means: one of the errors that say what to do next.

Status and the fields that name the fault (`code`, `param`, `type`) decide first. Only where they say nothing, the
wording does: every server has its own. `tests/transcription/servers/test_refusals.py` has their answers.
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

KEPT = 2000  # characters of a server's own words that are kept
SEARCHED = 100_000  # characters of them that are looked at: a traceback names its error last

# The ways in which servers say that the GPU's memory ran out: PyTorch, CTranslate2, cuBLAS, the CUDA runtime,
# Xinference, ggml and vLLM. Whole words only: a 'room' or a 'zoom' is none.
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


# What a status says where nothing else does.
BY_STATUS: dict[int, Fault] = {
    **dict.fromkeys((401, 402, 403, 407), "key"),
    **dict.fromkeys((404, 405, 410), "address"),
    **dict.fromkeys((406, 415), "encoding"),
}
FINDINGS: dict[Fault, Sentence] = {
    "address": _("There is no Whisper server at this address. Check ASR_API_URL."),
    "key": _("The Whisper server refused the API key. Check ASR_API_KEY."),
    "format": _("The Whisper server refuses the format of the answer it is asked for."),
    "field": _("The Whisper server wants other fields than it is sent."),
    "encoding": _("The Whisper server refuses the kind of audio file that it is sent."),
}


@dataclass(frozen=True, slots=True)
class RefusalBody:
    """What the body of a failed answer says: the server's own words on one line, and the fields beside them."""

    words: str
    code: str = ""
    param: str = ""
    kind: str = ""
    status: int | None = None  # of an error inside a proper answer

    @property
    def names_model(self) -> bool:
        return "model" in self.code or self.param in ("model", "model_name", "model_id")

    @property
    def names_format(self) -> bool:
        return bool(FORMAT.search(self.param) or FORMAT.search(self.code))


def failure(status: int, headers: dict[str, str], body: bytes) -> AnswerError:
    """The error that an answer without a transcript calls for."""
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
    """The meaning of a status from 300 to 499 that does not pass by itself."""
    if status < 400:
        finding = _("The Whisper server redirects elsewhere, which is not followed. Check ASR_API_URL.")
        return Misconfigured(f"{finding} (HTTP {status})", finding, "address")
    what = _named_by_fields(said) or _named_by_words(status, said) or BY_STATUS.get(status, "audio")
    if what == "model":
        return UnknownModel(f"The Whisper server does not know this model: {said.words}")
    if what == "audio":
        return Rejected(f"The Whisper server refused the request (HTTP {status}): {said.words}")
    finding = FINDINGS[what]
    return Misconfigured(f"{finding} (HTTP {status}): {said.words}", finding, what)


def _named_by_fields(said: RefusalBody) -> Fault | None:
    """What `code`, `param` and `type` say that the fault lies in; None where they say nothing."""
    if said.names_model:
        return "model"
    if said.names_format:
        return "format"
    if said.kind in ("missing", "extra_forbidden", "value_error.missing", "value_error.extra"):  # pydantic's names
        return "field"
    if said.param in ("language", "prompt", "file") or said.code.startswith("audio"):  # the caller's, not the settings'
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
    """The words and fields of an error in OpenAI's, FastAPI's, vLLM's or any similar form; else all that was said."""
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
    """The objects of an error, from the outermost inwards: `detail` of FastAPI may be one, or a list of them."""
    for _depth in range(5):
        if isinstance(answer, list):
            answer = next(iter(answer), None)
        if not isinstance(answer, dict):
            return
        yield answer
        answer = next((answer[name] for name in ("error", "detail", "message", "errors") if answer.get(name)), None)


def _field(objects: list[dict[str, Any]], *names: str, lower: bool = True) -> str:
    """The innermost text under one of the names, in small letters unless it is for people."""
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
    """`Retry-After` as seconds from now, whether it gives seconds or a date (RFC 9110, 10.2.3)."""
    if not retry_after:
        return None
    if (seconds := finite(retry_after)) is None:
        try:
            seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):  # no date; or one without a time zone
            return None
    return min(max(0.0, seconds), 86400.0)
