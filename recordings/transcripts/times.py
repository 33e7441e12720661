"""Times for words that have none of their own, or no length: they share the time around them."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

FASTEST = 17.0  # characters a second: nobody reads a faster subtitle (Netflix's timed text guides)
_SHORTEST = 0.02  # seconds: the step of Whisper's times. A shorter word has no length at all

Times = tuple[float, float]  # start and end in seconds


def spread_times(words: Sequence[str], times: Sequence[Times | None], start: float, end: float) -> list[Times]:
    """A time for each word, between `start` and `end`. None: the word has no time yet."""
    return _spread(words, _with_length(words, times, start, end), start, end)


def _with_length(words: Sequence[str], times: Sequence[Times | None], start: float, end: float) -> list[Times | None]:
    """The times, where each run of words without length gets room: all that is behind it, and before it as much as
    reading it takes. Whisper often gives the last words of a passage one and the same moment."""
    result: list[Times | None] = []
    before = start
    while (first := len(result)) < len(words):
        time = times[first]
        if time is None or _has_length(time):
            result.append(time)
            before = time[1] if time else before
            continue
        last = first  # the run goes on while the words have no length, or no time
        while last < len(words) and ((other := times[last]) is None or not _has_length(other)):
            last += 1
        behind = times[last] if last < len(words) else None
        until = behind[0] if behind else end
        needed = sum(map(len, words[first:last])) / FASTEST
        result += _shared(words[first:last], min(time[0], max(before, until - needed)), until)
        before = until
    return result


def _has_length(time: Times) -> bool:
    return time[1] - time[0] >= _SHORTEST


def _spread(words: Sequence[str], times: Sequence[Times | None], start: float, end: float) -> list[Times]:
    """The times without gaps: a run of words without times shares the time between its neighbours."""
    result: list[Times] = []
    run: list[str] = []
    for word, time in zip([*words, ""], [*times, (end, end)], strict=True):
        if time is None:
            run.append(word)
            continue
        result += _shared(run, result[-1][1] if result else start, time[0])
        run.clear()
        result.append(time)
    return result[:-1]


def _shared(words: Sequence[str], start: float, end: float) -> list[Times]:
    """The time from `start` to `end`, shared out by the length of the words."""
    sums = [0, *accumulate(map(len, words))]
    borders = [start + (end - start) * each / max(1, sums[-1]) for each in sums]
    return list(pairwise(borders))
