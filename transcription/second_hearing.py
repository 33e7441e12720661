"""The second hearing: utterances that Whisper was not sure of are sent again, each alone.

Whisper takes a stretch of up to 30 s for one language. Speech in another language then becomes improbable words (as
Chinese becomes pinyin) or is left out. Repetitions are left out too, or end in a loop, which `doubts` removes. Alone,
such an utterance is heard in its own language. In recordings of one language this is rare, and stops if it gains
nothing.
"""

import math
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise

from transcription.answer import HeardWord, Transcript, TranscriptSegment
from transcription.audio import RATE, Samples, Stretch
from transcription.errors import AnswerError
from transcription.writing import join

# Mean probability of an utterance's words, measured with `base`: English heard as English 0.84 to 0.99 (a bare
# 'Hello world' 0.4 to 0.6), Chinese heard as English 0.41 to 0.62, Chinese alone 0.53 to 0.85.
DOUBTFUL = 0.65
SURE = 0.5  # Whisper is less sure of noise, and of languages that it hardly knows
SHORTEST = 0.8  # seconds; Whisper cannot tell the language of a shorter utterance

# A second hearing that gains nothing costs 1 of a credit, which bounds the time that is lost. A recording begins
# with FIRST_CREDIT, each stretch adds CREDIT, and each second hearing that gains something adds 1.
FIRST_CREDIT, CREDIT = 2.0, 0.1

Hear = Callable[[Samples], Awaitable[Transcript]]


@dataclass(frozen=True, slots=True)
class Part:
    """An utterance, from `start` to `end` in seconds, and its share of the transcript's words and text."""

    start: float
    end: float
    words: slice
    text: slice


class SecondHearing:
    """Transcribes the stretches of one recording, doubtful utterances twice.

    hear: transcribes samples. any_language: the owner has not named the language.
    """

    def __init__(self, hear: Hear, *, any_language: bool) -> None:
        self._hear = hear
        self._any_language = any_language
        self._credit = FIRST_CREDIT

    async def __call__(self, stretch: Stretch) -> Transcript:
        """The transcript of the stretch. Where an utterance was heard again, its segments are the utterances.

        Raises the errors of the first call. A second one that is refused leaves the utterance as it was.
        """
        transcript = await self._hear(stretch.samples)
        self._credit += CREDIT
        heard = [
            (part, await self._heard_again(transcript, part, stretch) if self._is_doubtful(part, transcript) else None)
            for part in reversed(_parts(transcript, stretch.utterances))
        ]
        return _mended(transcript, heard) if any(again for _, again in heard) else transcript

    def _is_doubtful(self, part: Part, transcript: Transcript) -> bool:
        words = transcript.words[part.words]
        if part.end - part.start < SHORTEST or self._credit < 1:
            return False
        sure = _sureness(words, transcript, part.start, part.end)
        return not words or (self._any_language and sure is not None and sure < DOUBTFUL)

    async def _heard_again(self, transcript: Transcript, part: Part, stretch: Stretch) -> Transcript | None:
        """The transcript of the utterance alone; None where it is no better."""
        with suppress(AnswerError):
            again = await self._hear(stretch.samples[round(part.start * RATE) : round(part.end * RATE)])
            if _is_better(again, transcript, part):
                self._credit += 1
                return again
        self._credit -= 1
        return None


def _parts(transcript: Transcript, utterances: Sequence[tuple[float, float]]) -> list[Part]:
    """The transcript cut by utterances. Empty if that is impossible: one utterance only, or no words with times."""
    words, text = transcript.words, transcript.text
    places, at = [], 0
    for word in words:
        spelt = word.word.strip()
        at = text.find(spelt, at)
        if at < 0:
            return []
        places.append(at)
        at += len(spelt)
    if len(utterances) < 2 or bool(words) != bool(text):
        return []
    middles = [(word.start + word.end) / 2 for word in words]
    borders = [bisect_left(middles, (before[1] + after[0]) / 2) for before, after in pairwise(utterances)]
    places.append(len(text))
    return [
        Part(start, end, slice(first, last), slice(places[first], places[last]))
        for (start, end), (first, last) in zip(utterances, pairwise([0, *borders, len(words)]), strict=True)
    ]


def _sureness(words: Sequence[HeardWord], transcript: Transcript, start: float, end: float) -> float | None:
    """The mean probability of the words, 0 to 1. None if the server does not tell it.

    If words have no probabilities, as OpenAI's, those of the segments between `start` and `end` (seconds) are taken.
    """
    told = [word.probability for word in words if word.probability is not None]
    if not told:
        segments = [segment for segment in transcript.segments if segment.start < end and segment.end > start]
        told = [math.exp(segment.avg_logprob) for segment in segments if segment.avg_logprob is not None]
    return sum(told) / len(told) if told else None


def _is_better(again: Transcript, transcript: Transcript, part: Part) -> bool:
    """Whether the second hearing shall replace the first.

    It must be in another language: in its own, an utterance is heard best among the others. It must have a probability,
    and a high one: Whisper makes sentences out of noise too.
    """
    words = transcript.words[part.words]
    if not any(letter.isalnum() for letter in again.text) or (words and again.language == transcript.language):
        return False
    sure = _sureness(again.words, again, 0.0, part.end - part.start)
    before = _sureness(words, transcript, part.start, part.end) if words else 0.0
    return sure is not None and before is not None and sure > max(SURE, before)


def _mended(transcript: Transcript, heard: Sequence[tuple[Part, Transcript | None]]) -> Transcript:
    """The transcript with what was heard again in its place. `heard`: its parts from the last to the first."""
    text, words = transcript.text, transcript.words
    segments: list[TranscriptSegment] = []
    for part, again in heard:  # from the end: the slices of earlier parts stay right
        if again:
            found = [replace(word, start=part.start + word.start, end=part.start + word.end) for word in again.words]
            text = join((text[: part.text.start].strip(), again.text, text[part.text.stop :].strip()))
            words = (*words[: part.words.start], *found, *words[part.words.stop :])
        segments[:0] = _segments(part, again, transcript)
    return replace(transcript, text=text, words=words, segments=tuple(segments) if transcript.segments else ())


def _segments(part: Part, again: Transcript | None, transcript: Transcript) -> list[TranscriptSegment]:
    """The segments of one utterance, at the times of the transcript."""
    if again:
        whole = TranscriptSegment(0.0, part.end - part.start, again.text)
        return [
            replace(segment, start=part.start + segment.start, end=part.start + segment.end)
            for segment in again.segments or (whole,)
        ]
    text = transcript.text[part.text].strip()
    around = (each for each in transcript.segments if each.start < part.end and each.end > part.start)
    numbers = next(around, TranscriptSegment(0.0, 0.0, ""))
    return [replace(numbers, start=part.start, end=part.end, text=text)] if text else []
