"""Pure functions that take the usable parts out of a parsed JSON answer, whatever its shape.

Only the text is required. Times, words, probabilities and segments are extras, which each server gives in its own form.
A part that cannot be used is left out, and a note is made of its kind, so that the log can tell it once.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transcription.writing import CJK, CJK_PUNCTUATION, SOUTHEAST, join

Note = Callable[[str], None]  # takes a few words about an odd part of an answer

CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:[.,]\d+)?)")  # 1:02:03.5, and 00:00:02,500 as subtitles have it
NUMBER = re.compile(r"([+-]?\d+(?:\.\d*)?(?:e[+-]?\d+)?)\s*(ms|s|sec|secs|seconds?)?", re.IGNORECASE)
TEXTS = ("text", "transcript", "transcription", "word", "token", "value")
PROBABILITIES = ("probability", "prob", "p", "score", "confidence", "conf")
# Names of start and end in answers, and their unit in seconds.
# whisper.cpp's `offsets` are milliseconds, its `t0` and `t1` hundredths of a second.
SPANS = (
    ("start", "end", 1.0),
    ("from", "to", 1.0),
    ("start_time", "end_time", 1.0),
    ("begin", "end", 1.0),
    ("t0", "t1", 0.01),
)
NESTED_SPANS = (("offsets", 0.001), ("timestamp", 1.0), ("timestamps", 1.0))

LONGEST_WORD = 1.0  # seconds of a word without an end, at most; few words take longer
ROUNDING = 0.5  # seconds by which a time may be moved without a note: servers round times, and pad audio

Span = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word of a transcript. Times: seconds from the start of the audio. Probability: 0 to 1, or None."""

    start: float
    end: float
    word: str
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A segment or a word as the server gave it. Times: seconds; None if they are missing or no numbers."""

    text: str
    start: float | None
    end: float | None
    fields: dict[str, Any]

    def number(self, *names: str) -> float | None:
        """The first number among the fields of these names."""
        return next((number for name in names if (number := finite(self.fields.get(name))) is not None), None)

    @property
    def probability(self) -> float | None:
        value = self.number(*PROBABILITIES)
        return value if value is not None and 0 <= value <= 1 else None


def finite(value: Any) -> float | None:
    """A number, or the seconds of a text such as `3.0`, `3.0s`, `3000ms` or `00:00:03,000`. None for anything else."""
    if isinstance(value, str):
        return _spelt(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _spelt(text: str) -> float | None:
    if len(text) > 40:  # longer than any time; this bounds the work of the patterns
        return None
    if clock := CLOCK.fullmatch(text):
        hours, minutes, seconds = clock.groups()
        return 3600 * float(hours or 0) + 60 * float(minutes) + float(seconds.replace(",", "."))
    if not (number := NUMBER.fullmatch(text)):
        return None
    value = float(number[1]) * (0.001 if (number[2] or "").lower() == "ms" else 1.0)
    return value if math.isfinite(value) else None


def string(value: str) -> str:
    """The text without NUL and halves of surrogate pairs, which databases and encodings refuse."""
    return value.replace("\0", "").encode(errors="replace").decode()


def text_of(value: Any) -> str | None:
    """A text, that of an object, or those of a list joined. None if there is no text."""
    if isinstance(value, str):
        return string(value)
    if isinstance(value, dict):
        return next((string(value[name]) for name in TEXTS if isinstance(value.get(name), str)), None)
    if isinstance(value, list):
        found = [text for item in value if (text := text_of(item) if not isinstance(item, list) else None) is not None]
        return run_on(found) if found else None
    return None


def run_on(texts: Sequence[str]) -> str:
    """Join the parts of one text: as they are if they bring their spaces, as tokens do; else as sentences."""
    return "".join(texts) if any(text[:1].isspace() or text[-1:].isspace() for text in texts) else join(texts)


def decoded(body: bytes) -> str:
    """The body as UTF-8, without a byte order mark. Bytes that are not UTF-8 become U+FFFD."""
    return body.decode("utf-8-sig", errors="replace")


def items(value: Any, kind: str, note: Note) -> list[Item]:
    """The segments or words in a list of an answer. Those without text are left out."""
    if value is None:
        return []
    if not isinstance(value, list):
        note(f"{kind} that are no list")
        return []
    found = [
        Item(text, *span(part), part if isinstance(part, dict) else {}) for part in value if (text := text_of(part))
    ]
    if len(found) < len(value):
        note(f"{kind} without text")
    return found


def span(part: Any) -> Span:
    """Start and end in seconds, under any of the known names. None for a time that is missing."""
    if not isinstance(part, dict):
        return None, None
    for first, last, unit in SPANS:
        if first in part or last in part:
            return _scaled(part.get(first), unit), _scaled(part.get(last), unit)
    for name, unit in NESTED_SPANS:
        pair = part.get(name)
        if isinstance(pair, list | tuple) and len(pair) == 2:
            return _scaled(pair[0], unit), _scaled(pair[1], unit)
        if isinstance(pair, dict):
            start, end = span(pair)
            return _scaled(start, unit), _scaled(end, unit)
    return None, None


def _scaled(value: Any, unit: float) -> float | None:
    number = finite(value)
    return None if number is None else number * unit


def timed(found: Sequence[Item], seconds: float, kind: str, note: Note) -> list[tuple[Item, float, float]]:
    """The items with their start and end, in order and within the `seconds` of the audio. Empty if no item has a time.

    An item without times gets a share of the gap between its neighbours. whisperX, for instance, gives numerals none.
    """
    if all(item.start is None and item.end is None for item in found):
        if found:
            note(f"{kind} without times")
        return []
    result: list[tuple[Item, float, float]] = []
    earliest, latest = 0.0, 0.0
    for item, (start, end) in zip(
        found, _filled(found, seconds, LONGEST_WORD if kind == "words" else seconds), strict=True
    ):
        earliest = min(max(start, earliest), seconds)
        latest = min(max(end, latest, earliest), seconds)
        result.append((item, earliest, latest))
        if any(
            told is None or abs(told - kept) > ROUNDING for told, kept in ((item.start, earliest), (item.end, latest))
        ):
            note(f"{kind} with times that are missing, out of order or outside the audio")
    return result


def _filled(found: Sequence[Item], seconds: float, longest: float) -> list[tuple[float, float]]:
    """Start and end of each item. Items without times share the time up to the next known one, each at most `longest`
    seconds."""
    spans: list[tuple[float, float]] = []
    begin, waiting = 0.0, 0  # number of items that share a time, which begins at `begin` and has no end yet

    def share(upto: float) -> None:
        nonlocal begin, waiting
        step = min(longest, max(0.0, upto - begin) / max(1, waiting))
        spans.extend((begin + step * number, begin + step * (number + 1)) for number in range(waiting))
        begin, waiting = upto, 0

    for item in found:
        if item.start is None:
            waiting += 1
            if item.end is not None:
                share(item.end)
            continue
        share(item.start)
        if item.end is None:
            waiting = 1
        else:
            spans.append((min(item.start, item.end), max(item.start, item.end)))
            begin = item.end
    share(seconds)
    return spans


# --- Words -------------------------------------------------------------------------------------


# Scripts without spaces between words. In these, each piece of a text is a word.
UNSPACED = re.compile(f"[{CJK}{CJK_PUNCTUATION}{SOUTHEAST}]")


def whole_words(pieces: Iterable[HeardWord], text: str) -> list[HeardWord]:
    """Join the pieces that the text writes as one word.

    whisper.cpp gives tokens (" cr", "isp") instead of words. Two pieces belong to one word if nothing stands between
    them in the text. Punctuation belongs to the word before it. A piece that the text does not have stays as it is.
    """
    words: list[HeardWord] = []
    parts: list[list[HeardWord]] = []
    at = end = 0
    for piece in pieces:
        spelt = piece.word.strip()
        at = text.find(spelt, end)
        if parts and at == end > 0 and _belongs(words[-1].word.strip(), spelt):
            parts[-1].append(piece)
            words[-1] = _joined(parts[-1])
        else:
            parts.append([piece])
            words.append(piece)
        end = at + len(spelt) if at >= 0 else end
    return words


def _belongs(before: str, spelt: str) -> bool:
    if not before or not spelt:
        return False
    kind = unicodedata.category(spelt[0])
    if kind.startswith("M") or (kind.startswith("P") and kind not in ("Ps", "Pi")):
        return True  # a mark, or punctuation that closes
    return not UNSPACED.match(before[-1]) and not UNSPACED.match(spelt[0])


def _joined(parts: Sequence[HeardWord]) -> HeardWord:
    told = [part.probability for part in parts if part.probability is not None]
    mean = sum(told) / len(told) if told else None
    spelt = parts[0].word + "".join(part.word.strip() for part in parts[1:])
    return replace(parts[0], end=parts[-1].end, word=spelt, probability=mean)
