"""A file opened without trust, to read the packets of its sound.

A file that somebody sent may be anything. Only the formats and codecs of `kinds` are opened. No protocol is allowed
but reading the file object that was given, its name is not even looked at, only sound is ever decoded, and what a
file can make FFmpeg allocate or read is bounded.
"""

from __future__ import annotations  # PyAV's types are generic in its stubs only

import ctypes
import ctypes.util
import re
from collections.abc import Iterator
from fractions import Fraction
from io import SEEK_END, SEEK_SET
from pathlib import Path
from typing import BinaryIO, Self

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from transcription.audio.clock import GAP
from transcription.audio.kinds import CODECS, FORMATS, written_codec
from transcription.audio.promised import breaks_off
from transcription.errors import BadAudio

_OPTIONS = {
    "format_whitelist": ",".join(FORMATS),
    "codec_whitelist": CODECS,
    "protocol_whitelist": "none",  # there is no protocol of this name: nothing else can be opened
    "max_streams": "200",  # a film on disc has 40: eight of sound, thirty of subtitles
}
_MOST_CHANNELS = 64  # FFmpeg's resampler takes no more
# Formats in which a stream may begin anywhere. PyAV (18.1) reads a table for each stream, with as many bytes as there
# were streams at first, and at least 24, as malloc gives no less. With so many streams at most, it stays in its table.
_LATE_STREAMS = {"flv", "mpeg", "mpegts"}
_TABLE = 24
_TIME = re.compile(r"(\d{1,6}):(\d{1,2}):(\d{1,2}(?:\.\d{1,12})?)")
_DESCRIPTION = 1024**2  # bytes at the beginning or the end of a file, where it says what it holds
_BUFFER = 256 * 1024  # bytes read at once, eight times PyAV's default: each read takes the interpreter's lock

# Bytes FFmpeg may allocate at once. An MP4 of 20 kB can ask for gigabytes by claiming 100 million packets; those
# of 12 hours of sound and picture (4.6 million at 48 kHz and 60 pictures a second, 24 bytes each) still fit.
_MOST_MEMORY = 128 * 1024**2


def _bound_memory() -> None:
    """Set FFmpeg's own limit (the tool's `-max_alloc`), which PyAV does not offer, in the library it brings."""
    package = Path(av.__file__).parent
    brought = [*package.parent.glob("av.libs/libavutil*"), *package.glob(".dylibs/libavutil*")]
    library = ctypes.CDLL(str(brought[0]) if brought else ctypes.util.find_library("avutil"))
    library.av_max_alloc(ctypes.c_size_t(_MOST_MEMORY))


_bound_memory()


