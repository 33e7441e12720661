"""The Whisper model of the embedded engine, faster for short sound than faster-whisper's own, and its input."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import ctranslate2
import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel

from transcription.audio.media import opened
from transcription.audio.sound import Sound
from transcription.audio.waveform import Downmix
from transcription.engine.device import Device, choose, processor
from transcription.errors import BadAudio

logger = logging.getLogger(__name__)

Samples = npt.NDArray[np.float32]
SAMPLE_RATE = 16_000  # Hz, what Whisper was trained on
# faster-whisper computes the spectrogram of the whole file at once: 3 GB of memory for an hour, measured.
MAX_HOURS = 1
FRAMES = 100  # frames of a spectrogram in a second
ROOM = 3 * FRAMES  # frames of silence behind the sound; with fewer, Whisper changes or repeats the last words
LEAST_CONTEXT = 10 * FRAMES  # frames; with fewer, Whisper hears single words worse
# The most tokens of a text: TOKENS for each second, and FIRST_TOKENS. English takes 5 a second, fast Chinese or Thai
# 12, a script with three tokens a letter 25.
TOKENS, FIRST_TOKENS = 25, 15


class Model(WhisperModel):  # type: ignore[misc] # faster-whisper has no types
    """A Whisper model that encodes only the sound, where Whisper always encodes 30 s.

    faster-whisper fills the 30 s up with silence, of which ROOM is kept here. With `base` on one core, the encoder then
    takes 0.09 s instead of 0.6 s for a short clip, and each token of the decoder half as long, with as few errors. The
    number of tokens is bounded by the time: a repetition loop over 0.8 s of sound took 13 s, and takes 1 s.

    A window is encoded once, though both the detection of its language and its transcription ask for it. Not for use
    by two threads at once.
    """

    _features: Samples | None = None
    _encoded: ctranslate2.StorageView
    _seconds: float  # of sound in what was encoded

    def encode(self, features: Samples) -> ctranslate2.StorageView:
        if self._features is None or not np.array_equal(features, self._features):
            sound = np.flatnonzero(features.any(axis=0))  # faster-whisper fills up with zeros
            frames = int(sound[-1]) + 1 if len(sound) else 0
            self._seconds = frames / FRAMES
            self._encoded = super().encode(np.ascontiguousarray(features[:, : max(frames + ROOM, LEAST_CONTEXT)]))
            self._features = features
        return self._encoded

    def generate_with_fallback(
        self, encoder_output: ctranslate2.StorageView, prompt: list[int], tokenizer: Any, options: Any
    ) -> Any:
        most = round(FIRST_TOKENS + TOKENS * self._seconds)
        # CTranslate2 gives at most half of the tokens that it may have with the prompt.
        room = min(self.max_length - len(prompt), max(2 * most - len(prompt), most))
        return super().generate_with_fallback(encoder_output, prompt, tokenizer, replace(options, max_new_tokens=room))

    def detect_language(self, *, features: Samples, **options: Any) -> Any:
        # Without the last frame, as in a transcription, so that the windows are equal and encoded once.
        return super().detect_language(features=features[..., :-1], **options)


def load(folder: Path) -> Model:
    """Load the model in `folder` on the device that `choose` finds, or on the processor if the GPU fails."""
    device = choose()
    if device.name == "cuda":
        try:
            return _load(folder, device)
        except (RuntimeError, ValueError) as error:  # it has too little memory, or no 16-bit floats
            device = processor(f"the GPU fails: {error}")
    return _load(folder, device)


def _load(folder: Path, device: Device) -> Model:
    model = Model(str(folder), device=device.name, compute_type=device.compute_type)
    if device.name == "cuda":
        model.encode(np.zeros((model.model.n_mels, 3000), np.float32))  # a GPU may load what it cannot compute
    logger.info("Whisper computes on %s", device)
    return model


def decode(file: BinaryIO) -> Samples:
    """The sound of a file as 16 kHz mono samples from -1 to 1. Raises BadAudio."""
    downmix = Downmix()
    with opened(file) as media:
        blocks = [downmix(piece) for piece in Sound(media, rate=SAMPLE_RATE, max_hours=MAX_HOURS)]
    if not blocks:
        raise BadAudio("damaged", "Nothing in the file can be decoded: it is damaged.")
    return np.concatenate(blocks).astype(np.float32) / np.float32(32768)
