"""A hit: the place in a segment's text where it has what was searched for, with the words around it and its moment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from recordings.models import Segment
from recordings.search.query import Query
from recordings.transcripts.sentences import ReadingLine, lines
from recordings.transcripts.words import written_text
from transcription.writing import head, tail

BEFORE, LONGEST = 60, 240  # characters that are shown: before the first match, and from there on
LEAD = 1.0  # seconds that are heard before a match: whoever starts in the middle of a word understands none


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text that is shown. `found`: it is what was searched for."""

    text: str
    found: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """segment: the one that has it. start: the moment from which to listen, in seconds. word: the first match."""

    segment: Segment
    start: float
    pieces: list[Piece]
    word: str

    @classmethod
    def of(cls, segment: Segment, query: Query) -> Self:
        """The sentence of the segment that has most of the query's terms, and of these the first."""
        text = written_text(segment)
        places = query.places(text)
        begin, end, line = max(
            _placed(text, lines(segment)),
            key=lambda one: len({term for at, _, term in places if one[0] <= at < one[1]}),
        )
        inside = [(max(at, begin), until) for at, until, _ in places if begin <= at < end]
        if not inside:  # only the database finds one, whose letters differ from Python's
            return cls(segment, line.start, [Piece(head(_flat(text[begin:end]), LONGEST), False)], query.typed)
        first, last = inside[0], inside[-1]
        shown = _marked(text, begin, max(end, last[1]), inside)
        return cls(segment, _moment(line, text[begin : first[0]]), shown, text[first[0] : first[1]])


def marked(text: str, query: Query) -> list[Piece]:
    """The whole text, with what was searched for marked in it."""
    return list(_cut(text, 0, len(text), [(at, until) for at, until, _ in query.places(text)]))


def _placed(text: str, cut: Sequence[ReadingLine]) -> Iterator[tuple[int, int, ReadingLine]]:
    """The sentences with the places of their text: [begin, end)."""
    at = 0
    for line in cut:
        begin = text.find(line.text, at)
        at = begin + len(line.text)
        yield begin, at, line


def _moment(line: ReadingLine, before: str) -> float:
    """The time of the word after `before`, with a little lead, but not before the sentence."""
    offset = len(before.encode("utf-16-le")) // 2
    spoken = [start for place, start, _ in line.words if place <= offset]
    return max(line.start, spoken[-1] - LEAD) if spoken else line.start


def _marked(text: str, begin: int, end: int, places: list[tuple[int, int]]) -> list[Piece]:
    first = places[0][0]
    before = text[begin:first]
    if len(before) > BEFORE:
        before = "…" + tail(before, BEFORE)
    rest = text[first:end]
    cut = first + len(head(rest, LONGEST)) if len(rest) > LONGEST else end
    pieces = [Piece(_flat(before), False)] if before else []
    pieces += _cut(text, first, cut, [place for place in places if place[1] <= cut] or [(first, cut)])
    return [*pieces, Piece("…", False)] if cut < end else pieces


def _cut(text: str, begin: int, end: int, places: list[tuple[int, int]]) -> Iterator[Piece]:
    at = begin
    for start, until in places:
        if start > at:
            yield Piece(_flat(text[at:start]), False)
        yield Piece(_flat(text[start:until]), True)
        at = until
    if at < end:
        yield Piece(_flat(text[at:end]), False)


def _flat(text: str) -> str:
    return text.replace("\n", " ")
