"""A segment cut into sentences, each with its time and the times of its words, as a page shows it."""

import re
from dataclasses import dataclass, field
from typing import Any

from recordings.models import Segment
from recordings.transcripts.words import has_heard_words, heard_words, shown_words, written_text

SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]」』）]*$")
TITLE = re.compile(r"^\W*(?:Mr|Mrs|Ms|Dr|Prof|St|[A-HJ-Z])\.$")  # or an initial: its dot ends no sentence
# A word of a lower probability is shaded. Measured with `base` on clips that are hard for it (bench/uncertain): a tenth
# of the words are below, and five of six of these are wrong. Below 0.7 stands more than a quarter, and four of ten of
# these are right: people stop looking. It is a hint, no proof: three of four wrong words have a higher probability.
UNSURE = 0.5
HAN = re.compile(r"[\u3400-\u9fff]")
CJK_LANGUAGES = ("zh", "yue", "ja", "ko")


@dataclass(frozen=True)
class ReadingLine:
    """A sentence. Offsets in `text` are UTF-16 units, as browsers count.

    words: for each its offset, and its start and end in seconds.
    unsure: the offsets at which each run of words begins and ends that the machine may have misheard. None in a text
    that a person wrote.
    """

    start: float
    end: float
    text: str
    gap: str = ""  # between it and the next one: a space, or a line break that a person made
    words: list[list[float]] = field(default_factory=list)
    unsure: list[list[int]] = field(default_factory=list)


def lines(segment: Segment) -> list[ReadingLine]:
    """The text of the segment, a line for each sentence. One line for all where its words have no times, or do not fit
    the text."""
    text = written_text(segment)
    words = _found(text, _words(segment))
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
            result.append(_line(text[begin:until], begin, words[first : number + 1], segment.correction is None))
            first = number + 1
    return result


def _words(segment: Segment) -> list[dict[str, Any]]:
    """The words of the text with their times. Those that a person wrote share the time between those that were heard;
    where a person wrote all of them, their times would be guesses, and there are none."""
    if segment.correction is None:
        return heard_words(segment)
    if not has_heard_words(segment):
        return []
    return [
        {"word": word.text, "start": round(word.start, 3), "end": round(word.end, 3)} for word in shown_words(segment)
    ]


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


def _line(text: str, begin: int, words: list[tuple[int, dict[str, Any]]], machines: bool) -> ReadingLine:
    """A sentence of these words. machines: nobody has corrected the text."""
    times: list[list[float]] = []
    unsure: list[list[int]] = []
    at, offset, doubted = 0, 0, False
    for place, word in words:
        offset += _units(text[at : place - begin])
        at = place - begin
        times.append([offset, word["start"], word["end"]])
        before, doubted = doubted, machines and _doubtful(word)
        if doubted:
            end = offset + _units(word["word"].strip())
            if before:
                unsure[-1][1] = end
            else:
                unsure.append([offset, end])
    kept = text.rstrip()
    return ReadingLine(words[0][1]["start"], words[-1][1]["end"], kept, text[len(kept) :], times, unsure)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _doubtful(word: dict[str, Any]) -> bool:
    probability = word.get("probability")
    return probability is not None and probability < UNSURE and any(map(str.isalnum, word["word"]))


def text_language(text: str, spoken: str) -> str:
    """The `lang` attribute for a text, so that Chinese gets its glyphs and line breaks in an English recording too.

    spoken: Whisper's code of the language of the recording, the best guess for all other text.
    """
    if HAN.search(text) and not spoken.startswith(CJK_LANGUAGES):
        return "zh-Hans"
    return {"zh": "zh-Hans", "jw": "jv"}.get(spoken, spoken)  # jw is Whisper's alone: BCP 47 has jv
