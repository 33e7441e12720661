"""A simulated Whisper server that knows the whole sound, and answers with exactly the words in the part it is sent.

So the text tells which sound reached the server: each word is there once and in order, unless sound was lost or sent
twice.
"""

import wave
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.support.speech import librivox
from tests.support.whisper_stub import Reply, http
from transcription.audio.vad import RATE, WINDOW, VoiceActivity

Samples = npt.NDArray[np.int16]

WORD = 0.4  # seconds, about
SENTENCE = 8  # words
PROBE = 64  # samples: so many in a row occur only once in the sound


def samples(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def speech(clips: int, pause: float = 1.0) -> Samples:
    """`clips` LibriVox clips with pauses. Noise makes repeated clips differ, since there are only five."""
    noise = np.random.default_rng(1)
    silence = np.zeros(int(pause * RATE), np.int16)
    parts = [silence]
    for number in range(clips):
        parts += [samples(librivox()[number % 5].path), silence]
    sound = np.concatenate(parts)
    like_no_other: Samples = np.clip(sound + noise.integers(-3, 4, len(sound)), -32768, 32767).astype("<i2")
    return like_no_other


class Oracle:
    """The answers for `WhisperStub(hear=…)`."""

    def __init__(self, sound: Samples) -> None:
        self._sound = sound
        self._bytes = sound.tobytes()

    @cached_property
    def words(self) -> list[tuple[float, float, str]]:
        """All words as (start, end, word), in seconds. Each run of speech has as many as fit into it."""
        speech = VoiceActivity()(self._sound) >= 0.5
        runs = np.flatnonzero(np.diff(speech, prepend=False, append=False)).reshape(-1, 2) * WINDOW / RATE
        found: list[tuple[float, float, str]] = []
        for start, end in runs:
            if end - start < 0.15:
                continue
            count = max(1, round((end - start) / WORD))
            for number in range(count):
                length = (end - start) / count
                dot = "." if len(found) % SENTENCE == SENTENCE - 1 else ""
                begin = float(start + number * length)
                found.append((begin, float(begin + length), f"w{len(found)}{dot}"))
        return found

    @property
    def text(self) -> str:
        return " ".join(word for _, _, word in self.words)

    def __call__(self, file: bytes) -> Reply:
        sent = np.trim_zeros(np.frombuffer(file[44:], "<i2"), "b")  # without the silence that fills a last window
        if len(sent) < PROBE:
            return http(200, {"text": "", "language": "english", "words": []})  # silence: a probe
        start = self._place(sent) / RATE
        here = [
            (max(0.0, begin - start), min(end - start, len(sent) / RATE), word)
            for begin, end, word in self.words
            if start <= (begin + end) / 2 < start + len(sent) / RATE
        ]
        words = [{"start": begin, "end": end, "word": f" {word}", "probability": 0.9} for begin, end, word in here]
        return http(200, {"text": " ".join(word for *_, word in here), "language": "english", "words": words})

    def _place(self, sent: Samples) -> int:
        """The first sample of `sent` within the whole sound. Its loudest samples are searched for."""
        loudest = min(int(np.argmax(np.abs(sent.astype(np.int32)))), len(sent) - PROBE)
        offset = self._bytes.find(sent[loudest : loudest + PROBE].tobytes())
        assert offset >= 0
        return offset // 2 - loudest
