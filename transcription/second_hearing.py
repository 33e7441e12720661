"""Hears what was not understood a second time, by itself: so a recording that mixes languages keeps them all.

Whisper takes all that it is sent, up to 30 s, for one language. What is said in another then comes out as improbable
words (Chinese as pinyin), or is left out; and of somebody who repeats something it leaves out the repetitions, or runs
into a loop, which `doubts` takes out. An utterance that stands out so is sent again alone, in whatever language. In a
recording of one language that is rare; where it comes to nothing, it is soon given up.
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

# Measured with `base`, the mean probability of an utterance's words: English in its own language 0.84 to 0.99 (a bare
# 'Hello world' 0.4 to 0.6), Chinese taken for English 0.41 to 0.62, Chinese by itself 0.53 to 0.85.
DOUBTFUL = 0.65
SURE = 0.5  # of what it makes of noise, or of a language it hardly knows, Whisper is less sure
SHORTEST = 0.8  # seconds: of shorter ones Whisper cannot tell the language

# How often a second hearing may come to nothing: twice, once in ten stretches, and once for each that was worth it.
# This bounds the time it costs where nothing is to be gained.
FIRST_CREDIT, CREDIT = 2.0, 0.1

Hear = Callable[[Samples], Awaitable[Transcript]]


@dataclass(frozen=True, slots=True)
class Part:
    """An utterance, and which of the transcript's words and what of its text belong to it."""

    start: float
    end: float
    words: slice
    text: slice


class SecondHearing:
    """Hears the stretches of one recording. `any_language`: nobody said which is spoken."""

    def __init__(self, hear: Hear, *, any_language: bool) -> None:
        self._hear = hear
        self._any_language = any_language
        self._credit = FIRST_CREDIT

    async def __call__(self, stretch: Stretch) -> Transcript:
        """What is said in the stretch. Raises what hearing it raises; that parts are refused only leaves them as they
        were."""
        transcript = await self._hear(stretch.samples)
        self._credit += CREDIT
        for part in reversed(_parts(transcript, stretch.utterances)):  # from the end: earlier parts keep their place
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
    """The transcript by utterances; none where it cannot be told apart: there is only one, or no words with times."""
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
    """How probable the words are, 0 to 1, on average; None where the server does not tell.

    The words' own probabilities count. Where a server gives none, as OpenAI's, the probability of the tokens of the
    segments between `start` and `end` stands for it.
    """
    told = [word.probability for word in words if word.probability is not None]
    if not told:
        segments = [segment for segment in transcript.segments if segment.start < end and segment.end > start]
        told = [math.exp(segment.avg_logprob) for segment in segments if segment.avg_logprob is not None]
    return sum(told) / len(told) if told else None


def _is_better(again: Transcript, transcript: Transcript, part: Part) -> bool:
    """Whether the second hearing may take the place of the first.

    An utterance is heard best among the others in its own language, so a better one is in another language. A hearing
    of which nobody knows how probable it is, is not better: of noise, too, Whisper makes sentences.
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
