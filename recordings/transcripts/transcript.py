"""The text of a transcription as people read it: corrections in place, and every word with its time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise

import regex
from budoux import Parser, load_default_thai_parser

from recordings.models import Segment
from recordings.transcripts.alignment import matches
from transcription.writing import CJK, CLUSTER, SOUTHEAST

_OPENING, _CLOSING = "（《「『【〔“‘", "，。！？；：、）》」』】〕…—～”’,.!?;:)\\]"
_UNSPACED = CJK + SOUTHEAST

# What a line is never broken inside of: a word of a spaced script with its punctuation, or one letter of an unspaced
# one (a grapheme cluster: with its marks), with the brackets that open before it and the punctuation that closes after
# it (kinsoku: a line begins with no comma).
_UNIT = regex.compile(
    rf"[{_OPENING}]{{0,4}}(?:(?=[{_UNSPACED}]){CLUSTER}|(?:(?![\s{_UNSPACED}{_OPENING}])\X)+)[{_CLOSING}]*|(?!\s)\X"
)
_THAI = regex.compile(r"[\u0e00-\u0e7f]")
_PUNCTUATION = regex.compile(r"[\W_]")

FASTEST = 17.0  # characters a second: more than that of a subtitle nobody reads (Netflix's timed text guides)

# Seconds: the step of Whisper's times. A word that is shorter has no length at all.
_SHORTEST = 0.02

Times = tuple[float, float]


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


def tokens(segment: Segment) -> list[Token]:
    """The shown text as words with their times, in order, inside the segment.

    A word that the machine heard too has the machine's time. The others (those that a person wrote, all of them where
    the server gave no words, and those to which Whisper gave no length) share the time that is left around them.
    """
    text = shown_text(segment)
    found = list(_UNIT.finditer(text))
    units = [match[0] for match in found]
    spoken = list(_spoken(segment))
    times: list[Times | None] = [None] * len(units)
    for i, j in matches([key for key, _ in spoken], list(map(_key, units))):
        times[j] = spoken[i][1]
    spread = _spread(units, _with_length(units, times, segment.start, segment.end), segment.start, segment.end)
    return _words(
        [
            Token(match[0], match.start() > 0 and text[match.start() - 1] == " ", start, end)
            for match, (start, end) in zip(found, spread, strict=True)
        ]
    )


def _spoken(segment: Segment) -> Iterator[tuple[str, Times]]:
    """The machine's words as units with their times, cut as the shown text is, in order and inside the segment."""
    latest = segment.start
    for word in segment.words:
        units = _UNIT.findall(word["word"])
        start = min(max(word["start"], latest), segment.end)
        end = latest = min(max(word["end"], start), segment.end)
        step = (end - start) / max(1, len(units))
        for number, unit in enumerate(units):
            yield _key(unit), (start + number * step, start + (number + 1) * step)


def _key(word: str) -> str:
    """What two words must share to be the same: the letters, in any case; the punctuation where it is all they have."""
    return _PUNCTUATION.sub("", word).casefold() or word


def _with_length(units: Sequence[str], times: Sequence[Times | None], start: float, end: float) -> list[Times | None]:
    """The times, in which every run of words without length gets the room behind it, and as much of the room before it
    as reading it takes: Whisper often gives the last words of a passage all the same moment."""
    result: list[Times | None] = []
    before = start
    while (first := len(result)) < len(units):
        time = times[first]
        if time is None or _has_length(time):
            result.append(time)
            before = time[1] if time else before
            continue
        last = first  # the run goes on while the words have no length, or no time
        while last < len(units) and ((other := times[last]) is None or not _has_length(other)):
            last += 1
        behind = times[last] if last < len(units) else None
        until = behind[0] if behind else end
        needed = sum(map(len, units[first:last])) / FASTEST
        result += _shared(units[first:last], min(time[0], max(before, until - needed)), until)
        before = until
    return result


def _has_length(time: Times) -> bool:
    return time[1] - time[0] >= _SHORTEST


def _spread(units: Sequence[str], times: Sequence[Times | None], start: float, end: float) -> list[Times]:
    """Fill the gaps in `times`: a run of units without times shares the time between its neighbours."""
    result: list[Times] = []
    run: list[str] = []
    for unit, time in zip([*units, ""], [*times, (end, end)], strict=True):
        if time is None:
            run.append(unit)
            continue
        result += _shared(run, result[-1][1] if result else start, time[0])
        run.clear()
        result.append(time)
    return result[:-1]


def _shared(units: Sequence[str], start: float, end: float) -> list[Times]:
    """The time from `start` to `end`, shared out by length."""
    sums = [0, *accumulate(map(len, units))]
    borders = [start + (end - start) * each / max(1, sums[-1]) for each in sums]
    return list(pairwise(borders))


def _words(found: Sequence[Token]) -> list[Token]:
    """Thai letters joined to words, since a reader minds a cut inside of one; other scripts' units as they are."""
    result: list[Token] = []
    run: list[Token] = []
    for token in [*found, None]:
        if token and _THAI.search(token.text) and not (run and token.spaced):
            run.append(token)
            continue
        result += _thai_words(run)
        run = [token] if token and _THAI.search(token.text) else []
        result += [token] if token and not run else []
    return result


def _thai_words(run: Sequence[Token]) -> Iterator[Token]:
    """The words that a run of Thai letters makes, by Google's BudouX; each is a whole number of the run's letters."""
    if not run:
        return
    ends = set(accumulate(map(len, _thai().parse("".join(token.text for token in run)))))
    first = length = 0
    for number, token in enumerate(run, 1):
        length += len(token.text)
        if length in ends or number == len(run):
            word = run[first:number]
            yield Token("".join(each.text for each in word), word[0].spaced, word[0].start, word[-1].end)
            first = number


@cache
def _thai() -> Parser:
    return load_default_thai_parser()
