"""Text as tokens, by which two recognitions of the same speech are compared and put together.

A token is a word with the space before it and the punctuation behind it; in scripts that write no spaces between
words, a grapheme cluster. Nothing is lost: the tokens of a text, joined, are the text.
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
_TOKEN = regex.compile(rf"\s*(?:(?=[{_UNSPACED}]){CLUSTER}|(?:(?![\s{_UNSPACED}])\X)+)")
_LEADING_DOTS = re.compile(r"^(?:\.{2,}|…)\s*")  # Whisper's sign that the speech began before the sound
_SENTENCE_END = re.compile(r"[.!?…。！？｡]['\"”’»)\]」』]*$")
_CLAUSE_END = re.compile(r"[,;:—，；：、､]['\"”’»)\]」』]*$")
_ABBREVIATED = 3  # letters at most in `Mr.`, `Dr.`, `St.`, `etc.`, which end no sentence
_LOOP = 4, 8, 12  # said so many times in a row, and so many tokens together, it is no speech; longest phrase looked for
_WORD_LOOP = re.compile(r"(\S{2,12}?)\1{7,}")  # the same inside of a word: 1-2-2-2-2
_HURRIED = 3, 9.0  # tokens, and tokens a second: fast speech has 6
_AWAY = 3.0  # wrong tokens that a second is worth, when texts are laid side by side: three words are said in it


@dataclass(frozen=True)
class Token:
    """Times are seconds of the session, where the server told them."""

    text: str
    start: float | None = None
    end: float | None = None
    probability: float | None = None

    @cached_property
    def key(self) -> str:
        """What counts when tokens are compared: neither case nor punctuation."""
        return "".join(char for char in unicodedata.normalize("NFKC", self.text).casefold() if _spoken(char))

    @cached_property
    def bare(self) -> str:
        """The text less the punctuation behind it, which Whisper changes until it has heard what follows."""
        end = len(self.text)
        while end and not _spoken(self.text[end - 1]):
            end -= 1
        return self.text[:end]

    @property
    def ends_sentence(self) -> bool:
        abbreviated = len(self.key) <= _ABBREVIATED and self.text.endswith(".") and self.key.isascii()
        return bool(_SENTENCE_END.search(self.text)) and not abbreviated

    @property
    def ends_clause(self) -> bool:
        return self.ends_sentence or bool(_CLAUSE_END.search(self.text))


def _spoken(char: str) -> bool:
    return unicodedata.category(char)[0] in "LMN"  # letters, the marks on them, numbers


def joined(tokens: Sequence[Token]) -> str:
    return "".join(token.text for token in tokens).strip()


def fixed(tokens: Sequence[Token]) -> str:
    """The text of stable tokens that will not change: the last one's punctuation yet may."""
    return ("".join(token.text for token in tokens[:-1]) + tokens[-1].bare).strip() if tokens else ""


def tokens_of(transcript: Transcript, offset: float, end: float) -> list[Token]:
    """The transcript's tokens. Its audio was that from second `offset` of the session to second `end`."""
    text = _LEADING_DOTS.sub("", transcript.text.strip())
    timed, hurried = dict(_timed(transcript.words, text)), list(_hurried(transcript.segments, text))
    found: list[Token] = []
    for match in _TOKEN.finditer(text):
        if any(first < match.end() and last > match.start() for first, last in hurried):
            continue
        inside = [timed[place] for place in range(*match.span()) if place in timed]
        token = Token(
            match[0],
            min(max(offset, offset + inside[0].start), end) if inside else None,
            min(max(offset, offset + inside[-1].end), end) if inside else None,
            min((word.probability for word in inside if word.probability is not None), default=None),
        )
        if found and not token.key:
            found[-1] = replace(found[-1], text=found[-1].text + token.text)
        else:
            found.append(token)
    return found


