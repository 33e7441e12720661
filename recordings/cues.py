"""Cutting a text into cues: at most two lines, at the ends of phrases, for as long as the words take.

Lines of 42 characters, or 18 of full width, and 1 to 7 seconds are what broadcasters ask for (Netflix's timed text
guides: 42 for Latin scripts, 16 to 18 for Chinese; at least 5/6 s and at most 7 s per cue).
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from recordings.transcript import Token

LINE = 126  # a line holds 42 Latin characters of width 3, or 18 full-width ones of width 7
LATIN, FULL_WIDTH = LINE // 42, LINE // 18
SHORTEST, LONGEST = 1.0, 7.0  # seconds
PAUSE = 0.4  # seconds of silence that a listener takes for the end of a phrase
SENTENCE_END = tuple(".!?。！？…")
CLAUSE_END = tuple(",;:，；：、—")
CLOSING = "\"'”’)]」』）》】"


@dataclass(frozen=True, slots=True)
class Cue:
    """Seconds of the recording, and one or two lines."""

    start: float
    end: float
    lines: tuple[str, ...]


def cues(stretches: Iterable[Sequence[Token]]) -> list[Cue]:
    """Cues in order, without overlap; none goes across the border of a stretch (a segment's tokens)."""
    return _timed([cue for stretch in stretches for cue in _cut(_short(stretch))])


def _width(text: str) -> int:
    return sum(FULL_WIDTH if unicodedata.east_asian_width(c) in "WF" else LATIN for c in text)


def _short(stretch: Sequence[Token]) -> list[Token]:
    """The tokens, those longer than a line (an address, a script we know no words of) cut into pieces."""
    pieces: list[Token] = []
    for token in stretch:
        text, begin = token.text, token.start
        while _width(text) > LINE:
            size = next(n for n in range(len(text), 0, -1) if _width(text[:n]) <= LINE)
            until = begin + (token.end - begin) * size / len(text)
            pieces.append(Token(text[:size], token.spaced and begin == token.start, begin, until))
            text, begin = text[size:], until
        pieces.append(replace(token, text=text, spaced=token.spaced and begin == token.start, start=begin))
    return pieces


def _cut(stretch: Sequence[Token]) -> list[Cue]:
    """The cheapest way to cut a stretch into cues, found by going through all (dynamic programming)."""
    size = len(stretch)
    ends = [0, *accumulate(_width(t.text) + LATIN * t.spaced for t in stretch)]
    reach = _reach(ends)
    break_costs = [_break_cost(a, b) for a, b in pairwise(stretch)] + [0.0]
    best: list[tuple[float, int]] = [(0.0, 0)] + [(float("inf"), 0)] * size
    for first in range(size):
        for last in range(first, reach[reach[first]]):
            seconds = stretch[last].end - stretch[first].start
            if seconds > LONGEST and last > first:
                break
            cost = best[first][0] + 1 + break_costs[last] + 3 * max(0.0, SHORTEST - seconds)
            if cost < best[last + 1][0]:
                best[last + 1] = (cost, first)
    result: list[Cue] = []
    until = size
    while until > 0:
        first = best[until][1]
        lines = _lines(stretch[first:until])
        result.append(Cue(stretch[first].start, stretch[until - 1].end, lines))
        until = first
    return result[::-1]


def _reach(ends: Sequence[int]) -> list[int]:
    """For each token the index after the last one that fits on a line begun with it. The space before the
    first is counted too: a line may end one character early, never late."""
    result = []
    last = 0
    for first in range(len(ends) - 1):
        while last < len(ends) - 1 and ends[last + 1] - ends[first] <= LINE:
            last += 1
        last = max(last, first + 1)
        result.append(last)
    return [*result, len(ends) - 1]


def _break_cost(before: Token, after: Token) -> float:
    """How much a reader minds a break here; a cue more costs 1."""
    text = before.text.rstrip(CLOSING) or before.text
    if text.endswith(SENTENCE_END):
        return 0.0
    cost = 1.0 if text.endswith(CLAUSE_END) else 3.0
    return cost / 2 if after.start - before.end >= PAUSE else cost


def _lines(cue: Sequence[Token]) -> tuple[str, ...]:
    """One line if it fits, else two of like length that part at the end of a phrase."""
    whole = _text(cue)
    if _width(whole) <= LINE:
        return (whole,)
    halves = [(cue[:n], cue[n:]) for n in range(1, len(cue))]
    fitting = [(a, b) for a, b in halves if max(_width(_text(a)), _width(_text(b))) <= LINE]
    first, second = min(
        fitting,
        key=lambda half: (
            _break_cost(half[0][-1], half[1][0]) + abs(_width(_text(half[0])) - _width(_text(half[1]))) / 30
        ),
    )
    return _text(first), _text(second)


def _text(line: Sequence[Token]) -> str:
    return "".join(f" {token.text}" if token.spaced else token.text for token in line).strip()


def _timed(found: Sequence[Cue]) -> list[Cue]:
    """Cues long enough to read where the neighbours leave room, never over each other."""
    result: list[Cue] = []
    free = 0.0  # where the cue before ends
    for number, cue in enumerate(found):
        limit = found[number + 1].start if number + 1 < len(found) else float("inf")
        start = max(cue.start, free)
        end = min(max(cue.end, start + SHORTEST), max(limit, start), start + LONGEST)
        start = max(free, min(start, end - SHORTEST))
        free = end
        result.append(Cue(start, end, cue.lines))
    return result
