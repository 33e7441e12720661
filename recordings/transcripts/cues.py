"""Cuts a text into cues of one or two lines. A cue ends where a phrase ends, and lasts while its words are spoken.

Lines of 42 characters, or 18 of full width, and 1 to 7 seconds are what broadcasters ask for (Netflix's timed text
guides: 42 for Latin scripts, 16 to 18 for Chinese; at least 5/6 s and at most 7 s per cue). A line is cut and measured
by grapheme clusters: a letter with its marks, or an emoji, is one.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise

from recordings.transcripts.times import FASTEST
from recordings.transcripts.words import ShownWord
from transcription.writing import clusters

LINE = 126  # a line holds 42 Latin characters of width 3, or 18 full-width ones of width 7
LATIN, FULL_WIDTH = LINE // 42, LINE // 18
SHORTEST, LONGEST = 1.0, 7.0  # seconds
CROWDED = 0.2  # seconds: a shorter cue cannot be read
BRIEFEST = 0.04  # seconds, of a cue without room: one picture at 25 a second; players do not show a shorter cue
PAUSE = 0.4  # seconds of silence that a listener takes for the end of a phrase
SENTENCE_END = tuple(".!?。！？…")
CLAUSE_END = tuple(",;:，；：、—")
EMOJI_MADE = {"\ufe0f", *map(chr, range(0x1F1E6, 0x1F200))}  # make an emoji: the variation selector, letters of flags
CLOSING = "\"'”’)]」』）》】"


@dataclass(frozen=True, slots=True)
class Cue:
    """The unit of a subtitle file: its start and end in seconds of the recording, and its one or two lines."""

    start: float
    end: float
    lines: tuple[str, ...]


def cues(stretches: Iterable[Sequence[ShownWord]]) -> list[Cue]:
    """The cues of all stretches, in order and without overlap. A stretch is the words of a segment: no cue has words of
    two."""
    return _timed([cue for stretch in stretches for cue in _cut(list(_short(stretch)))])


def _room(word: ShownWord) -> int:
    """The width of a word within a line, with the space before it."""
    return _width(word.text) + LATIN * word.spaced


def _width(text: str) -> int:
    return LATIN * len(text) if text.isascii() else sum(map(_cluster_width, clusters(text)))


def _cluster_width(cluster: str) -> int:
    """FULL_WIDTH for ideographs and emoji, also for emoji made by a variation selector or by the letters of a flag."""
    wide = any(unicodedata.east_asian_width(c) in "WF" or c in EMOJI_MADE for c in cluster)
    return FULL_WIDTH if wide else LATIN


def _short(stretch: Iterable[ShownWord]) -> Iterator[ShownWord]:
    """The words, with each that is longer than a line cut into pieces (an address, words that we cannot tell apart)."""
    for word in stretch:
        if _width(word.text) <= LINE:
            yield word
            continue
        lines = list(_lines_of(word.text))
        begin, step = word.start, (word.end - word.start) / len(word.text)
        for number, line in enumerate(lines):
            until = begin + step * len(line)
            yield ShownWord(line, word.spaced and number == 0, begin, until)
            begin = until


def _lines_of(text: str) -> Iterator[str]:
    line: list[str] = []
    width = 0
    for cluster in clusters(text):
        width += _cluster_width(cluster)
        if width > LINE:
            yield "".join(line)
            line, width = [], _cluster_width(cluster)
        line.append(cluster)
    yield "".join(line)


def _cut(stretch: Sequence[ShownWord]) -> list[Cue]:
    """The cues of a stretch: the cheapest of all cuts, found by dynamic programming."""
    size = len(stretch)
    ends = [0, *accumulate(map(_room, stretch))]
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
    """For each word, the index after the last word that fits on a line that begins with it. The space before the
    first word is counted too: a line may end one character early, never late."""
    result = []
    last = 0
    for first in range(len(ends) - 1):
        while last < len(ends) - 1 and ends[last + 1] - ends[first] <= LINE:
            last += 1
        last = max(last, first + 1)
        result.append(last)
    return [*result, len(ends) - 1]


def _break_cost(before: ShownWord, after: ShownWord) -> float:
    """The cost of a break between two words: how much it disturbs a reader. One more cue costs 1."""
    text = before.text.rstrip(CLOSING) or before.text
    if text.endswith(SENTENCE_END):
        return 0.0
    cost = 1.0 if text.endswith(CLAUSE_END) else 3.0
    return cost / 2 if after.start - before.end >= PAUSE else cost


def _lines(cue: Sequence[ShownWord]) -> tuple[str, ...]:
    """The text of a cue as one line if it fits, else as two of similar length, the first of which ends a phrase."""
    ends = [0, *accumulate(map(_room, cue))]
    whole = ends[-1] - LATIN * cue[0].spaced
    if whole <= LINE:
        return (_text(cue),)
    best, border = float("inf"), 1
    for n in range(1, len(cue)):
        first, second = ends[n] - LATIN * cue[0].spaced, ends[-1] - ends[n] - LATIN * cue[n].spaced
        cost = _break_cost(cue[n - 1], cue[n]) + abs(first - second) / 30
        if max(first, second) <= LINE and cost < best:
            best, border = cost, n
    return _text(cue[:border]), _text(cue[border:])


def _text(line: Sequence[ShownWord]) -> str:
    return "".join(f" {word.text}" if word.spaced else word.text for word in line).strip()


def _timed(found: Sequence[Cue]) -> list[Cue]:
    """The cues, extended until they can be read, as far as their neighbours leave room. Cues never overlap, and each is
    at least BRIEFEST long: where there is no room at all, a cue moves the cues after it back."""
    roomy = list(_with_room(found))
    result: list[Cue] = []
    free = 0.0  # the end of the cue before
    for number, cue in enumerate(roomy):
        limit = roomy[number + 1].start if number + 1 < len(roomy) else float("inf")
        start = max(cue.start, free)
        end = min(max(cue.end, start + SHORTEST), max(limit, start), start + LONGEST)
        start = max(free, min(start, end - SHORTEST))
        free = end = max(end, start + BRIEFEST)
        result.append(Cue(start, end, cue.lines))
    return result


def _with_room(found: Sequence[Cue]) -> Iterator[Cue]:
    """The cues, but neighbours that are shorter than CROWDED share the time up to the next cue, and take no more of it
    than reading them needs."""
    for crowded, group in groupby(enumerate(found), lambda each: each[1].end - each[1].start < CROWDED):
        run = list(group)
        if not crowded:
            yield from (cue for _, cue in run)
            continue
        start, behind = run[0][1].start, run[-1][0] + 1
        sums = [0, *accumulate(sum(map(len, cue.lines)) for _, cue in run)]
        until = min(start + sums[-1] / FASTEST, found[behind].start if behind < len(found) else float("inf"))
        borders = [start + max(0.0, until - start) * each / sums[-1] for each in sums]
        for (_, cue), (begin, end) in zip(run, pairwise(borders), strict=True):
            yield Cue(begin, end, cue.lines)