class _Source:
    """The little that FFmpeg may do with the file. Keeps errors, which FFmpeg would take for the end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        # A sound file is read about twice; one whose index points to the same bytes over and over is a trap.
        self._left = 4 * size + 64 * 1024**2
        self.error: Exception | None = None

    def read(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
            self._left -= len(data)
            if self._left < 0:
                raise BadAudio("damaged", "The file points to the same parts of itself over and over.")
        except Exception as error:
            self.error = error
            raise
        return data

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class Media:
    """An open file and the one sound track of it that is meant. Use `with opened(…)` to get one."""

    def __init__(self, source: _Source, container: InputContainer, stream: AudioStream) -> None:
        self.stream = stream
        self.format = container.format.name.split(",")[0]
        self.picture = next(filter(None, map(_moving, container.streams)), None)  # the codec of a moving one
        self.endless = container.duration is None  # a live stream, whose length nobody knew when it began
        self.broken = False  # whether the demuxer met something it could not get over
        self._source = source
        self._container = container
        self._origin = (container.start_time or 0) / av.time_base

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def has_pictures(self) -> bool:
        return self.picture is not None

    def packets(self) -> Iterator[Packet[AudioStream]]:
        """The packets of the track. Goes on behind damage for as long as that yields any."""
        found = True
        while found:
            found = False
            try:
                for packet in self._container.demux(self.stream):
                    found = True
                    yield packet
                break
            except IndexError:  # a stream began late, and PyAV takes it for one that was asked for, at the end
                break
            except av.FFmpegError:
                self._check()
                self.broken = True
        self._check()

    def time(self, of: Packet[AudioStream] | AudioFrame) -> float | None:
        """Seconds from the beginning of the recording, as the file states it."""
        stamp = of.pts if of.pts is not None else of.dts
        if stamp is None or of.time_base is None:
            return None
        return _seconds(stamp, of.time_base) - self._origin

    def length(self, packet: Packet[AudioStream]) -> float:
        """Seconds of sound in it, as the file states it; 0 where it does not."""
        return _seconds(packet.duration or 0, packet.time_base)

    @property
    def stated(self) -> float | None:
        """How many seconds the file says its track is long; None where FFmpeg could but guess."""
        if self.format in ("aiff", "au", "avi", "caf", "flac", "mov", "w64", "wav") and self.stream.duration:
            return self.stream.duration * float(self.stream.time_base or 0)
        if self.format == "matroska" and (tag := _TIME.match(self.stream.metadata.get("DURATION", ""))):
            return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
        return None

    def falls_short(self, end: float) -> bool:
        """Whether the sound ended clearly before the time the file states: by 1 % of it, at most by 2 s."""
        return self.stated is not None and self.stated - end > min(2.0, max(GAP, 0.01 * self.stated))

    def _check(self) -> None:
        """Raise what went wrong when the file was read (a disk, a network), if anything did."""
        if self._source.error:
            raise self._source.error


def _seconds(ticks: int, base: Fraction) -> float:
    """What `float(ticks * base)` is, in a third of the time: a long file has millions of packets."""
    return ticks * base.numerator / base.denominator


def opened(file: BinaryIO) -> Media:
    """Open a seekable binary file from its beginning. It stays the caller's to close.

    Raises BadAudio (`empty_file`, `not_audio`, `truncated`, `no_sound`), and whatever reading the file
    raises.
    """
    size = file.seek(0, SEEK_END)
    if not size:
        raise BadAudio("empty_file", "The file is empty.")
    file.seek(0)
    source = _Source(file, size)
    try:
        container = _container(source)
    except Exception as error:
        if source.error:
            raise source.error from error
        if isinstance(error, MemoryError):
            raise BadAudio("too_complex", "To open the file takes more memory than a file may take.") from error
        if breaks_off(file, complete=False):
            raise BadAudio("truncated", "The file breaks off: its end is missing.") from error
        raise BadAudio("not_audio", "This is not a sound or video file of a kind we can read.") from error
    try:
        stream = _sound(container, file)
        if (channels := stream.codec_context.channels) > _MOST_CHANNELS:
            what = f"{stream.codec_context.name}, {channels} channels"
            raise BadAudio("unknown_codec", f"The sound is of a kind we cannot read: {what}.", what)
    except BadAudio:
        container.close()
        raise
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    return Media(source, container, stream)


def _container(source: _Source) -> InputContainer:
    def opened(**options: str) -> InputContainer:
        source.seek(0)
        every = _OPTIONS | options
        return av.open(source, mode="r", options=every, metadata_errors="replace", buffer_size=_BUFFER)

    container = opened()
    if container.format.name not in _LATE_STREAMS:
        return container
    with container:
        most = max(_TABLE, len(container.streams))
    return opened(max_streams=str(most))


def _sound(container: InputContainer, file: BinaryIO) -> AudioStream:
    """The sound track that players would play: the first one marked as default, else the first."""
    tracks = container.streams.audio
    if not tracks:
        raise BadAudio("no_sound", "The file has no sound track.")
    codecs = CODECS.split(",")
    readable = [track for track in tracks if track.codec_context and track.codec_context.name in codecs]
    if not readable:
        named = {track.codec_context.name if track.codec_context else _written(file) for track in tracks}
        names = ", ".join(sorted(named))
        raise BadAudio("unknown_codec", f"The sound is of a kind we cannot read: {names}.", names)
    return next((track for track in readable if track.disposition & Disposition.default), readable[0])


def _written(file: BinaryIO) -> str:
    file.seek(0)
    head = file.read(_DESCRIPTION)
    file.seek(max(0, file.seek(0, SEEK_END) - _DESCRIPTION))
    return written_codec(head + file.read(_DESCRIPTION))


def _moving(stream: Stream) -> str | None:
    """The codec of a video; None where it is none, or the picture of a cover."""
    if stream.type != "video" or stream.disposition & Disposition.attached_pic:
        return None
    return stream.codec_context.name if stream.codec_context else "unknown"


def decoded(packet: Packet[AudioStream]) -> list[AudioFrame] | None:
    """The sound of a packet; None where it is damaged. An empty packet in the midst of a file holds none."""
    if not packet.size and packet.pts is not None:
        return []
    try:
        return packet.decode()
    except av.FFmpegError:
        return None
