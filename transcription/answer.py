"""The meaning of a Whisper server's answer: a `Transcript`, or one of the errors of `errors`."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from transcription import languages
from transcription.servers import refusal, salvage
from transcription.servers.salvage import HeardWord, Item, Note

from .errors import ProtocolError

__all__ = ["HeardWord", "Transcript", "TranscriptSegment", "read_answer"]

QUOTED = 200  # bytes of an answer that an error quotes
LISTS = ("segments", "chunks", "transcription", "sentences", "results")  # names of a list of segments
LONGEST = 86400.0  # seconds of audio, if neither the request nor the answer tells its length
WRAPPERS = ("result", "data", "output", "response")  # names of an object around the answer

# A body that is neither JSON nor plain text: markup, broken JSON, or the error of a proxy.
NO_TRANSCRIPT = re.compile(
    r"\s*(?:[<{\[]|(?:error|exception|traceback|internal server error|bad gateway|service unavailable"
    r"|gateway time-?out|upstream connect error|no healthy upstream)\b)",
    re.IGNORECASE,
)
FIRST_TEXT = re.compile(r'\s*\{\s*"text"\s*:\s*("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """Whisper's unit of text, and how sure it is (Radford et al. 2022, section 4.5). Times as in `HeardWord`."""

    start: float
    end: float
    text: str
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    compression_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text of one stretch of audio.

    language: Whisper's code, such as `zh`. duration: seconds. None if the server does not tell them.
    """

    text: str
    language: str | None
    duration: float | None
    segments: tuple[TranscriptSegment, ...]
    words: tuple[HeardWord, ...]


def read_answer(
    status: int, headers: dict[str, str], body: bytes, seconds: float = math.inf, note: Note = lambda kind: None
) -> Transcript:
    """The transcript in an HTTP answer. Raises the `AnswerError` that its status and body stand for.

    seconds: length of the audio that was sent. No time in the transcript is later.
    note: takes a few words about each part of the answer that cannot be used.
    """
    if status != 200:
        raise refusal.failure(status, headers, body)
    try:
        answer = _json(body)
    except (ValueError, RecursionError):
        answer = _not_json(body, note)
    answer = _unwrapped(answer)
    text = _text(answer)
    if isinstance(answer, dict) and not text and (answer.get("error") or ("detail" in answer and text is None)):
        raise refusal.failure(status, headers, body)
    if text is None:
        raise _unreadable(body)
    return _transcript(text, answer if isinstance(answer, dict) else {}, seconds, note)


def _unreadable(body: bytes) -> ProtocolError:
    return ProtocolError(f"Not an answer that can be read: {body[:QUOTED]!r}")


# --- Bodies ------------------------------------------------------------------------------------


def _json(body: bytes | str) -> Any:
    """Parse JSON with all numbers as floats: Python refuses integers of more than 4,300 digits."""
    return json.loads(body, parse_int=float)


def _not_json(body: bytes, note: Note) -> Any:
    """The answer in a body that is not JSON: events, JSON with something behind it, or plain text."""
    text = salvage.decoded(body)
    if events := list(_events(text)):
        note("a stream of events")
        return _told_by(events)
    try:
        answer, _end = json.JSONDecoder(parse_int=float).raw_decode(text.lstrip())
    except ValueError:
        pass
    except RecursionError:
        if first := FIRST_TEXT.match(text):
            note("JSON that is nested too deeply")
            return {"text": json.loads(first[1])}
        raise _unreadable(body) from None
    else:
        if isinstance(answer, dict) and answer:
            note("something behind the JSON")
            return answer
    if not text.strip() or NO_TRANSCRIPT.match(text) or not _printable(text):
        raise _unreadable(body)
    note("plain text")
    return text


def _printable(text: str) -> bool:
    return "\ufffd" not in text and all(char.isprintable() or char.isspace() for char in text)


def _events(text: str) -> Iterator[dict[str, Any]]:
    """The objects of server-sent events (`data: {…}`), or of lines with one object each."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    sent = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
    if not sent and len(lines) < 2:
        return
    for line in sent or lines:
        try:
            event = _json(line)
        except (ValueError, RecursionError):
            if line == "[DONE]" or sent:
                continue
            return
        if isinstance(event, dict):
            yield event


