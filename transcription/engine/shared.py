"""CTranslate2's Whisper model for several callers at once, of which each sees it as if it were alone."""

from collections.abc import Sequence
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt

from transcription.engine.batcher import Participant, Step

Encoded = npt.NDArray[np.floating[Any]]  # windows, positions, dimensions


class SharedWhisper:
    """The methods of ctranslate2.models.Whisper that faster-whisper calls, for one window at a time.

    Each method waits for the caller's turn, and is computed together with those of other callers whose windows are
    equally long and whose options are equal. So a batch gives each caller what it would get alone.
    """

    def __init__(self, steps: "WhisperSteps", caller: Participant) -> None:
        self._steps = steps
        self._caller = caller

    def __getattr__(self, name: str) -> Any:
        return getattr(self._steps.whisper, name)  # its device, its number of mels, and the like

    def encode(self, features: ctranslate2.StorageView, to_cpu: bool = False) -> Encoded:
        window = np.array(features)
        result: Encoded = self._caller.compute(self._steps.encode, window.shape, window)
        return result

    def detect_language(self, encoded: Encoded) -> list[Any]:
        return [self._caller.compute(self._steps.detect_language, encoded.shape, encoded)]

    def generate(self, encoded: Encoded, prompts: list[list[int]], **options: Any) -> list[Any]:
        (prompt,) = prompts
        key = (encoded.shape, len(prompt), tuple(options.items()))
        return [self._caller.compute(self._steps.generate, key, (encoded, prompt))]

    def align(
        self,
        encoded: Encoded,
        start_sequence: Sequence[int],
        text_tokens: list[list[int]],
        num_frames: int,
        **options: Any,
    ) -> list[Any]:
        (tokens,) = text_tokens
        key = (encoded.shape, tuple(start_sequence), tuple(options.items()))
        return [self._caller.compute(self._steps.align, key, (encoded, tokens, num_frames))]


class WhisperSteps:
    """The steps of a transcription, for batches of windows. Each key has the options that the windows share."""

    def __init__(self, whisper: Any) -> None:
        self.whisper = whisper
        # On a processor several windows take as long to encode as one after the other, and more memory.
        most = 1 if whisper.device == "cpu" else None
        self.encode = Step(self._encode, rank=1, most=most)
        self.detect_language = Step(self._detect_language, rank=1)
        self.generate = Step(self._generate, rank=2, patient=True)
        self.align = Step(self._align, rank=0)  # what is nearly done goes first

    def attempt(self, windows: int) -> None:
        """Compute so many windows of silence together. Raises RuntimeError if memory does not suffice."""
        silence = np.zeros((1, self.whisper.n_mels, 3000), np.float32)
        encoded = self._encode(None, [silence] * windows)
        self.whisper.generate(_together(encoded), [["<|startoftranscript|>"]] * windows)

    def _encode(self, key: object, windows: Sequence[Encoded]) -> Sequence[Encoded]:
        encoded = np.array(self.whisper.encode(_together(windows), to_cpu=True))
        return [encoded[index : index + 1] for index in range(len(windows))]

    def _detect_language(self, key: object, windows: Sequence[Encoded]) -> Sequence[Any]:
        found: Sequence[Any] = self.whisper.detect_language(_together(windows))
        return found

    def _generate(self, key: tuple[Any, int, tuple[Any, ...]], items: Sequence[tuple[Encoded, list[int]]]) -> Any:
        windows, prompts = zip(*items, strict=True)
        return self.whisper.generate(_together(windows), list(prompts), **dict(key[2]))

    def _align(
        self, key: tuple[Any, tuple[int, ...], tuple[Any, ...]], items: Sequence[tuple[Encoded, list[int], int]]
    ) -> Any:
        windows, tokens, frames = zip(*items, strict=True)
        return self.whisper.align(_together(windows), list(key[1]), list(tokens), list(frames), **dict(key[2]))


def _together(windows: Sequence[Encoded]) -> ctranslate2.StorageView:
    return ctranslate2.StorageView.from_array(np.concatenate(windows))
