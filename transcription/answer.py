"""What a Whisper server's answer means: a `Transcript`, or one of the errors that say what to do next."""

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from . import languages
from .errors import (
    AnswerError,
    BrokenOff,
    Misconfigured,
    OutOfMemory,
    ProtocolError,
    Rejected,
    ServerBusy,
    ServerError,
    UnknownModel,
)

QUOTED = 200  # bytes of an answer that an error quotes
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
UNKNOWN_MODEL = re.compile(
    r"\bmodel\b.*\b(?:not found|does not exist|unknown|not installed|not supported)\b", re.I | re.S
)


@dataclass(frozen=True, slots=True)
class Word:
    """Times are seconds from the start of the audio that was sent; probability is 0 to 1 where the server tells it."""

    start: float
    end: float
    word: str
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """Whisper's own unit, with its own doubts (see its paper, Radford et al. 2022, section 4.5). Times as in `Word`."""

    start: float
    end: float
    text: str
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    compression_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text of one stretch of audio; where the server tells, its seconds, and its language as a code (`zh`)."""

    text: str
    language: str | None
    duration: float | None
    segments: tuple[TranscriptSegment, ...]
    words: tuple[Word, ...]


def read_answer(status: int, headers: dict[str, str], body: bytes) -> Transcript:
    """The transcript in an HTTP answer. Raises the `AnswerError` that its status and text call for."""
    if status != 200:
        raise _failure(status, headers, body)
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise _unreadable(body) from None
    if not isinstance(answer, dict):
        raise _unreadable(body)
    if "text" not in answer and (answer.get("error") or answer.get("detail")):
        raise _failure(status, headers, body)
    try:
        return _transcript(answer)
    except (TypeError, ValueError, KeyError, OverflowError):
        raise _unreadable(body) from None


def _failure(status: int, headers: dict[str, str], body: bytes) -> AnswerError:
    said = _error_words(body)
    words = said[:KEPT] or f"HTTP {status}"
    retry_after = _seconds(headers.get("retry-after"))
    if status == 507 or (status not in range(201, 400) and OUT_OF_MEMORY.search(said)):
        return OutOfMemory(words, retry_after)
    if status in (429, 503) or BUSY.search(said):
        return ServerBusy(words, retry_after)
    if status in (502, 504):  # a proxy says that it cannot reach the server behind it
        return BrokenOff(f"HTTP {status}: {words}", retry_after)
    if status >= 500 or status < 300:
        return ServerError(f"HTTP {status}: {words}", retry_after)
    return _rejection(status, words)


def _rejection(status: int, words: str) -> Rejected:
    if status in (401, 403):
        return Misconfigured(f"The Whisper server refused the API key (HTTP {status}): {words}")
    if status < 400:
        return Misconfigured(
            f"The Whisper server redirects elsewhere (HTTP {status}), which is not followed. Check ASR_API_URL."
        )
    if UNKNOWN_MODEL.search(words):
        return UnknownModel(f"The Whisper server does not know this model: {words}")
    return Rejected(f"The Whisper server refused the request (HTTP {status}): {words}")


def _error_words(body: bytes) -> str:
    """The server's own words on one line, without control characters: its message, else all that it said."""
    words: Any
    try:
        words = json.loads(body)
    except (ValueError, RecursionError):
        words = None
    for name in ("error", "detail", "message"):
        words = (words.get(name) or words) if isinstance(words, dict) else words
    said = words if isinstance(words, str) else body.decode(errors="replace")
    return "".join(char if char.isprintable() else " " for char in said[:SEARCHED]).strip()


def _unreadable(body: bytes) -> ProtocolError:
    return ProtocolError(f"Not an answer that can be read: {body[:QUOTED]!r}")


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` as seconds from now, whether it gives seconds or a date (RFC 9110, 10.2.3)."""
    if not retry_after:
        return None
    try:
        seconds = _finite(retry_after)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):  # no date; or one without a time zone
            return None
    return min(max(0.0, seconds), 86400.0)


def _transcript(answer: dict[str, Any]) -> Transcript:
    """Strict about what is there, tolerant of what is missing. Raises what `read_answer` catches."""
    segments = _objects(answer.get("segments"))
    words = _objects(answer.get("words")) or [word for part in segments for word in _objects(part.get("words"))]
    return Transcript(
        text=_string(answer["text"]).strip(),
        language=_language(answer.get("language")),
        duration=_number(answer.get("duration")),
        segments=tuple(
            TranscriptSegment(
                start=_finite(part["start"]),
                end=_finite(part["end"]),
                text=_string(part["text"]).strip(),
                avg_logprob=_number(part.get("avg_logprob")),
                no_speech_prob=_number(part.get("no_speech_prob")),
                compression_ratio=_number(part.get("compression_ratio")),
            )
            for part in segments
        ),
        words=tuple(
            Word(
                _finite(word["start"]),
                _finite(word["end"]),
                _string(word["word"]),
                _number(word.get("probability")),
            )
            for word in words
        ),
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise TypeError
    return value


def _string(value: Any) -> str:
    """Text that every database and encoding takes: no NUL, no half of a surrogate pair."""
    if not isinstance(value, str):
        raise TypeError
    return value.replace("\0", "").encode(errors="replace").decode()


def _number(value: Any) -> float | None:
    return None if value is None else _finite(value)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _language(value: Any) -> str | None:
    """Whisper's code, in whatever form the server says the language; None for what names none of Whisper's."""
    return languages.code(_string(value)) or None if value else None