def _told_by(events: list[dict[str, Any]]) -> dict[str, Any]:
    """One answer from several events: the event that repeats the whole text, else all their texts joined."""
    last = events[-1]
    texts = [text for event in events if (text := _delta(event))]
    whole: dict[str, Any] | None = next(
        (event for event in reversed(events) if str(event.get("type", "")).endswith(".done")), None
    )
    if whole is None and len(texts) > 1 and all(texts[-1].startswith(text) for text in texts[:-1]):
        whole = last
    if whole is not None and _text(whole):
        return whole
    return {"text": salvage.run_on(texts)} if texts else next((event for event in events if event.get("error")), last)


def _delta(event: dict[str, Any]) -> str | None:
    """The text that an event adds, in OpenAI's `delta`, vLLM's `choices`, or `text`."""
    choices = event.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        delta = choices[0].get("delta")
        return salvage.text_of(delta.get("content")) if isinstance(delta, dict) else None
    return salvage.text_of(event.get("delta")) or salvage.text_of(event.get("text"))


# --- The transcript ----------------------------------------------------------------------------


def _unwrapped(answer: Any) -> Any:
    """The object that has the text, out of the object around it."""
    if not isinstance(answer, dict) or _text(answer) is not None:
        return answer
    return next((inner for name in WRAPPERS if _text(inner := answer.get(name)) is not None), answer)


def _text(answer: Any) -> str | None:
    """The text of an answer, else the texts of its segments joined. None if it has neither."""
    if not isinstance(answer, dict):
        return salvage.text_of(answer)
    for name in ("text", "transcript", "transcription"):
        if (text := salvage.text_of(answer.get(name))) is not None:
            return text
    for name in (*LISTS, "words", "word_segments"):
        if (text := salvage.text_of(answer.get(name))) is not None:
            return text
    return None


def _transcript(text: str, answer: dict[str, Any], seconds: float, note: Note) -> Transcript:
    duration = salvage.finite(answer.get("duration"))
    length = seconds if math.isfinite(seconds) else max(0.0, duration or LONGEST)
    parts = next((found for name in LISTS if (found := salvage.items(answer.get(name), "segments", note))), [])
    words = salvage.items(answer.get("words") or answer.get("word_segments"), "words", note)
    if not words and len(parts) > 1 and "segments" not in answer and all(_is_word(part) for part in parts):
        parts, words = [], parts  # Hugging Face's chunks are words if words were asked for
    if not words:
        words = [word for part in parts for word in salvage.items(part.fields.get("words"), "words", note)]
    timed = salvage.timed(words, length, "words", note)
    pieces = [HeardWord(start, end, word.text, word.probability) for word, start, end in timed]
    return Transcript(
        text=text.strip(),
        language=_language(answer.get("language"), note),
        duration=duration if duration is not None and duration >= 0 else None,
        segments=tuple(_segment(*segment) for segment in salvage.timed(parts, length, "segments", note)),
        words=tuple(salvage.whole_words(pieces, text)),
    )


def _segment(part: Item, start: float, end: float) -> TranscriptSegment:
    logprob = part.number("avg_logprob")
    return TranscriptSegment(
        start=start,
        end=end,
        text=part.text.strip(),
        avg_logprob=logprob if logprob is None or logprob < 0 else None,  # Xinference writes 0 for unknown
        no_speech_prob=part.number("no_speech_prob"),
        compression_ratio=part.number("compression_ratio"),
    )


def _is_word(part: Item) -> bool:
    spelt = part.text.strip()
    return len(spelt.split()) == 1 and len(spelt) <= (4 if salvage.UNSPACED.search(spelt) else 40)


def _language(value: Any, note: Note) -> str | None:
    """Whisper's code of the language that the answer names in any form. None if Whisper does not know the language."""
    if isinstance(value, list | tuple):
        value = next(iter(value), None)
    if isinstance(value, dict):
        value = value.get("code") or value.get("language") or value.get("name")
    if not isinstance(value, str):
        return None
    code = languages.code(value)
    if code is None:
        note("a language that is not known")
    return code or None
