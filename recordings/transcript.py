"""The text of a transcription as people read it: corrections in place, and every word with its time."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from recordings.models import Segment

# Scripts written without spaces: kana and Han. Korean has spaces and is read like Latin.
UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
UNSPACED_END = re.compile(rf"[{UNSPACED}，。！？；：、）》」』】〕…”’]\Z")
UNSPACED_START = re.compile(rf"\A[{UNSPACED}（《「『【〔“‘]")

# What a line is never broken inside of: a word of a spaced script with its punctuation, or one unspaced character
# with the brackets that open before it and the marks that close after it (a line begins with no comma: kinsoku).
TOKEN = re.compile(
    rf"[（《「『【〔“‘]*(?:[{UNSPACED}]|[^\s{UNSPACED}（《「『【〔]+)[，。！？；：、）》」』】〕…—～”’,.!?;:)\]]*|\S"
)


@dataclass(frozen=True, slots=True)
class Token:
    """`spaced`: a space stands before it. Times in seconds of the recording."""

    text: str
    spaced: bool
    start: float
    end: float


def shown_text(segment: Segment) -> str:
    """A person's text where there is one, else the machine's; on one line."""
    text = segment.text if segment.correction is None else segment.correction
    return " ".join(text.split())


def join(texts: Iterable[str]) -> str:
    """Texts one after the other, with a space between them unless both sides are of a script without spaces."""
    result = ""
    for text in filter(None, texts):
        close = UNSPACED_END.search(result) and UNSPACED_START.search(text)
        result += text if close or not result else f" {text}"
    return result


def tokens(segment: Segment) -> list[Token]:
    """The shown text with its times: those of the machine's words where the words are still there, and in
    between (what a person wrote, or all of it where the server gave no words) spread by length."""
    text = shown_text(segment)
    found = list(TOKEN.finditer(text))
    words = [match.group() for match in found]
    times: list[tuple[float, float] | None] = [None] * len(found)
    spoken = list(_spoken(segment))
    matcher = SequenceMatcher(None, [key for key, _, _ in spoken], list(map(_key, words)), autojunk=False)
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            _, start, end = spoken[block.a + offset]
            times[block.b + offset] = (start, end)
    spread = _spread(words, times, segment.start, segment.end)
    return [
        Token(match.group(), match.start() > 0 and text[match.start() - 1] == " ", start, end)
        for match, (start, end) in zip(found, spread, strict=True)
    ]


def _spoken(segment: Segment) -> Iterator[tuple[str, float, float]]:
    """The machine's words, cut as the shown text is cut, in order and inside the segment."""
    latest = segment.start
    for word in segment.words:
        pieces = TOKEN.findall(word["word"])
        start = min(max(word["start"], latest), segment.end)
        end = latest = min(max(word["end"], start), segment.end)
        for number, piece in enumerate(pieces):
            step = (end - start) / len(pieces)
            yield _key(piece), start + number * step, start + (number + 1) * step


def _key(word: str) -> str:
    """What makes two words the same: not their case and punctuation, unless they are nothing else."""
    return re.sub(r"[\W_]", "", word).casefold() or word


def _spread(
    words: Sequence[str], times: Sequence[tuple[float, float] | None], start: float, end: float
) -> list[tuple[float, float]]:
    """Fill the gaps in `times`: a run of words without times shares the time between its neighbours."""
    result: list[tuple[float, float]] = []
    run: list[str] = []
    for word, time in zip([*words, ""], [*times, (end, end)], strict=True):
        if time is None:
            run.append(word)
            continue
        begin = result[-1][1] if result else start
        letters = sum(map(len, run))
        for missing in run:
            until = begin + (time[0] - begin) * len(missing) / letters
            letters -= len(missing)
            result.append((begin, until))
            begin = until
        run.clear()
        result.append(time)
    return result[:-1]
