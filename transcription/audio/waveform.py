"""Reductions of sound: many channels to one (`Downmix`), and many samples to the peaks of a waveform (`Peaks`)."""

import numpy as np
import numpy.typing as npt

_FADE = 160  # samples at 16 kHz, 10 ms: too short to hear, too long to click
_OPPOSITE = -0.5  # a channel with a lower correlation is the first one with reversed polarity


class Downmix:
    """Mixes blocks of sound to one channel so that channels of opposite polarity do not cancel out.

    One wire swapped in a microphone cable, or a recorder's 'wide' effect, makes the right channel the
    left one upside down; their mean is silence. So a channel that runs against the first is turned round
    before the mean is taken.
    """

    def __init__(self) -> None:
        self._signs: npt.NDArray[np.float32] | None = None

    def __call__(self, sound: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
        """(channels, samples) between -1 and 1 to 16-bit samples; louder ones are clipped."""
        before = self._signs if self._signs is not None else np.ones(len(sound), np.float32)
        products = sound @ sound[0]
        scale = np.sqrt(products[0] * np.einsum("cn,cn->c", sound, sound)) + 1e-12
        likeness = products / scale
        signs = np.where(likeness < _OPPOSITE, -1, np.where(likeness > 0, 1, before)).astype(np.float32)
        mono = signs @ sound / len(sound)
        if (signs != before).any() and self._signs is not None:
            fade = np.linspace(0, 1, min(_FADE, len(mono)), dtype=np.float32)
            old = before @ sound[:, : len(fade)] / len(sound)
            mono[: len(fade)] = old + fade * (mono[: len(fade)] - old)
        self._signs = signs
        return np.clip(np.rint(mono * 32768), -32768, 32767).astype(np.int16)


class Peaks:
    """The loudest sample of each of at most _MOST equal parts of a stream of any length."""

    _MOST = 2000

    def __init__(self) -> None:
        self._part = 160  # samples in a part, 10 ms at 16 kHz; doubles when there are too many
        self._peaks = np.empty(0, np.int32)
        self._rest = np.empty(0, np.int32)  # samples that do not fill a part yet

    def add(self, samples: npt.NDArray[np.int16]) -> None:
        loud = np.concatenate((self._rest, np.abs(samples.astype(np.int32))))
        whole = len(loud) // self._part * self._part
        self._rest = loud[whole:]
        self._peaks = np.concatenate((self._peaks, loud[:whole].reshape(-1, self._part).max(axis=1)))
        while len(self._peaks) > self._MOST:
            if len(self._peaks) % 2:
                self._rest = np.concatenate((np.repeat(self._peaks[-1:], self._part), self._rest))
                self._peaks = self._peaks[:-1]
            self._peaks = self._peaks.reshape(-1, 2).max(axis=1)
            self._part *= 2

    def values(self) -> list[float]:
        """The peaks so far, 0 to 1, in steps of a thousandth: a waveform on a screen shows no more."""
        rest = [self._rest.max()] if len(self._rest) else []
        return [round(float(peak) / 32768, 3) for peak in (*self._peaks, *rest)]
