"""Text as words. Two recognitions of the same speech are compared and joined word by word.

A `CaptionWord` is a word with the space before it and the punctuation behind it. In scripts without spaces it is one
grapheme cluster. Nothing is lost: the words of a text, joined, are the text.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import regex

from transcription.answer import HeardWord, Transcript, TranscriptSegment
from transcription.writing import CJK, CJK_PUNCTUATION, CLUSTER, SOUTHEAST

_UNSPACED = CJK + CJK_PUNCTUATION + SOUTHEAST
_WORD = regex.compile(rf"\s*(?:(?=[{_UNSPACED}]){CLUSTER}|(?:(?![\s{_UNSPACED}])\X)+)")
_LEADING_DOTS = re.compile(r"^(?:\.{2,}|…)\s*")  # Whisper writes them where speech began before the sound
_SENTENCE_END = re.compile(r"[.!?…。！？｡]['\"”’»)\]」』]*$")
_CLAUSE_END = re.compile(r"[,;:—，；：、､]['\"”’»)\]」』]*$")
_ABBREVIATION_LETTERS = 3  # at most, as in `Mr.`, `Dr.`, `St.`, `etc.`; they end no sentence
_LOOP_TIMES = 4  # repetitions in a row from which a phrase may be a loop
_LOOP_WORDS = 8  # words that these repetitions have together, at least
_LOOP_PHRASE = 12  # words of the longest phrase that is looked for
_LOOP_INSIDE_WORD = re.compile(r"(\S{2,12}?)\1{7,}")  # as in 1-2-2-2-2-2-2-2-2
_RUSHED_WORDS = 3  # words of the shortest segment that can be judged by its speed
_RUSHED_SPEED = 9.0  # words a second; fast speech has 6
_SECOND_IN_WORDS = 3.0  # a second of difference in time weighs as much as three wrong words: people say three in it


@dataclass(frozen=True)
class CaptionWord:
    """A word of a caption. Times are seconds of the session; None where the server did not tell them."""

    text: str
    start: float | None = None
    end: float | None = None
    probability: float | None = None

    @cached_property
    def key(self) -> str:
        """The text without case and punctuation. Words with the same key are the same word."""
        return "".join(char for char in unicodedata.normalize("NFKC", self.text).casefold() if _spoken(char))

    @cached_property
    def bare(self) -> str:
        """The text without the punctuation behind it, which Whisper changes until it has heard the next words."""
        end = len(self.text)
        while end and not _spoken(self.text[end - 1]):
            end -= 1
        return self.text[:end]

    @property
    def ends_sentence(self) -> bool:
        abbreviated = len(self.key) <= _ABBREVIATION_LETTERS and self.text.endswith(".") and self.key.isascii()
        return bool(_SENTENCE_END.search(self.text)) and not abbreviated

    @property
    def ends_clause(self) -> bool:
        return self.ends_sentence or bool(_CLAUSE_END.search(self.text))


def _spoken(char: str) -> bool:
    return unicodedata.category(char)[0] in "LMN"  # letters, marks on letters, numbers


def joined(words: Sequence[CaptionWord]) -> str:
    return "".join(word.text for word in words).strip()


def fixed(words: Sequence[CaptionWord]) -> str:
    """The text of stable words, without the punctuation behind the last one, which may still change."""
    return ("".join(word.text for word in words[:-1]) + words[-1].bare).strip() if words else ""


def caption_words(transcript: Transcript, offset: float, end: float) -> list[CaptionWord]:
    """The words of a transcript. `offset` and `end`: the seconds of the session that its sound begins and ends at."""
    text = _LEADING_DOTS.sub("", transcript.text.strip())
    timed, rushed = dict(_timed(transcript.words, text)), list(_rushed(transcript.segments, text))
    found: list[CaptionWord] = []
    for match in _WORD.finditer(text):
        if any(first < match.end() and last > match.start() for first, last in rushed):
            continue
        heard = [timed[place] for place in range(*match.span()) if place in timed]
        word = CaptionWord(
            match[0],
            min(max(offset, offset + heard[0].start), end) if heard else None,
            min(max(offset, offset + heard[-1].end), end) if heard else None,
            min((part.probability for part in heard if part.probability is not None), default=None),
        )
        if found and not word.key:
            found[-1] = replace(found[-1], text=found[-1].text + word.text)
        else:
            found.append(word)
    return found


def _timed(heard: Sequence[HeardWord], text: str) -> Iterator[tuple[int, HeardWord]]:
    """For each character of the text: its place, and the server's word around it with this character's part of the
    word's time. The words of some servers lack punctuation or differ from the text; words not found are left out."""
    at = 0
    for word in heard:
        wanted = word.word.strip()
        found = text.find(wanted, at, at + len(wanted) + 40) if wanted else -1
        if found < 0:
            continue
        at = found + len(wanted)
        step = (word.end - word.start) / len(wanted)
        for number in range(len(wanted)):
            start = word.start + number * step
            yield found + number, replace(word, start=start, end=start + step)


