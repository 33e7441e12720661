"""Finds the words that two texts share, in order. With them a corrected text gets the times of the spoken words.

The method is patience diff (Bram Cohen, 2009): words that occur once in both texts are matched first, in the longest
run that has one order in both; then the parts between them in the same way. It takes O(n log n) steps, and `difflib`
up to O(n³). That matters because people may type 8,000 words in any order.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

# A part with at most so many pairs of words, some 30 x 30, is left to `difflib`. It finds more matches than unique
# words do, and at this size its cost for each word is bounded by a constant.
_FEW = 1_000
# The most levels of parts within parts. Speech needs two or three; a text made to be slow could need thousands.
_DEEPEST = 10


def matches(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of indexes (i, j) with a[i] == b[j], both rising from pair to pair."""
    return sorted(_between(a, b, (0, len(a)), (0, len(b)), _DEEPEST))


def _between(
    a: Sequence[str], b: Sequence[str], part_a: tuple[int, int], part_b: tuple[int, int], levels: int
) -> Iterator[tuple[int, int]]:
    """The pairs of a part of `a` and a part of `b`. A part is its first index and the one after its last."""
    (first_a, last_a), (first_b, last_b) = part_a, part_b
    while first_a < last_a and first_b < last_b and a[first_a] == b[first_b]:
        yield first_a, first_b
        first_a, first_b = first_a + 1, first_b + 1
    while first_a < last_a and first_b < last_b and a[last_a - 1] == b[last_b - 1]:
        last_a, last_b = last_a - 1, last_b - 1
        yield last_a, last_b
    if first_a == last_a or first_b == last_b:
        return
    if (last_a - first_a) * (last_b - first_b) <= _FEW:
        matcher = SequenceMatcher(None, a[first_a:last_a], b[first_b:last_b], autojunk=False)
        for block in matcher.get_matching_blocks():
            for offset in range(block.size):
                yield first_a + block.a + offset, first_b + block.b + offset
    elif levels:
        anchors = _anchors(a, b, range(first_a, last_a), range(first_b, last_b))
        if anchors:
            yield from anchors
            starts = [(first_a, first_b), *((i + 1, j + 1) for i, j in anchors)]
            for (start_a, start_b), (end_a, end_b) in zip(starts, [*anchors, (last_a, last_b)], strict=True):
                yield from _between(a, b, (start_a, end_a), (start_b, end_b), levels - 1)


def _anchors(a: Sequence[str], b: Sequence[str], part_a: range, part_b: range) -> list[tuple[int, int]]:
    """Pairs of words that occur once in each part: the most pairs that have the same order in both parts."""
    counts_a, counts_b = Counter(a[i] for i in part_a), Counter(b[j] for j in part_b)
    place_in_b = {b[j]: j for j in part_b if counts_b[b[j]] == 1}
    pairs = [(i, place_in_b[a[i]]) for i in part_a if counts_a[a[i]] == 1 and a[i] in place_in_b]
    return _longest_rising(pairs)


def _longest_rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """A longest subsequence whose second numbers rise, by patience sorting (Fredman 1975)."""
    piles: list[int] = []  # the smallest second number that ends a run of each length
    ends: list[int] = []  # the index in `pairs` of that end
    before: list[int] = []  # for each pair the index of the one before it in its run, -1 for none
    for index, (_, j) in enumerate(pairs):
        pile = bisect_left(piles, j)
        before.append(ends[pile - 1] if pile else -1)
        piles[pile : pile + 1], ends[pile : pile + 1] = [j], [index]
    result: list[tuple[int, int]] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        result.append(pairs[index])
        index = before[index]
    return result[::-1]
