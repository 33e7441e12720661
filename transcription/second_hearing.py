"""The second hearing: utterances that Whisper was not sure of are sent again, each alone.

Whisper takes a stretch of up to 30 s for one language. Speech in another language then becomes improbable words (as
Chinese becomes pinyin) or is left out. Repetitions are left out too, or end in a loop, which `doubts` removes. Alone,
such an utterance is heard in its own language. In recordings of one language this is rare, and stops if it gains
nothing.
"""

import math
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from transcription.answer import HeardWord, Transcript
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
        """The transcript of the stretch. Raises what `hear` raises; a refused second hearing changes nothing."""
        transcript = await self._hear(stretch.samples)
        self._credit += CREDIT
        for part in reversed(
            _parts(transcript, stretch.utterances)
        ):  # from the end, so that earlier parts keep their places
            if self._is_doubtful(part, transcript):
                transcript = await self._heard_again(transcript, part, stretch)
        return transcript

    def _is_doubtful(self, part: Part, transcript: Transcript) -> bool:
        words = transcript.words[part.words]
        if part.end - part.start < SHORTEST or self._credit < 1:
            return False
        sure = _sureness(words, transcript, part.start, part.end)
        return not words or (self._any_language and sure is not None and sure < DOUBTFUL)

    async def _heard_again(self, transcript: Transcript, part: Part, stretch: Stretch) -> Transcript:
        try:
            again = await self._hear(stretch.samples[round(part.start * RATE) : round(part.end * RATE)])
        except AnswerError:
            again = replace(transcript, words=())
        if _is_better(again, transcript, part):
            self._credit += 1
            return _mended(transcript, part, again)
        self._credit -= 1
        return transcript


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


def _mended(transcript: Transcript, part: Part, again: Transcript) -> Transcript:
    words, text = transcript.words, transcript.text
    found = [replace(word, start=part.start + word.start, end=part.start + word.end) for word in again.words]
    return replace(
        transcript,
        text=join((text[: part.text.start].strip(), again.text, text[part.text.stop :].strip())),
        words=(*words[: part.words.start], *found, *words[part.words.stop :]),
    )
