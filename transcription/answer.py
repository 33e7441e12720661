"""What a Whisper server's answer means: a `Transcript`, or one of the errors that say what to do next."""

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from .errors import AnswerError, OutOfMemory, ProtocolError, Rejected, ServerBusy, ServerError, Unreachable

QUOTED = 200  # bytes of an answer that an error quotes
KEPT = 2000  # characters of a server's own words that are kept

# The ways in which servers say that the GPU's memory ran out: PyTorch, CTranslate2, cuBLAS, the CUDA runtime,
# Xinference, ggml and vLLM. Whole words only: a 'room' or a 'zoom' is none.
OUT_OF_MEMORY = re.compile(
    r"\bout of memory\b|\bCUBLAS_STATUS_ALLOC_FAILED\b|\bcudaMalloc failed\b|\bfailed to allocate\b|\bOOM\b"
    r"|\bcudaErrorMemoryAllocation\b|显存不足",
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
    if "text" not in answer and (error := answer.get("error") or answer.get("detail")):
        words = _error_words(error)
        raise OutOfMemory(words) if OUT_OF_MEMORY.search(words) else ServerError(words)
    try:
        return _transcript(answer)
    except (TypeError, ValueError, KeyError):
        raise _unreadable(body) from None


def _failure(status: int, headers: dict[str, str], body: bytes) -> AnswerError:
    words = _error_words(_json_error(body)) or f"HTTP {status}"
    retry_after = _seconds(headers.get("retry-after"))
    if status == 507 or (status >= 400 and OUT_OF_MEMORY.search(words)):
        return OutOfMemory(words, retry_after)
    if status in (429, 503) or BUSY.search(words):
        return ServerBusy(words, retry_after)
    if status in (502, 504):  # a proxy says that it cannot reach the server behind it
        return Unreachable(f"HTTP {status}: {words}", retry_after)
    if status >= 500 or status < 300:
        return ServerError(f"HTTP {status}: {words}", retry_after)
    return Rejected(_rejection(status, words))


def _rejection(status: int, words: str) -> str:
    if status in (401, 403):
        return f"The Whisper server refused the API key (HTTP {status}): {words}"
    if status < 400:
        return f"The Whisper server redirects elsewhere (HTTP {status}), which is not followed. Check ASR_API_URL."
    if UNKNOWN_MODEL.search(words):
        return f"The Whisper server does not know this model: {words}"
    return f"The Whisper server refused the request (HTTP {status}): {words}"


def _json_error(body: bytes) -> Any:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")
    return (answer.get("error") or answer.get("detail") or answer) if isinstance(answer, dict) else answer


def _error_words(error: Any) -> str:
    """The server's own words on one line: no control characters, bounded."""
    if isinstance(error, dict):
        error = error.get("message") or error
    words = error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)
    return "".join(char if char.isprintable() else " " for char in words[:KEPT]).strip()


def _unreadable(body: bytes) -> ProtocolError:
    return ProtocolError(f"Not an answer that can be read: {body[:QUOTED]!r}")


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` as seconds from now, whether it gives seconds or a date (RFC 9110, 10.2.3)."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):  # no date; or one without a time zone
            return None
    return max(0.0, seconds) if seconds < 86400 else 86400.0


def _transcript(answer: dict[str, Any]) -> Transcript:
    """Strict about what is there, tolerant of what is missing. Raises TypeError, ValueError or KeyError."""
    if not isinstance(answer["text"], str):
        raise TypeError
    segments = _objects(answer.get("segments"))
    words = _objects(answer.get("words")) or [word for part in segments for word in _objects(part.get("words"))]
    return Transcript(
        text=answer["text"].strip(),
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
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> float | None:
    return None if value is None else _finite(value)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _language(value: Any) -> str | None:
    """A code. OpenAI's own service answers with English names (`english`); a few are common enough to know."""
    if not value:
        return None
    return _LANGUAGE_CODES.get(_string(value).lower(), _string(value).lower())


_LANGUAGE_CODES = {
    "english": "en", "chinese": "zh", "spanish": "es", "french": "fr", "german": "de", "japanese": "ja",
    "korean": "ko", "portuguese": "pt", "russian": "ru", "italian": "it", "hindi": "hi", "polish": "pl",
    "arabic": "ar", "dutch": "nl", "turkish": "tr", "vietnamese": "vi", "indonesian": "id", "cantonese": "yue",
}  # fmt: skip
