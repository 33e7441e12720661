"""What a file is: opened without trust, recognised by its content alone, measured without decoding it.

A file somebody sent may be anything. So the formats and codecs that may be opened are listed here (sound,
and pictures with sound; nothing that points to other files, such as playlists, and nothing that was made
to be a picture or a text), no protocol is allowed but reading the file object that was given, its name is
not even looked at, and only sound is ever decoded.
"""

from __future__ import annotations  # PyAV's types are generic in its stubs only

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import SEEK_END, SEEK_SET
from typing import BinaryIO

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from transcription.errors import BadAudio
from transcription.promised import breaks_off

# Demuxers, by FFmpeg's name, and the media type of a file without and with pictures.
_FORMATS = {
    "aac": ("audio/aac", "video/mp4"),
    "ac3": ("audio/ac3", "video/mp4"),
    "aiff": ("audio/aiff", "audio/aiff"),
    "amr": ("audio/amr", "audio/amr"),
    "asf": ("audio/x-ms-wma", "video/x-ms-wmv"),
    "au": ("audio/basic", "audio/basic"),
    "avi": ("audio/x-msvideo", "video/x-msvideo"),
    "caf": ("audio/x-caf", "audio/x-caf"),
    "dss": ("audio/x-dss", "audio/x-dss"),
    "flac": ("audio/flac", "audio/flac"),
    "flv": ("audio/x-flv", "video/x-flv"),
    "matroska": ("audio/x-matroska", "video/x-matroska"),
    "mov": ("audio/mp4", "video/mp4"),
    "mp3": ("audio/mpeg", "audio/mpeg"),
    "mpeg": ("audio/mpeg", "video/mpeg"),
    "mpegts": ("audio/mp2t", "video/mp2t"),
    "ogg": ("audio/ogg", "video/ogg"),
    "w64": ("audio/x-w64", "audio/x-w64"),
    "wav": ("audio/wav", "audio/wav"),
}
_CODECS = frozenset(
    {
        "aac",
        "aac_latm",
        "ac3",
        "adpcm_ima_qt",
        "adpcm_ima_wav",
        "adpcm_ms",
        "alac",
        "amrnb",
        "amrwb",
        "dss_sp",
        "eac3",
        "flac",
        "g722",
        "g723_1",
        "g726",
        "gsm",
        "gsm_ms",
        "ilbc",
        "mp1",
        "mp1float",
        "mp2",
        "mp2float",
        "mp3",
        "mp3float",
        "opus",
        "pcm_alaw",
        "pcm_f32be",
        "pcm_f32le",
        "pcm_f64be",
        "pcm_f64le",
        "pcm_mulaw",
        "pcm_s16be",
        "pcm_s16le",
        "pcm_s24be",
        "pcm_s24le",
        "pcm_s32be",
        "pcm_s32le",
        "pcm_s8",
        "pcm_u8",
        "qdm2",
        "speex",
        "truespeech",
        "vorbis",
        "wmalossless",
        "wmapro",
        "wmav1",
        "wmav2",
        "wmavoice",
    }
)
_OPTIONS = {
    "format_whitelist": ",".join(_FORMATS),
    "codec_whitelist": ",".join(_CODECS),
    "protocol_whitelist": "none",  # there is no protocol of this name: nothing else can be opened
}
_BUFFER = (
    256 * 1024
)  # bytes read at once: eight times PyAV's default, as each read takes the interpreter's lock

# As FFmpeg's own aresample (min_hard_comp): below it a timestamp is imprecise, above it sound is missing.
GAP = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What is known about a file's sound. `duration` is in seconds, true even where the file states none."""

    duration: float
    media_type: str
    container: str
    codec: str
    sample_rate: int
    channels: int


class Clock:
    """Where in the recording we are, in seconds, whatever its timestamps say. It never runs backwards.

    A timestamp that is ahead means that sound is missing there (a pause of the recorder, a damaged part).
    One that is behind means that the timestamps began anew (files joined, a stream taken up again): from
    there on they are counted from where we are, so that no sound is lost.
    """

    def __init__(self, max_hours: float) -> None:
        self.now = 0.0
        self._shift = 0.0
        self._max_hours = max_hours

    def ahead(self, time: float | None) -> float:
        """By how many seconds a timestamp is ahead of us; GAP behind at most, but for what lies before 0."""
        if time is None:
            return 0.0
        ahead = time + self._shift - self.now
        if ahead < -GAP and time > 0:
            self._shift -= ahead
            return 0.0
        return ahead

    def advance(self, seconds: float) -> None:
        """Raises BadAudio `too_long`, at the moment the limit is passed."""
        self.now += seconds
        if self.now > self._max_hours * 3600:
            raise BadAudio("too_long", f"The recording is longer than {self._max_hours:g} hours.")


