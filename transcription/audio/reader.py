"""From a file to its stretches of speech, in one pass and in bounded memory.

file → packets → frames → 16 kHz mono → blocks ─┬→ peaks of the waveform
                                                 └→ voice activity → segmenter → stretches of speech
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from transcription.audio.media import opened
from transcription.audio.segmenter import Segmenter
from transcription.audio.sound import Sound
from transcription.audio.tracks import Track
from transcription.audio.vad import RATE, WINDOW, VoiceActivity
from transcription.audio.waveform import Downmix, Peaks
from transcription.errors import BadAudio

_BLOCK = 128 * WINDOW  # samples, 4.1 s; voice activity is fast with so many at once
_NO_SPEECH = np.zeros(_BLOCK // WINDOW, np.float32)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Speech between two cuts. Times are seconds of the recording, samples 16 kHz mono.

    utterances: the speech between its pauses, as (start, end) in seconds from its start.
    """

    index: int
    start: float
    end: float
    samples: npt.NDArray[np.int16]
    utterances: tuple[tuple[float, float], ...]


class SpeechReader:
    """Reads a file once, from its beginning, and yields its stretches of speech in order of time.

    Iterating blocks, so it belongs into a thread. It raises BadAudio (`too_long` as soon as there is more sound than
    `max_hours`, `damaged` if nothing can be decoded, and the codes of `audio_info` on opening), and the errors of
    reading the file. To stop early, close the iterator. The caller closes the file.

    track: number of the one sound track to hear, from 1; None: see `tracks.choose`.
    heard: called every few seconds of sound with the seconds so far.

    After the last stretch:
    duration  seconds of sound, including silence in place of missing sound
    peaks     the loudest sample of each of 1,000 to 2,000 equal parts (fewer if shorter than 10 s), 0 to 1
    tracks    the sound tracks of the file, and which of them were heard
    damaged   parts that could not be decoded or are missing, as (start, end) in seconds
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        max_hours: float,
        max_seconds: float = 30.0,
        track: int | None = None,
        heard: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._file = file
        self._track = track
        self._max_hours = max_hours
        self._heard = heard
        self._segmenter = Segmenter(max_seconds)
        self._peaks = Peaks()
        self._samples = 0
        self.damaged: list[tuple[float, float]] = []
        self.tracks: list[Track] = []

    @property
    def duration(self) -> float:
        return self._samples / RATE

    @property
    def peaks(self) -> list[float]:
        return self._peaks.values()

    def __iter__(self) -> Iterator[Stretch]:
        activity = VoiceActivity()
        index = 0
        silent = False
        for block in self._blocks():
            self._samples += len(block)
            self._heard(self.duration)
            self._peaks.add(block)
            last = len(block) < _BLOCK
            before, silent = silent, not (last or block.any())
            # Hours of nothing but zeros, where a file has a gap, would take the network minutes.
            speech = _NO_SPEECH if before and silent else activity(block)
            for first, samples, utterances in self._segmenter.push(block, speech, last=last):
                yield Stretch(index, first / RATE, (first + len(samples)) / RATE, samples, utterances)
                index += 1

    def _blocks(self) -> Iterator[npt.NDArray[np.int16]]:
        """The sound as 16 kHz mono, _BLOCK samples at a time; only the last block is shorter, or empty."""
        downmix = Downmix()
        waiting: list[npt.NDArray[np.float32]] = []
        count = 0
        with opened(self._file, self._track) as media:
            sound = Sound(media, rate=RATE, max_hours=self._max_hours)
            self.damaged = sound.damaged
            self.tracks = media.tracks
            for piece in sound:
                waiting.append(piece)
                count += piece.shape[1]
                while count >= _BLOCK:
                    joined = np.concatenate(waiting, axis=1)
                    yield downmix(joined[:, :_BLOCK])
                    waiting, count = [joined[:, _BLOCK:]], count - _BLOCK
        if not waiting:
            raise BadAudio("damaged", "Nothing in the file can be decoded: it is damaged.")
        yield downmix(np.concatenate(waiting, axis=1))


def wav(samples: npt.NDArray[np.int16]) -> tuple[bytes, memoryview]:
    """A WAV file (16 kHz, mono, 16 bit): its header, and the bytes of the samples without a copy."""
    data = np.ascontiguousarray(samples, "<i2").view(np.uint8).data
    return wav_header(data.nbytes), data


def wav_header(size: int) -> bytes:
    """The 44 bytes before `size` bytes of sound: 16 kHz, mono, 16 bit."""
    return struct.pack(
        "<4sI8sIHHIIHH4sI",
        *(b"RIFF", 36 + size, b"WAVEfmt ", 16),
        *(1, 1, RATE, 2 * RATE, 2, 16),  # PCM, channels, samples and bytes a second, bytes and bits a sample
        *(b"data", size),
    )
