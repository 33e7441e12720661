"""The words of a segment as people read them: corrections in place, and each with its time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

import regex
from budoux import Parser, load_default_thai_parser

from recordings.models import Segment
from recordings.transcripts.alignment import matches
from recordings.transcripts.times import Times, spread_times
from transcription.writing import CJK, CLUSTER, SOUTHEAST

_OPENING, _CLOSING = "（《「『【〔“‘", "，。！？；：、）》」』】〕…—～”’,.!?;:)\\]"
_UNSPACED = CJK + SOUTHEAST

# A unit, inside of which no line is broken: a word of a spaced script with its punctuation, or one letter (a grapheme
# cluster, with its marks) of an unspaced script. Opening brackets before it and closing punctuation after it belong to
# it (kinsoku: no line begins with a comma).
_UNIT = regex.compile(
    rf"[{_OPENING}]{{0,4}}(?:(?=[{_UNSPACED}]){CLUSTER}|(?:(?![\s{_UNSPACED}{_OPENING}])\X)+)[{_CLOSING}]*|(?!\s)\X"
)
_THAI = regex.compile(r"[\u0e00-\u0e7f]")
_PUNCTUATION = regex.compile(r"[\W_]")


@dataclass(frozen=True, slots=True)
class ShownWord:
    """A word as it is read. `spaced`: a space stands before it. Times in seconds of the recording."""

    text: str
    spaced: bool
    start: float
    end: float


def written_text(segment: Segment) -> str:
    """The text as a person edits it, line breaks included."""
    return segment.text.strip() if segment.correction is None else segment.correction


def shown_text(segment: Segment) -> str:
    """The correction where there is one, else the text of the machine; on one line."""
    text = segment.text if segment.correction is None else segment.correction
    return " ".join(text.split())


def shown_words(segment: Segment) -> list[ShownWord]:
    """The words of the shown text in order, with times inside the segment.

    A word that the machine heard too has the machine's time. The other words share the time that is left around them:
    words that a person wrote, words to which Whisper gave no length, and all words where the server gave none.
    """
    text = shown_text(segment)
    found = list(_UNIT.finditer(text))
    units = [match[0] for match in found]
    spoken = list(_spoken(segment))
    times: list[Times | None] = [None] * len(units)
    for i, j in matches([key for key, _ in spoken], list(map(_key, units))):
        times[j] = spoken[i][1]
    spread = spread_times(units, times, segment.start, segment.end)
    return _words(
        [
            ShownWord(match[0], match.start() > 0 and text[match.start() - 1] == " ", start, end)
            for match, (start, end) in zip(found, spread, strict=True)
        ]
    )


def heard_words(segment: Segment) -> list[dict[str, Any]]:
    """The words of the machine, with times inside the segment: a person may have moved its borders since."""
    start, end = segment.start, segment.end
    return [
        word
        if start <= word["start"] and word["end"] <= end
        else word | {"start": min(max(word["start"], start), end), "end": min(max(word["end"], start), end)}
        for word in segment.words
    ]


def has_heard_words(segment: Segment) -> bool:
    """Whether the shown text has a word in it that the machine heard too, and so a word whose time is known."""
    heard = {key for key, _ in _spoken(segment)}
    return any(_key(unit) in heard for unit in _UNIT.findall(shown_text(segment)))


def border_in(text: str, first: str, second: str) -> int:
    """The place in the machine's text that corresponds to the border between these two texts, which people have made of
    it. It lies before a word, or inside of one only where `first` ends in the middle of the same word."""
    left = len("".join(first.split()))
    if "".join((first + second).split()) == "".join(text.split()):
        ends = accumulate(not character.isspace() for character in text)
        return next((place for place, letters in enumerate(ends, 1) if letters == left), len(text))
    heard = list(_UNIT.finditer(text))
    heads, tails = [list(map(_key, _UNIT.findall(part))) for part in (first, second)]
    pairs = matches([_key(match[0]) for match in heard], heads + tails)
    last = max((pair for pair in pairs if pair[1] < len(heads)), default=(-1, -1))
    following = min((pair for pair in pairs if pair[1] >= len(heads)), default=(len(heard), len(heads) + len(tails)))
    # The words between the two were heard otherwise. They are shared out as those are that people wrote there.
    ours, theirs = len(heads) - 1 - last[1], following[1] - len(heads)
    share = ours / (ours + theirs) if ours + theirs else 0
    word = last[0] + 1 + round((following[0] - last[0] - 1) * share)
    return heard[word].start() if word < len(heard) else len(text)


def _spoken(segment: Segment) -> Iterator[tuple[str, Times]]:
    """The words of the machine, cut into units as the shown text is, with their times in order inside the segment."""
    latest = segment.start
    for word in segment.words:
        units = _UNIT.findall(word["word"])
        start = min(max(word["start"], latest), segment.end)
        end = latest = min(max(word["end"], start), segment.end)
        step = (end - start) / max(1, len(units))
        for number, unit in enumerate(units):
            yield _key(unit), (start + number * step, start + (number + 1) * step)


def _key(word: str) -> str:
    """The form in which two words are compared: letters without case, or the punctuation of a word without letters."""
    return _PUNCTUATION.sub("", word).casefold() or word


def _words(found: Sequence[ShownWord]) -> list[ShownWord]:
    """The units, with Thai letters joined to words: readers of Thai mind a line that is cut inside of a word."""
    result: list[ShownWord] = []
    run: list[ShownWord] = []
    for word in [*found, None]:
        if word and _THAI.search(word.text) and not (run and word.spaced):
            run.append(word)
            continue
        result += _thai_words(run)
        run = [word] if word and _THAI.search(word.text) else []
        result += [word] if word and not run else []
    return result


def _thai_words(run: Sequence[ShownWord]) -> Iterator[ShownWord]:
    """The words of a run of Thai letters, found by Google's BudouX. Each is a whole number of the letters."""
    if not run:
        return
    ends = set(accumulate(map(len, _thai().parse("".join(word.text for word in run)))))
    first = length = 0
    for number, word in enumerate(run, 1):
        length += len(word.text)
        if length in ends or number == len(run):
            letters = run[first:number]
            text = "".join(each.text for each in letters)
            yield ShownWord(text, letters[0].spaced, letters[0].start, letters[-1].end)
            first = number


@cache
def _thai() -> Parser:
    return load_default_thai_parser()
