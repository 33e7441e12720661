"""A segment cut into sentences, each with its time and the times of its words, as a page shows it."""

import re
from dataclasses import dataclass, field
from typing import Any

from recordings.models import Segment

SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]」』）]*$")
TITLE = re.compile(r"^\W*(?:Mr|Mrs|Ms|Dr|Prof|St|[A-HJ-Z])\.$")  # or an initial: its dot ends no sentence
HAN = re.compile(r"[\u3400-\u9fff]")
CJK_LANGUAGES = ("zh", "yue", "ja", "ko")


@dataclass(frozen=True)
class ReadingLine:
    """A sentence. `words`: for each [offset in `text`, start, end]: UTF-16 units, as browsers count, and seconds."""

    start: float
    end: float
    text: str
    spaced: bool = False  # a space follows
    words: list[list[float]] = field(default_factory=list)


def lines(segment: Segment) -> list[ReadingLine]:
    """The text of the segment, a line for each sentence. One line for all where the words do not fit the text."""
    text = segment.correction if segment.correction is not None else segment.text.strip()
    words = _found(text, segment.words)
    if not words:
        return [ReadingLine(segment.start, segment.end, text)]
    result: list[ReadingLine] = []
    first = 0
    for number, (place, _) in enumerate(words):
        last = number == len(words) - 1
        until = len(text) if last else words[number + 1][0]
        word = text[place:until].rstrip()
        if last or (SENTENCE_END.search(word) and not TITLE.search(word)):
            begin = words[first][0] if first else 0
            result.append(_line(text[begin:until], begin, words[first : number + 1]))
            first = number + 1
    return result


def _found(text: str, words: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Each word with its place in the text. Empty where the text lacks one of them, or has another order."""
    found = []
    at = 0
    for word in words:
        token = word["word"].strip()
        at = text.find(token, at)
        if at < 0:
            return []
        if token:
            found.append((at, word))
        at += len(token)
    return found


def _line(text: str, begin: int, words: list[tuple[int, dict[str, Any]]]) -> ReadingLine:
    times: list[list[float]] = []
    at, offset = 0, 0
    for place, word in words:
        offset += len(text[at : place - begin].encode("utf-16-le")) // 2
        at = place - begin
        times.append([offset, word["start"], word["end"]])
    kept = text.rstrip()
    return ReadingLine(words[0][1]["start"], words[-1][1]["end"], kept, spaced=kept != text, words=times)


def text_language(text: str, spoken: str) -> str:
    """The `lang` attribute for a text, so that Chinese gets its glyphs and line breaks in an English recording too.

    spoken: Whisper's code of the language of the recording, the best guess for all other text.
    """
    if HAN.search(text) and not spoken.startswith(CJK_LANGUAGES):
        return "zh-Hans"
    return {"zh": "zh-Hans", "jw": "jv"}.get(spoken, spoken)  # jw is Whisper's alone: BCP 47 has jv