def _rushed(segments: Sequence[TranscriptSegment], text: str) -> Iterator[tuple[int, int]]:
    """Where in the text stand segments with more words than anyone can say in their time.

    Whisper invents such segments after the end of the sound.
    """
    at = 0
    for segment in segments:
        found = text.find(segment.text, at)
        if found < 0:
            continue
        at = found + len(segment.text)
        count = len(_WORD.findall(segment.text))
        if count >= _RUSHED_WORDS and count > _RUSHED_SPEED * (segment.end - segment.start):
            yield found, at


def agreed(one: Sequence[CaptionWord], other: Sequence[CaptionWord]) -> int:
    """The number of words that both begin with."""
    pairs = zip(one, other, strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a.key != b.key), min(len(one), len(other)))


def continued(stable: Sequence[CaptionWord], heard: Sequence[CaptionWord]) -> list[CaptionWord]:
    """The stable words, unchanged, followed by those of `heard` that come after them."""
    if not stable:
        return list(heard)
    reach = _reach(stable, heard)
    last = stable[-1]
    behind = heard[reach - 1] if reach else last
    last = replace(last, text=last.bare + behind.text[len(behind.bare) :])
    return [*stable[:-1], last, *heard[reach:]]


def _reach(stable: Sequence[CaptionWord], heard: Sequence[CaptionWord]) -> int:
    """The number of words of `heard` that repeat the stable ones: the prefix with the smallest edit distance to them.

    Between prefixes with (nearly) the same distance, as in texts that have nothing in common, the word times decide.
    """
    if agreed(stable, heard) == len(stable):
        return len(stable)
    costs = list(range(len(heard) + 1))
    for row, word in enumerate(stable, 1):
        diagonal, costs[0] = costs[0], row
        for column, other in enumerate(heard, 1):
            same = diagonal + (word.key != other.key)
            diagonal = costs[column]
            costs[column] = min(same, diagonal + 1, costs[column - 1] + 1)
    return min(range(len(costs)), key=lambda reach: costs[reach] + _distance(stable, heard, reach))


def _distance(stable: Sequence[CaptionWord], heard: Sequence[CaptionWord], reach: int) -> float:
    """The time between the end of the stable words and the boundary behind `reach` words of `heard`, as a cost."""
    end = stable[-1].end
    if end is not None and reach < len(heard) and (start := heard[reach].start) is not None:
        return _SECOND_IN_WORDS * max(0.0, end - start)
    if end is not None and reach and (before := heard[reach - 1].end) is not None:
        return _SECOND_IN_WORDS * max(0.0, before - end)
    return abs(reach - len(stable)) / 100


def whole_words(words: Sequence[CaptionWord]) -> list[CaptionWord]:
    """All words, except a last one that ends with a hyphen: the sound ended inside of it, and Whisper says so."""
    return list(words[:-1] if words and words[-1].text.endswith("-") else words)


def without_loops(words: Sequence[CaptionWord]) -> list[CaptionWord]:
    """Keep one of each phrase that is repeated over and over. Whisper makes such loops, people do not."""
    words = [replace(word, text=_LOOP_INSIDE_WORD.sub(r"\1", word.text)) for word in words]
    kept: list[CaptionWord] = []
    at = 0
    while at < len(words):
        for size in range(1, _LOOP_PHRASE + 1):
            phrase = [word.key for word in words[at : at + size]]
            count = 1
            while [word.key for word in words[at + count * size : at + (count + 1) * size]] == phrase:
                count += 1
            if count >= _LOOP_TIMES and count * size >= _LOOP_WORDS:
                kept.extend(words[at : at + size])
                at += count * size
                break
        else:
            kept.append(words[at])
            at += 1
    return kept
