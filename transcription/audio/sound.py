"""The sound of an open file as one stream of samples, each at its time, whatever the file's timestamps say."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler

from transcription.audio.clock import GAP, Clock
from transcription.audio.media import Media, decoded

_CLOSE = 1.0  # seconds between two damages that are told as one
_PIECE = 4  # seconds of silence at once


class Sound:
    """Every frame of a file at `rate`, as arrays of (channels, samples) between -1 and 1; the channels are the same
    throughout.

    Where sound is missing, silence is put in, so that what follows is at its right time. Iterating raises BadAudio
    `too_long` in the very moment the sound unfolds to more than `max_hours`, and whatever reading the file raises.

    damaged: the parts that could not be decoded, as (start, end) in seconds; grows while iterating.
    """

    def __init__(self, media: Media, *, rate: int, max_hours: float) -> None:
        self._media = media
        self._rate = rate
        self._clock = Clock(max_hours)
        self.damaged: list[tuple[float, float]] = []

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        resampler: AudioResampler | None = None
        layout: AudioLayout | None = None
        kind = None
        for frame in self._frames():
            ahead = self._clock.ahead(self._media.time(frame))
            missing = ahead if ahead > GAP else 0.0
            if missing and self._clock.now and not self._media.has_pictures:
                self._note_damage(self._clock.now, missing)  # nothing else leaves a hole in a mere recording
            if resampler and (missing or kind != _kind(frame)):
                yield from _arrays(resampler, None)
                resampler = None
            layout = layout or _mixable(frame.layout)
            yield from self._silence(missing, layout.nb_channels)
            if resampler is None:
                resampler = AudioResampler(format="flt", layout=layout, rate=self._rate)
                kind = _kind(frame)
            self._clock.advance(frame.samples / frame.sample_rate)
            yield from _arrays(resampler, frame)
        if resampler:
            yield from _arrays(resampler, None)
        if self._media.broken or self._media.falls_short(self._clock.now):
            self._note_damage(self._clock.now, max(0.0, (self._media.stated or 0.0) - self._clock.now))

    def _frames(self) -> Iterator[AudioFrame]:
        for packet in self._media.packets():
            frames = decoded(packet)
            if frames is None:
                self._note_damage(self._media.time(packet), self._media.length(packet))
            else:
                yield from frames

    def _silence(self, seconds: float, channels: int) -> Iterator[npt.NDArray[np.float32]]:
        self._clock.advance(seconds)  # all at once: no time is spent on silence that is beyond the limit
        missing = round(seconds * self._rate)
        while missing > 0:
            yield np.zeros((channels, min(missing, _PIECE * self._rate)), np.float32)
            missing -= _PIECE * self._rate

    def _note_damage(self, start: float | None, length: float) -> None:
        start = self._clock.now if start is None else max(0.0, start)
        end = start + length
        if self.damaged and start - self.damaged[-1][1] < _CLOSE:
            start, before = self.damaged.pop()
            end = max(before, end)
        self.damaged.append((start, end))


def _mixable(layout: AudioLayout) -> AudioLayout:
    """What the resampler mixes a layout to: it knows that in 5.1 the centre speaks and the bass does not.

    It knows nothing of a field recorder's ten microphones: they are left as they are, for Downmix.
    """
    if layout.nb_channels == 1 or layout.name.endswith(" channels"):
        return layout
    return AudioLayout("stereo")


def _kind(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _arrays(resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[npt.NDArray[np.float32]]:
    for resampled in resampler.resample(frame):  # interleaved: PyAV crashes on more than eight planes
        samples = resampled.to_ndarray().astype(np.float32, copy=False)
        yield samples.reshape(-1, resampled.layout.nb_channels).T
