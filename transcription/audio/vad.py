"""Voice activity: the probability of speech in each 32 ms of sound, by the Silero network.

The network's file comes with faster-whisper. It runs in onnxruntime, with many windows in a call, which is
some twenty times faster than a call for each window. It is recurrent: a `VoiceActivity`
carries the state from block to block, so sound that arrives in pieces (a long file, a live microphone) is
judged exactly as if it had come at once.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

RATE = 16_000  # samples per second
WINDOW = 512  # samples the network judges at once
_CONTEXT = 64  # samples before the window, which the network needs too
_STATE = (1, 1, 128)  # shape of each of its two recurrent states


@cache
def _network() -> onnxruntime.InferenceSession:
    """The network, loaded once; it holds no state, and threads may share it."""
    package = find_spec("faster_whisper")
    folders = package.submodule_search_locations if package else None
    path = Path(folders[0] if folders else "faster_whisper") / "assets" / "silero_vad_v6.onnx"
    if not path.is_file():
        raise RuntimeError(f"The voice activity network {path} is missing: install faster-whisper again, as pinned.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # Whisper needs the other cores
    options.enable_cpu_mem_arena = False  # give the memory of a large block back
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class VoiceActivity:
    """Judges one stream of sound. Not for use by two threads at once."""

    def __init__(self) -> None:
        self._h = np.zeros(_STATE, np.float32)
        self._c = np.zeros(_STATE, np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)

    def __call__(self, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        """The probability of speech (0 to 1) of each window of the next samples (16 kHz mono).

        Samples that do not fill the last window are judged with silence after them; so only the last
        block of a stream may be one that is no multiple of WINDOW long.
        """
        if not len(samples):
            return np.empty(0, np.float32)
        windows = -(-len(samples) // WINDOW)
        sound = np.zeros(_CONTEXT + windows * WINDOW, np.float32)
        sound[:_CONTEXT] = self._context
        sound[_CONTEXT : _CONTEXT + len(samples)] = samples / np.float32(32768)
        self._context = sound[-_CONTEXT:].copy()
        overlapping = np.lib.stride_tricks.sliding_window_view(sound, _CONTEXT + WINDOW)[::WINDOW]
        feed = {"input": np.ascontiguousarray(overlapping), "h": self._h, "c": self._c}
        probabilities, self._h, self._c = _network().run(None, feed)
        return np.asarray(probabilities, np.float32).reshape(-1)
