"""Cuts a stream of sound into stretches of speech of at most `max_seconds`, by the probability of speech.

Whisper computes 30 s at a time and takes nearly as long for 3 s as for 30, so stretches are filled up. It also needs
whole phrases, so cuts are at pauses. The rules:

1. A run of speech is a row of windows above `_MAYBE` of which one is above `_SPEECH`, at least
   `_SHORTEST` long. Two thresholds, because one alone either cuts the soft ends of words off or takes
   noise for speech.
2. A stretch begins `_PADDING` before a run of speech: Whisper loses a first word that begins at once.
   Silence before it is dropped.
3. It ends `_PADDING` after the last run that is followed by a long silence (`_LONG`). That silence is
   dropped: on it Whisper invents text.
4. Shorter pauses stay in it, until it would grow longer than allowed. Then it ends at the best pause so
   far: the longest, but a later one is preferred to a slightly longer one (`_EAGERNESS`), and beyond
   `_ENOUGH` longer is no better. Half a pause goes to either side, at most `_PADDING`.
5. Speech without any pause ends at the quietest moment of the last `_REACH`: most likely between two
words.

Stretches never overlap and together hold every run of speech. What is decided depends on the sound alone,
never on the size of the pieces it came in: the same file gives the same stretches again, which is how a
broken-off job goes on.

Within a stretch, the speech between two pauses of `_BREATH` is an utterance: the smallest part that can be
heard by itself.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from transcription.audio.vad import RATE, WINDOW

Samples = npt.NDArray[np.int16]
Probabilities = npt.NDArray[np.float32]


def _windows(seconds: float) -> int:
    return round(seconds * RATE / WINDOW)


_SPEECH, _MAYBE = 0.5, 0.35  # Silero's own defaults
_SHORTEST = _windows(0.1)
_PADDING = _windows(0.2)
_LONG = _windows(5.0)
_ENOUGH = _windows(0.6)
_EAGERNESS = 0.03  # seconds of pause that one second nearer to the end is worth
_REACH = _windows(10.0)
_AHEAD = _windows(1.0)  # how far behind the longest stretch we look, to see a pause there whole
_BREATH = _windows(0.3)


class Cut(NamedTuple):
    """One stretch: index of its first sample in the stream, samples, and utterances in seconds from its start."""

    first: int
    samples: Samples
    utterances: tuple[tuple[float, float], ...]


class Segmenter:
    """Cuts one stream. Holds at most one stretch, the look-ahead behind it, and the last piece pushed."""

    def __init__(self, max_seconds: float = 30.0) -> None:
        self._limit = int(max_seconds * RATE) // WINDOW
        if self._limit <= 2 * _PADDING + _SHORTEST:
            raise ValueError(f"max_seconds is {max_seconds}, too short for a stretch of speech.")
        self._base = 0  # windows that are gone
        self._samples: Samples = np.empty(0, np.int16)
        self._speech: Probabilities = np.empty(0, np.float32)

    def push(self, samples: Samples, speech: Probabilities, *, last: bool = False) -> Iterator[Cut]:
        """Take the next samples and the probability of speech of each of their windows. Yields finished stretches.

        All but the `last` piece must be multiples of WINDOW long.
        """
        self._samples = np.concatenate((self._samples, samples))
        self._speech = np.concatenate((self._speech, speech))
        while (cut := self._cut(last)) is not None:
            start, end = cut
            if end > start:
                samples = self._samples[start * WINDOW : end * WINDOW].copy()
                yield Cut((self._base + start) * WINDOW, samples, _utterances(self._speech[start:end]))
            self._base += end
            self._samples = self._samples[end * WINDOW :]
            self._speech = self._speech[end:]

    def _cut(self, last: bool) -> tuple[int, int] | None:
        """First and last window (exclusive) of the next stretch; twice the same: drop silence; None: wait."""
        runs, known = _runs(self._speech, last)
        if not len(runs):
            silence = known if last else max(0, known - _PADDING)
            return (silence, silence) if silence else None
        start = max(0, int(runs[0, 0]) - _PADDING)
        limit = start + self._limit
        horizon = limit + _AHEAD
        if known > horizon:
            runs, known = _runs(self._speech[:horizon], last=True)
        ends, begins = runs[:, 1], np.append(runs[1:, 0], known)
        pauses = begins - ends
        done = np.flatnonzero((pauses >= _LONG) & (ends <= limit))
        complete = last and len(self._speech) <= horizon and ends[-1] <= limit
        if len(done) or complete:
            end = int(ends[done[0] if len(done) else -1])
            return start, min(end + _PADDING, limit, len(self._speech))
        if known < horizon and not last:
            return None
        reachable = (ends <= limit) & (pauses > 0)
        if not reachable.any():
            return start, self._quietest(limit)
        worth = np.minimum(pauses, _ENOUGH) + _EAGERNESS * ends
        best = int(np.argmax(np.where(reachable, worth, -np.inf)))
        end = int(ends[best])
        return start, min(end + min(_PADDING, int(pauses[best]) // 2), limit)

    def _quietest(self, limit: int) -> int:
        """The window at which to cut unbroken speech. The rest stays speech, though its start is cut off."""
        first, last = limit - min(_REACH, self._limit // 2), limit - _SHORTEST  # so that a run follows
        zone = self._samples[first * WINDOW : last * WINDOW].astype(np.float32).reshape(-1, WINDOW)
        energy = np.convolve(np.square(zone).mean(axis=1), np.ones(3), mode="valid")
        end = first + 2 + int(np.argmin(energy))
        self._speech[end] = 1.0
        return end


def _utterances(speech: Probabilities) -> tuple[tuple[float, float], ...]:
    """The utterances, each with half of the pause on either side, at most _PADDING."""
    runs, size = _runs(speech, last=True)
    if not len(runs):
        return ()
    parted = np.flatnonzero(runs[1:, 0] - runs[:-1, 1] >= _BREATH)
    starts, ends = runs[np.append(0, parted + 1), 0], runs[np.append(parted, -1), 1]
    before = np.minimum(_PADDING, np.append(starts[0], (starts[1:] - ends[:-1]) // 2))
    after = np.minimum(_PADDING, np.append((starts[1:] - ends[:-1]) // 2, size - ends[-1]))
    edges = np.stack((starts - before, ends + after), axis=1) * WINDOW / RATE
    return tuple((float(start), float(end)) for start, end in edges)


def _runs(speech: Probabilities, last: bool) -> tuple[npt.NDArray[np.intp], int]:
    """The runs of speech as rows of (first window, last window exclusive), and how many windows are
    settled.

    A row of windows that reaches the end of what is known may yet become speech, or longer: unless it is
    the `last`, what is settled ends where it begins, if it is none yet.
    """
    known = len(speech)
    edges = np.flatnonzero(np.diff(speech >= _MAYBE, prepend=False, append=False))
    rows = edges.reshape(-1, 2)
    if not len(rows):
        return rows, known
    peaks = np.maximum.reduceat(np.append(speech, 0.0), edges)[::2]
    is_speech = (peaks >= _SPEECH) & (rows[:, 1] - rows[:, 0] >= _SHORTEST)
    if not last and rows[-1, 1] == known and not is_speech[-1]:
        known = int(rows[-1, 0])
    return rows[is_speech], known
