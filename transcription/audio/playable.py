"""Copies for browsers: whether browsers play a file as it is, and else a copy as Opus in WebM, with the same times."""

from __future__ import annotations  # PyAV's types are generic in its stubs only

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import BinaryIO

import av
import numpy as np
import numpy.typing as npt
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.container import OutputContainer

from transcription.audio.clock import GAP, Clock
from transcription.audio.media import Media, opened
from transcription.audio.sound import Sound
from transcription.errors import BadAudio

# Media types and codecs that Chromium, Firefox and Safari all play: developer.mozilla.org, "Media container formats"
# and "Web audio codec guide". Raw AAC is not among them, because nothing in it says where to seek to.
_PLAYED = {
    ("audio/flac", "flac"),
    ("audio/mp4", "aac"),
    ("audio/mpeg", "mp3float"),
    ("audio/ogg", "opus"),
    ("audio/ogg", "vorbis"),
    ("audio/wav", "pcm_s16le"),
    ("audio/wav", "pcm_s24le"),
    ("audio/wav", "pcm_u8"),
    ("audio/webm", "opus"),
    ("audio/webm", "vorbis"),
    ("video/mp4", "aac"),
    ("video/webm", "opus"),
    ("video/webm", "vorbis"),
}
_SHOWN = (None, "h264", "vp8", "vp9")  # with another video codec, some browsers play no sound either

RATE = 48_000  # Opus has no higher one
_BITS = {"mono": "48000", "stereo": "80000"}  # a second: "fullband" for speech and music by Opus's own table
# The longest packets, so a third as many, and half of Opus's effort: three times as fast.
_FAST = {"frame_duration": "60", "compression_level": "5"}
_STEP = 10.0  # seconds of sound written between two occasions to stop


def plays(media: Media, media_type: str) -> bool:
    """Whether all browsers play the file as it is: all tracks that are heard, at the right times, from any moment.

    Browsers play one track. They cannot seek in a live stream, which states no length, and they disagree about sound
    that begins late and about joined files.
    """
    codec = media.stream.codec_context.name
    known = (media_type, codec) in _PLAYED and media.picture in _SHOWN and not media.endless
    return known and media.is_plain


def write_playable(file: BinaryIO, target: BinaryIO, *, max_hours: float, track: int | None = None) -> Generator[float]:
    """Write the copy to `target`, an empty file that can be read and sought. Yields its progress in seconds of sound.

    Blocks, in bounded memory. To stop early, close the iterator before the files. Raises as `SpeechReader` does. Opus
    is not encoded again, unless its times have gaps or jumps.
    """
    with opened(file, track) as media:
        if media.stream.codec_context.name == "opus":
            try:
                yield from _packed_anew(media, target, max_hours)
                return
            except _Uneven:
                target.seek(0)
                target.truncate()
    with opened(file, track) as media:
        yield from _encoded(media, target, max_hours)


class _Uneven(Exception):
    """The times of the packets have a gap or a jump."""


def _packed_anew(media: Media, target: BinaryIO, max_hours: float) -> Iterator[float]:
    clock = Clock(max_hours)
    steps = _Steps()
    with _webm(target) as out:
        stream = out.add_stream_from_template(media.stream)
        if not media.is_plain:
            raise _Uneven
        for packet in media.packets():
            if not packet.size:
                continue  # the end
            time = media.time(packet)
            if time is None or abs(time - clock.now) > GAP:
                raise _Uneven
            packet.pts = packet.dts = round(time / packet.time_base)
            packet.stream = stream
            clock.advance(media.length(packet))
            out.mux(packet)
            yield from steps.at(clock.now)


def _encoded(media: Media, target: BinaryIO, max_hours: float) -> Iterator[float]:
    steps = _Steps()
    encoder: _Encoder | None = None
    with _webm(target) as out:
        for samples in Sound(media, rate=RATE, max_hours=max_hours):
            if encoder is None:
                encoder = _Encoder(out, "stereo" if len(samples) == 2 and len(media.heard) == 1 else "mono")
            encoder.write(samples)
            yield from steps.at(encoder.seconds)
        if encoder is None:
            raise BadAudio("damaged", "Nothing in the file can be decoded: it is damaged.")
        encoder.finish()


class _Encoder:
    """Encodes arrays of (channels, samples) of any length to Opus. More than two channels are mixed to one."""

    def __init__(self, out: OutputContainer, layout: str) -> None:
        self._out = out
        self._layout = layout
        options = {"b": _BITS[layout]} | _FAST
        self._stream = out.add_stream("libopus", rate=RATE, options=options)
        self._stream.codec_context.layout = layout
        self._stream.codec_context.format = "flt"
        self._stream.codec_context.open()
        self._fifo = AudioFifo()
        self._samples = 0

    @property
    def seconds(self) -> float:
        return self._samples / RATE

    def write(self, samples: npt.NDArray[np.float32]) -> None:
        if self._layout == "mono":
            samples = samples.mean(axis=0, keepdims=True)
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples.T).reshape(1, -1), "flt", self._layout)
        frame.sample_rate = RATE
        frame.pts = self._samples
        frame.time_base = Fraction(1, RATE)
        self._samples += samples.shape[1]
        self._fifo.write(frame)
        for whole in self._fifo.read_many(self._stream.codec_context.frame_size):
            self._out.mux(self._stream.encode(whole))

    def finish(self) -> None:
        rest = self._fifo.read(partial=True)
        self._out.mux([*(self._stream.encode(rest) if rest else []), *self._stream.encode(None)])


class _Steps:
    """Moments to report progress: every _STEP seconds of sound."""

    def __init__(self) -> None:
        self._next = _STEP

    def at(self, seconds: float) -> Iterator[float]:
        """Yield the seconds, where a step is complete."""
        if seconds >= self._next:
            self._next = seconds + _STEP
            yield seconds


class _Target:
    """The file that FFmpeg writes to. Keeps the error of a failed write, such as a full disk, which FFmpeg loses."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell
        self.error: Exception | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except Exception as error:
            self.error = error
            raise


@contextmanager
def _webm(file: BinaryIO) -> Iterator[OutputContainer]:
    target = _Target(file)
    try:
        with av.open(target, "w", format="webm") as out:
            yield out
    except av.FFmpegError as error:
        if target.error:
            raise target.error from error
        raise
