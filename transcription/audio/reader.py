"""Audio in, speech out: one pass over a file, in memory that does not grow with it.

file → packets → frames → 16 kHz mono → blocks ─┬→ peaks of the waveform
                                                 └→ voice activity → segmenter → stretches of speech
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler

from transcription.audio.clock import GAP, Clock
from transcription.audio.media import Media, decoded, opened
from transcription.audio.probe import falls_short
from transcription.audio.segmenter import Segmenter
from transcription.audio.vad import RATE, WINDOW, VoiceActivity
from transcription.audio.waveform import Downmix, Peaks
from transcription.errors import BadAudio

_BLOCK = 128 * WINDOW  # samples, 4.1 s: enough at once for the voice activity to be fast
_CLOSE = 1.0  # seconds between two damages that are told as one


@dataclass(frozen=True, slots=True)
class Stretch:
    """Speech between two cuts. Times are seconds of the recording, samples 16 kHz mono."""

    index: int
    start: float
    end: float
    samples: npt.NDArray[np.int16]


class SpeechReader:
    """Reads a file once, from its beginning, and yields its stretches of speech in order of time.

    Iterating blocks: it belongs into a thread. It raises BadAudio (`too_long` in the very moment the
    sound unfolds to more than `max_hours`, `damaged` if nothing can be decoded, and what `probe` raises
    on opening), and whatever reading the file raises. To stop early, close the iterator; the file stays
    the caller's to close.

    After the last stretch:
    duration  seconds of sound, silence for what is missing included
    peaks     the loudest sample of each of 1,000 to 2,000 equal parts (fewer if shorter than 10 s), 0 to 1
    damaged   the parts that could not be decoded, as (start, end) in seconds
    """

    def __init__(self, file: BinaryIO, *, max_hours: float, max_seconds: float = 30.0) -> None:
        self._file = file
        self._clock = Clock(max_hours)
        self._segmenter = Segmenter(max_seconds)
        self._peaks = Peaks()
        self._samples = 0
        self.damaged: list[tuple[float, float]] = []

    @property
    def duration(self) -> float:
        return self._samples / RATE

    @property
    def peaks(self) -> list[float]:
        return self._peaks.values()

    def __iter__(self) -> Iterator[Stretch]:
        activity = VoiceActivity()
        index = 0
        for block in self._blocks():
            self._samples += len(block)
            self._peaks.add(block)
            last = len(block) < _BLOCK
            for first, samples in self._segmenter.push(block, activity(block), last=last):
                yield Stretch(index, first / RATE, (first + len(samples)) / RATE, samples)
                index += 1

    def _blocks(self) -> Iterator[npt.NDArray[np.int16]]:
        """The sound as 16 kHz mono, _BLOCK samples at a time; only the last block is shorter, or empty."""
        downmix = Downmix()
        waiting: list[npt.NDArray[np.float32]] = []
        count = 0
        with opened(self._file) as media:
            for sound in self._sound(media):
                waiting.append(sound)
                count += sound.shape[1]
                while count >= _BLOCK:
                    joined = np.concatenate(waiting, axis=1)
                    yield downmix(joined[:, :_BLOCK])
                    waiting, count = [joined[:, _BLOCK:]], count - _BLOCK
        if not waiting:
            raise BadAudio("damaged", "Nothing in the file can be decoded: it is damaged.")
        yield downmix(np.concatenate(waiting, axis=1))

    def _sound(self, media: Media) -> Iterator[npt.NDArray[np.float32]]:
        """Every frame at 16 kHz, as (channels, samples); the channels are the same throughout.

        Where sound is missing, silence is put in, so that what follows is at its right time.
        """
        resampler: AudioResampler | None = None
        layout: AudioLayout | None = None
        kind = None
        for frame in self._frames(media):
            ahead = self._clock.ahead(media.time(frame))
            missing = ahead if ahead > GAP else 0.0
            if missing and self._clock.now and not media.has_pictures:
                self._note_damage(self._clock.now, missing)  # nothing else leaves a hole in a mere recording
            if resampler and (missing or kind != _kind(frame)):
                yield from _arrays(resampler, None)
                resampler = None
            layout = layout or _mixable(frame.layout)
            yield from self._silence(missing, layout.nb_channels)
            if resampler is None:
                resampler = AudioResampler(format="flt", layout=layout, rate=RATE)
                kind = _kind(frame)
            self._clock.advance(frame.samples / frame.sample_rate)
            yield from _arrays(resampler, frame)
        if resampler:
            yield from _arrays(resampler, None)
        if media.broken or falls_short(media, self._clock.now):
            self._note_damage(self._clock.now, max(0.0, (media.stated or 0.0) - self._clock.now))

    def _frames(self, media: Media) -> Iterator[AudioFrame]:
        for packet in media.packets():
            frames = decoded(packet)
            if frames is None:
                self._note_damage(media.time(packet), media.length(packet))
            else:
                yield from frames

    def _silence(self, seconds: float, channels: int) -> Iterator[npt.NDArray[np.float32]]:
        self._clock.advance(seconds)  # all at once: no time is spent on silence that is beyond the limit
        missing = round(seconds * RATE)
        while missing > 0:
            yield np.zeros((channels, min(missing, _BLOCK)), np.float32)
            missing -= _BLOCK

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


def wav(samples: npt.NDArray[np.int16]) -> tuple[bytes, memoryview]:
    """A WAV file (16 kHz, mono, 16 bit) of samples: its header of 44 bytes, and their bytes, not copied."""
    data = np.ascontiguousarray(samples, "<i2").view(np.uint8).data
    header = struct.pack(
        "<4sI8sIHHIIHH4sI",
        *(b"RIFF", 36 + data.nbytes, b"WAVEfmt ", 16),
        *(1, 1, RATE, 2 * RATE, 2, 16),  # PCM, channels, samples and bytes a second, bytes and bits a sample
        *(b"data", data.nbytes),
    )
    return header, data