def _timed(words: Sequence[HeardWord], text: str) -> Iterator[tuple[int, HeardWord]]:
    """For each character of the text the server's word that it is in, with the character's part of the word's time.

    Some servers' words have no punctuation, or are others than the text's; what is not found there is left out.
    """
    at = 0
    for word in words:
        wanted = word.word.strip()
        found = text.find(wanted, at, at + len(wanted) + 40) if wanted else -1
        if found < 0:
            continue
        at = found + len(wanted)
        step = (word.end - word.start) / len(wanted)
        for number in range(len(wanted)):
            start = word.start + number * step
            yield found + number, replace(word, start=start, end=start + step)


def _hurried(segments: Sequence[TranscriptSegment], text: str) -> Iterator[tuple[int, int]]:
    """Segments that are longer than anyone could say in their time, as where they stand in the text: Whisper goes on
    inventing when it has come to the end of the sound."""
    at = 0
    for segment in segments:
        found = text.find(segment.text, at)
        if found < 0:
            continue
        at = found + len(segment.text)
        count = len(_TOKEN.findall(segment.text))
        if count >= _HURRIED[0] and count > _HURRIED[1] * (segment.end - segment.start):
            yield found, at


def agreed(one: Sequence[Token], other: Sequence[Token]) -> int:
    """How many tokens both begin with."""
    pairs = zip(one, other, strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a.key != b.key), min(len(one), len(other)))


def continued(stable: Sequence[Token], heard: Sequence[Token]) -> list[Token]:
    """What was heard, but beginning with what is stable, character for character."""
    if not stable:
        return list(heard)
    reach = _reach(stable, heard)
    last = stable[-1]
    behind = heard[reach - 1] if reach else last
    last = replace(last, text=last.bare + behind.text[len(behind.bare) :])
    return [*stable[:-1], last, *heard[reach:]]


def _reach(stable: Sequence[Token], heard: Sequence[Token]) -> int:
    """How many tokens of what was heard say again what is stable: those with the fewest differences from it.

    Where that leaves a choice, as between two texts that have nothing in common, the word times decide.
    """
    if agreed(stable, heard) == len(stable):
        return len(stable)
    costs = list(range(len(heard) + 1))
    for row, token in enumerate(stable, 1):
        diagonal, costs[0] = costs[0], row
        for column, other in enumerate(heard, 1):
            same = diagonal + (token.key != other.key)
            diagonal = costs[column]
            costs[column] = min(same, diagonal + 1, costs[column - 1] + 1)
    return min(range(len(costs)), key=lambda reach: costs[reach] + _distance(stable, heard, reach))


def _distance(stable: Sequence[Token], heard: Sequence[Token], reach: int) -> float:
    """How far from the end of what is stable the boundary behind `reach` tokens lies."""
    end = stable[-1].end
    if end is not None and reach < len(heard) and (start := heard[reach].start) is not None:
        return _AWAY * max(0.0, end - start)
    if end is not None and reach and (before := heard[reach - 1].end) is not None:
        return _AWAY * max(0.0, before - end)
    return abs(reach - len(stable)) / 100


def whole_words(tokens: Sequence[Token]) -> list[Token]:
    """Without a last word that Whisper itself calls broken off: the sound ended in it."""
    return list(tokens[:-1] if tokens and tokens[-1].text.endswith("-") else tokens)


def without_loops(tokens: Sequence[Token]) -> list[Token]:
    """One of each phrase that comes over and over: Whisper falls into such loops, people do not."""
    times, least, longest = _LOOP
    tokens = [replace(token, text=_WORD_LOOP.sub(r"\1", token.text)) for token in tokens]
    kept: list[Token] = []
    at = 0
    while at < len(tokens):
        for size in range(1, longest + 1):
            phrase = [token.key for token in tokens[at : at + size]]
            count = 1
            while [token.key for token in tokens[at + count * size : at + (count + 1) * size]] == phrase:
                count += 1
            if count >= times and count * size >= least:
                kept.extend(tokens[at : at + size])
                at += count * size
                break
        else:
            kept.append(tokens[at])
            at += 1
    return kept
