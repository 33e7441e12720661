"""Speech for `bench.captions`: real sentences with pauses, and the time at which each word has been said."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jiwer
import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel

from tests.support.speech import Clip, audioeval, librivox, words
from transcription.audio import RATE
from transcription.audio.media import opened
from transcription.audio.sound import Sound
from transcription.audio.vad import WINDOW, VoiceActivity
from transcription.audio.waveform import Downmix

Samples = npt.NDArray[np.int16]

PAUSES = (0.2, 0.3, 0.5, 0.8, 1.2, 2.5)  # seconds between sentences: some run on, some are an utterance of their own
UTTERED = 0.8  # seconds of silence, behind which nobody doubts that an utterance has ended
LONG_PAUSE, EVERY = 8.0, 60.0  # seconds of silence, after so much speech: what does a server make up?
LEAD, TAIL = 1.0, 3.0  # seconds of silence before and after everything
# How a number is written is a matter of taste: the clip that counts is left out, the Chinese one spelt out.
NO_NUMBERS = "counting"
NUMERALS = str.maketrans("1234567890", "一二三四五六七八九十")


def units(text: str, language: str) -> list[str]:
    """The units that are counted: words in lower case without punctuation; in Chinese characters."""
    if language == "zh":
        return list(words(text.replace("10", "0").translate(NUMERALS)).replace(" ", ""))
    return words(text).split()


@dataclass(frozen=True)
class SpokenSample:
    """A sound and its text.

    limits  of each word: when its sentence has certainly ended
    last    the words that are the last ones before a pause that ends an utterance
    """

    language: str
    samples: Samples
    said: list[str]
    limits: list[float]
    last: list[int]

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


@dataclass(frozen=True)
class Offline:
    """The text and word times of one call over the whole file."""

    text: str
    ends: dict[int, float]  # word of the speech: when it has been said


def speech(language: str, minutes: float, seed: int = 7) -> SpokenSample:
    """Sentences in random order, repeated until the sound is `minutes` long."""
    chance = random.Random(seed)
    clips = [_Sentence.of(clip, language) for clip in _clips(language)]
    parts, said, limits, last = [_silence(LEAD)], list[str](), list[float](), list[int]()
    length, next_long = LEAD, EVERY
    while length < minutes * 60 - TAIL:
        for clip in chance.sample(clips, len(clips)):
            said += clip.said
            limits += [length + clip.end] * len(clip.said)
            pause = chance.choice(PAUSES)
            if length > next_long:
                pause, next_long = LONG_PAUSE, length + LONG_PAUSE + EVERY
            if pause >= UTTERED:
                last.append(len(said) - 1)
            parts += [clip.samples, _silence(pause)]
            length += len(clip.samples) / RATE + pause
    return SpokenSample(language, np.concatenate([*parts, _silence(TAIL)]), said, limits, last)


def _clips(language: str) -> Iterator[Clip]:
    if language == "en":
        yield from librivox()
    yield from (clip for clip in audioeval(language) if clip.path.stem != NO_NUMBERS)


@dataclass(frozen=True)
class _Sentence:
    samples: Samples
    said: list[str]

    @classmethod
    def of(cls, clip: Clip, language: str) -> _Sentence:
        with clip.path.open("rb") as file, opened(file) as media:
            downmix = Downmix()
            samples = np.concatenate([downmix(piece) for piece in Sound(media, rate=RATE, max_hours=1)])
        return cls(samples, units(clip.text, language))

    @cached_property
    def end(self) -> float:
        """Seconds at which the voice falls silent."""
        return (int(np.flatnonzero(VoiceActivity()(self.samples) >= 0.5)[-1]) + 1) * WINDOW / RATE


def _silence(seconds: float) -> Samples:
    """Silence with the faint noise of a microphone."""
    return np.random.default_rng(3).integers(-3, 4, int(seconds * RATE)).astype(np.int16)


def offline(speech: SpokenSample, weights: Path) -> Offline:
    """One call of the same weights over the whole file, as good as it gets: it hears what comes after each word.

    Its word times are the truth that latencies are measured from. Its words are aligned to those that were said by
    the fewest changes; a word has been said when the one that stands in its place ends, but no later than the voice
    falls silent at the end of its sentence, for Whisper stretches last words into the pause. Words that this call
    misses have no time, and no latency.
    """
    model = WhisperModel(str(weights), device="cpu", compute_type="int8")
    segments, _ = model.transcribe(
        speech.samples.astype(np.float32) / 32768,
        language=speech.language,
        beam_size=5,
        word_timestamps=True,
        vad_filter=True,
        condition_on_previous_text=False,
    )
    text, heard, ends = "", list[str](), list[float]()
    for segment in segments:
        text += segment.text
        for word in segment.words or []:
            parts = units(word.word, speech.language)
            heard += parts
            ends += [word.start + (word.end - word.start) * (i + 1) / len(parts) for i in range(len(parts))]
    pairs = aligned(speech.said, heard)
    return Offline(text, {said: min(ends[there], speech.limits[said]) for said, there in pairs.items()})


def aligned(said: list[str], heard: list[str]) -> dict[int, int]:
    """For each word that was said, the index in `heard` of the same word or of the wrong one in its place."""
    if not heard:
        return {}
    found = jiwer.process_words(" ".join(said), " ".join(heard)).alignments[0]
    return {
        part.ref_start_idx + i: part.hyp_start_idx + i
        for part in found
        if part.type in ("equal", "substitute")
        for i in range(part.ref_end_idx - part.ref_start_idx)
    }
