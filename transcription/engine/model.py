"""The Whisper model of the embedded engine, faster for short sound than faster-whisper's own, and its input."""

import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Self

import ctranslate2
import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment, TranscriptionInfo

from transcription.audio.media import opened
from transcription.audio.sound import Sound
from transcription.audio.waveform import Downmix
from transcription.engine.batcher import Participant
from transcription.engine.device import Device, choose, processor
from transcription.engine.memory import fitting, trying
from transcription.engine.shared import SharedWhisper, WhisperSteps
from transcription.errors import BadAudio

logger = logging.getLogger(__name__)

Samples = npt.NDArray[np.float32]
SAMPLE_RATE = 16_000  # Hz, what Whisper was trained on
WINDOW = 30 * SAMPLE_RATE  # samples that Whisper looks at together
MOST_ON_CPU, MOST_ON_GPU = 4, 16  # windows computed together; more gain nothing (bench/engine)
# Batches computed at once, besides one of live calls. A batch leaves a part of two processors idle, and of a GPU.
AT_ONCE = min(2, os.cpu_count() or 1)
# faster-whisper computes the spectrogram of the whole file at once: 3 GB of memory for an hour, measured.
MAX_HOURS = 1
FRAMES = 100  # frames of a spectrogram in a second
ROOM = 3 * FRAMES  # frames of silence behind the sound; with fewer, Whisper changes or repeats the last words
LEAST_CONTEXT = 10 * FRAMES  # frames; with fewer, Whisper hears single words worse
STEP = 5 * FRAMES  # frames; windows are rounded up to these, since only equally long ones are computed together
# After the last word faster-whisper goes on with the rest of the sound. A shorter rest is silence, for which it writes
# the last word again ("Hello world world.") or a goodbye.
REST = 60  # frames
# The most tokens of a text: TOKENS for each second, and FIRST_TOKENS. English takes 5 a second, fast Chinese or Thai
# 12, a script with three tokens a letter 25.
TOKENS, FIRST_TOKENS = 25, 15


class OnlyRest(Exception):
    """Nothing but the moment behind the last word is left."""


class Model(WhisperModel):  # type: ignore[misc] # faster-whisper has no types
    """A Whisper model that encodes only the sound, where Whisper always encodes 30 s.

    faster-whisper fills the 30 s up with silence, of which ROOM is kept here. With `base` on one core, the encoder then
    takes 0.09 s instead of 0.6 s for a short clip, and each token of the decoder half as long, with as few errors. The
    number of tokens is bounded by the time: a repetition loop over 0.8 s of sound took 13 s, and takes 1 s.

    A window is encoded once, though both the detection of its language and its transcription ask for it. Not for use
    by two threads at once: `shared_by` gives each caller a model of its own, with the same weights.
    """

    _features: Samples | None = None
    _encoded: Any  # ctranslate2.StorageView, or what SharedWhisper has for one
    _seconds: int  # of sound in what was encoded, rounded up

    def __init__(self, folder: Path, *, device: str, compute_type: str) -> None:
        super().__init__(str(folder), device=device, compute_type=compute_type, num_workers=AT_ONCE + 1)
        self._steps = WhisperSteps(self.model)

    def shared_by(self, caller: Participant) -> Self:
        """The model for one caller of a batcher."""
        model = copy(self)
        model.model = SharedWhisper(self._steps, caller)
        return model

    def transcribe(
        self, audio: npt.NDArray[np.floating[Any]], **options: Any
    ) -> tuple[Iterator[Segment], TranscriptionInfo]:
        self._features = None
        found, info = super().transcribe(audio, **options)
        return _until_rest(found), info

    def attempt(self, windows: int) -> None:
        """See `WhisperSteps.attempt`."""
        self._steps.attempt(windows)

    def encode(self, features: Samples) -> Any:
        """The encoded window. Raises OnlyRest for a later window of a transcription that is shorter than REST."""
        if self._features is None or not np.array_equal(features, self._features):
            sound = np.flatnonzero(features.any(axis=0))  # faster-whisper fills up with zeros
            frames = int(sound[-1]) + 1 if len(sound) else 0
            if self._features is not None and frames < REST:
                raise OnlyRest
            self._seconds = math.ceil(frames / FRAMES)
            context = max(math.ceil((frames + ROOM) / STEP) * STEP, LEAST_CONTEXT)
            self._encoded = super().encode(np.ascontiguousarray(features[:, :context]))
            self._features = features
        return self._encoded

    def generate_with_fallback(
        self, encoder_output: ctranslate2.StorageView, prompt: list[int], tokenizer: Any, options: Any
    ) -> Any:
        most = FIRST_TOKENS + TOKENS * self._seconds
        # CTranslate2 gives at most half of the tokens that it may have with the prompt.
        room = min(self.max_length - len(prompt), max(2 * most - len(prompt), most))
        return super().generate_with_fallback(encoder_output, prompt, tokenizer, replace(options, max_new_tokens=room))

    def detect_language(self, *, features: Samples, **options: Any) -> Any:
        # Without the last frame, as in a transcription, so that the windows are equal and encoded once.
        return super().detect_language(features=features[..., :-1], **options)


def _until_rest(segments: Iterable[Segment]) -> Iterator[Segment]:
    with suppress(OnlyRest):
        yield from segments


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
    model = Model(folder, device=device.name, compute_type=device.compute_type)
    if device.name == "cuda":
        model.encode(np.zeros((model.model.n_mels, 3000), np.float32))  # a GPU may load what it cannot compute
    logger.info("Whisper computes on %s", device)
    return model


def largest_batch(model: Model, folder: Path) -> int:
    """The most windows that are computed together: as many as pay, and fit into memory."""
    if model.model.device == "cpu":
        return fitting(MOST_ON_CPU, (folder / "model.bin").stat().st_size)
    return trying(MOST_ON_GPU, model.attempt)


def decode(file: BinaryIO, is_long: Callable[[], object] = lambda: None) -> Samples:
    """The sound of a file as 16 kHz mono samples from -1 to 1. Raises BadAudio.

    is_long: called once, before more than a window is in memory.
    """
    downmix = Downmix()
    blocks: list[npt.NDArray[np.int16]] = []
    samples = 0
    with opened(file) as media:
        for piece in Sound(media, rate=SAMPLE_RATE, max_hours=MAX_HOURS):
            block = downmix(piece)
            if samples <= WINDOW < samples + len(block):
                is_long()
            samples += len(block)
            blocks.append(block)
    if not blocks:
        raise BadAudio("damaged", "Nothing in the file can be decoded: it is damaged.")
    return np.concatenate(blocks).astype(np.float32) / np.float32(32768)