class _Source:
    """The little that FFmpeg may do with the file. Keeps errors, which FFmpeg would take for the end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: Exception | None = None

    def read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except Exception as error:
            self.error = error
            raise

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except ValueError:  # a damaged file may point before its own beginning
            raise OSError("There is nothing before the beginning of a file.") from None

    def tell(self) -> int:
        return self._file.tell()


class Media:
    """An open file and the one sound track of it that is meant. Use `opened` to get one."""

    def __init__(
        self, file: BinaryIO, source: _Source, container: InputContainer, stream: AudioStream
    ) -> None:
        self.file = file
        self.container = container
        self.stream = stream
        self._source = source
        self._origin = (container.start_time or 0) / av.time_base

    def packets(self) -> Iterator[Packet[AudioStream]]:
        """The packets of the track. Goes on behind damage for as long as that yields any."""
        found = True
        while found:
            found = False
            try:
                for packet in self.container.demux(self.stream):
                    found = True
                    yield packet
                break
            except av.FFmpegError:
                self.check()
        self.check()

    def time(self, packet: Packet[AudioStream] | AudioFrame) -> float | None:
        """Seconds from the beginning of the recording, as the file states it."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None or packet.time_base is None:
            return None
        return float(stamp * packet.time_base) - self._origin

    def check(self) -> None:
        """Raise what went wrong when the file was read (a disk, a network), if anything did."""
        if self._source.error:
            raise self._source.error


@contextmanager
def opened(file: BinaryIO) -> Iterator[Media]:
    """Open a seekable binary file from its beginning. It stays the caller's to close.

    Raises BadAudio (`empty_file`, `not_audio`, `truncated`, `no_sound`), and whatever reading the file
    raises.
    """
    if not file.seek(0, SEEK_END):
        raise BadAudio("empty_file", "The file is empty.")
    file.seek(0)
    source = _Source(file)
    try:
        container = av.open(
            source, mode="r", options=_OPTIONS, metadata_errors="replace", buffer_size=_BUFFER
        )
    except (av.FFmpegError, OSError) as error:
        if source.error:
            raise source.error from error
        if breaks_off(file, complete=False):
            raise BadAudio("truncated", "The file breaks off: its end is missing.") from error
        raise BadAudio("not_audio", "This is not a sound or video file of a kind we can read.") from error
    with container:
        stream = _sound(container)
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
        yield Media(file, source, container, stream)


def _sound(container: InputContainer) -> AudioStream:
    """The sound track that players would play: the first one marked as default, else the first."""
    tracks = list(container.streams.audio)
    if not tracks:
        raise BadAudio("no_sound", "The file has no sound track.")
    readable = [t for t in tracks if t.codec_context is not None and t.codec_context.name in _CODECS]
    if not readable:
        raise BadAudio("not_audio", "The sound is protected or of a kind we cannot read.")
    return next((t for t in readable if t.disposition & Disposition.default), readable[0])


def probe(file: BinaryIO, *, max_hours: float) -> AudioInfo:
    """Look whether a file is sound that can be transcribed, and measure it. Decodes only its first frame.

    Raises BadAudio: `empty_file`, `not_audio`, `no_sound`, `truncated`, `damaged` (nothing can be
    decoded) or `too_long`; and whatever reading the file raises.
    """
    with opened(file) as media:
        clock = Clock(max_hours)
        frame: AudioFrame | None = None
        packets = 0
        for packet in media.packets():
            frame = frame or next(iter(decoded(packet) or ()), None)
            if packet.size:
                packets += 1
                length = float((packet.duration or 0) * packet.time_base)
                clock.advance(max(0.0, clock.ahead(media.time(packet)) + length))
        if _is_truncated(media, clock.now):
            raise BadAudio("truncated", "The file breaks off: its end is missing.")
        if not packets:
            raise BadAudio("no_sound", "The file describes sound, but holds none of it.")
        if frame is None:
            raise BadAudio("damaged", "Nothing in the file can be decoded: it is damaged.")
        container = media.container.format.name.split(",")[0]
        return AudioInfo(
            duration=clock.now,
            media_type=_media_type(media, container),
            container=container,
            codec=media.stream.codec_context.name,
            sample_rate=frame.sample_rate,
            channels=frame.layout.nb_channels,
        )


def decoded(packet: Packet[AudioStream]) -> list[AudioFrame] | None:
    """The sound of a packet; None where it is damaged."""
    try:
        return packet.decode()
    except av.FFmpegError:
        return None


def _is_truncated(media: Media, end: float) -> bool:
    """Whether the file promises clearly more than it holds: bytes by its structure, or seconds by its
    header.

    Seconds count only in formats whose header states the length of this very track. For the others FFmpeg
    guesses.
    """
    if breaks_off(media.file, complete=True):
        return True
    stream = media.stream
    if media.container.format.name not in ("wav", "w64", "aiff", "au", "caf", "flac", "avi"):
        return False
    if stream.duration is None or stream.time_base is None:
        return False
    stated = float(stream.duration * stream.time_base)
    return stated - end > min(2.0, max(GAP, 0.01 * stated))


def _media_type(media: Media, container: str) -> str:
    sound, picture = _FORMATS[container]
    media.file.seek(0)
    head = media.file.read(64)
    if container == "matroska" and b"webm" in head:
        sound, picture = "audio/webm", "video/webm"
    elif container == "mov" and head[8:11] == b"3gp":
        sound, picture = "audio/3gpp", "video/3gpp"
    elif container == "mov" and head[8:12] == b"qt  ":
        picture = "video/quicktime"
    return picture if any(map(_is_moving, media.container.streams)) else sound


def _is_moving(stream: Stream) -> bool:
    return stream.type == "video" and not stream.disposition & Disposition.attached_pic
