"""A file opened without trust, to read the packets of its sound.

Any bytes may be in the file. Only the formats and codecs of `kinds` are opened. FFmpeg may read the given file object
and nothing else, never sees its name, decodes only sound, and is bounded in the memory that it allocates and in the
bytes that it reads. `Media` is large because all its answers come from one open container, which changes with each
joined file.
"""

from __future__ import annotations  # PyAV's types are generic in its stubs only

import ctypes
import ctypes.util
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from io import SEEK_CUR, SEEK_END, SEEK_SET
from pathlib import Path
from typing import BinaryIO, Self, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from transcription.audio.clock import GAP
from transcription.audio.kinds import CODECS, FORMATS, written_codec
from transcription.audio.outline import Outline, is_mark, mp3_frame_size, outline
from transcription.audio.tracks import choose, codec_name, described
from transcription.errors import BadAudio

_OPTIONS = {
    "format_whitelist": ",".join(FORMATS),
    "codec_whitelist": CODECS,
    "protocol_whitelist": "none",  # no protocol has this name, so nothing else can be opened
    "max_streams": "200",  # a film on disc has 40: eight of sound, thirty of subtitles
    # How far a file is searched for tracks that begin late: ten minutes (in microseconds), and 32 MB.
    "analyzeduration": "600000000",
    "probesize": "33554432",
}
_MOST_CHANNELS = 64  # FFmpeg's resampler takes no more
# Formats in which a stream may begin anywhere. PyAV (18.1) reads a table for each stream, with as many bytes as there
# were streams at first, and at least 24, as malloc gives no less. With so many streams at most, it stays in its table.
_LATE_STREAMS = {"dhav", "flv", "live_flv", "mpeg", "mpegts", "wtv"}
_TABLE = 24
_TIME = re.compile(r"(\d{1,6}):(\d{1,2}):(\d{1,2}(?:\.\d{1,12})?)")

# Formats without times: FFmpeg only adds up the lengths.
_TIMELESS = frozenset(("aac", "ac3", "dts", "eac3", "gsm", "loas", "mlp", "truehd"))
# Formats whose clock may begin at any time.
_ANY_CLOCK = frozenset(("dhav", "mp3", "mpeg", "mpegts", "wtv"))
# Formats that state the length of each track, and of the file as a whole.
_STATED = frozenset(("ape", "dsf", "flac", "mov", "mpc", "mpc8", "mxf", "tak", "tta", "wv"))
_STATED_AS_A_WHOLE = frozenset(("flv", "matroska"))
# With a later first time, the clock is that of a broadcast that began before the recording.
_LATEST = 60.0  # seconds
_MOST_PARTS = 1000  # files joined to one: a phone's memos of a year, and more
_EVEN = frozenset(("ac3", "eac3", "dca", "gsm", "mp1", "mp1float", "mp2", "mp2float"))  # packets mostly of one size
_WHOLE = frozenset(("gsm", "mlp", "truehd"))  # streams of nothing but packets, which FFmpeg gives when they are whole
_A_ROW = 15  # packets of one size that make a rule, a third of a second and more

_DESCRIPTION = 1024**2  # bytes at the beginning or the end of a file, where it says what it holds
_BUFFER = 256 * 1024  # bytes read at once, eight times PyAV's default: each read takes the interpreter's lock

# Bytes FFmpeg may allocate at once. An MP4 of 20 kB can ask for gigabytes by claiming 100 million packets; those
# of 12 hours of sound and picture (4.6 million at 48 kHz and 60 pictures a second, 24 bytes each) still fit.
_MOST_MEMORY = 128 * 1024**2


def _bound_memory() -> None:
    """Set FFmpeg's limit of one allocation (the tool's `-max_alloc`), which PyAV does not offer."""
    package = Path(av.__file__).parent
    brought = [*package.parent.glob("av.libs/libavutil*"), *package.glob(".dylibs/libavutil*")]
    library = ctypes.CDLL(str(brought[0]) if brought else ctypes.util.find_library("avutil"))
    library.av_max_alloc(ctypes.c_size_t(_MOST_MEMORY))


_bound_memory()


class _Source:
    """The file, or a part of it, as FFmpeg reads it. Keeps errors of reading, which FFmpeg takes for the end.

    `mended`: bytes that are read in place of those in the file, by position.
    """

    def __init__(self, file: BinaryIO, start: int, end: int, mended: Sequence[tuple[int, bytes]]) -> None:
        self._file = file
        self._start, self._end = start, end
        self._mended = mended
        # Where sound and picture lie far from each other, each packet may fill FFmpeg's buffer anew.
        self._left = 64 * (end - start) + 1024**3
        self.error: Exception | None = None

    def read(self, size: int) -> bytes:
        try:
            at = self._file.tell()
            data = self._file.read(max(0, min(size, self._end - at)))
            self._left -= len(data)
            if self._left < 0:
                raise _trap()
        except Exception as error:
            self.error = error
            raise
        for position, better in self._mended:
            if at <= position and position + len(better) <= at + len(data):
                data = data[: position - at] + better + data[position - at + len(better) :]
        return data

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        base = {SEEK_SET: self._start, SEEK_CUR: self._file.tell(), SEEK_END: self._end}[whence]
        return self._file.seek(max(self._start, base + offset)) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start


def _trap() -> BadAudio:
    return BadAudio("damaged", "The file points to the same parts of itself over and over.")


class Media:
    """An open file and those of its sound tracks that are heard. Get one by `with opened(…)`.

    Joined files are its parts. `stream`, `heard`, the times and all statements of the file are those of the current
    part, to which `parts` has come.
    """

    def __init__(self, file: BinaryIO, size: int, track: int | None) -> None:
        self._file = file
        self._size = size
        self._track = track
        self._count = 1  # of its parts so far
        self.unread = False
        file.seek(0)
        self.head = file.read(64)
        self._open(0)
        self.tracks = described(self._container.streams.audio, self.heard)

    def _open(self, start: int) -> None:
        found = outline(self._file, start)
        end = found.next or self._size
        source = _Source(self._file, start, end, found.mended)
        container = _container(source, found)
        try:
            self.heard = _heard(container, self._file, self._track)
        except BadAudio:
            container.close()
            raise
        self._start, self._outline, self._source, self._container = start, found, source, container
        self._lanes = {stream.index: lane for lane, stream in enumerate(self.heard)}
        for stream in self._container.streams:
            if stream.index not in self._lanes:
                stream.discard = Discard.all
        self.stream = self.heard[0]
        self.format = self._container.format.name.split(",")[0]
        self.picture = next(filter(None, map(_moving, self._container.streams)), None)  # the codec of a moving one
        self.endless = self._container.duration is None  # a live stream, whose length nobody knew when it began
        self.broken = False  # whether the demuxer met something it could not get over
        self._most = 4 * (end - start) + 64 * 1024**2  # bytes of packets: each part of a file is in one, or in few
        self._last: Packet[Stream] | None = None
        self._packet_size = self._of_one_size = 0
        self._is_short = False  # the last packet is smaller than all those before, which were of one size
        begins = (self._container.start_time or 0) / av.time_base
        self._origin = begins if self._starts_anywhere(begins) else 0.0
        self.late = begins - self._origin  # seconds of the recording before the first sound or picture

    def _starts_anywhere(self, begins: float) -> bool:
        """Whether the recording begins with the first time in the file, and not at the file's time 0.

        MP4 states by its edit list when a sound begins, Matroska and others by their first packet, as long as it is
        not later than _LATEST. In others the pictures tell where the recording begins.
        """
        if begins < 0 or self.format in _ANY_CLOCK | _TIMELESS:
            return True
        if self.format == "mov" and not self._outline.fragmented:
            return False
        if self.has_pictures and self.format == "matroska":  # FFmpeg does not know when they begin, but where all ends
            return (self._container.duration or 0) < begins * av.time_base
        return begins > _LATEST or self.has_pictures

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def has_pictures(self) -> bool:
        return self.picture is not None

    @property
    def is_plain(self) -> bool:
        """Whether any player plays what is heard: one track, the first or default one, in one part, from 0."""
        tracks = self._container.streams.audio
        played = next((track for track in tracks if track.disposition & Disposition.default), tracks[0])
        late = self.late > GAP and not self.has_pictures
        return self.heard == [played] and self._outline.next is None and not late and not self._outline.mended

    @property
    def breaks_off(self) -> bool:
        """Whether the file announces more bytes than it has."""
        return self._outline.missing > 0

    @property
    def is_sparse(self) -> bool:
        """Whether a track may pause: beside pictures, or beside other tracks."""
        return self.has_pictures or len(self.heard) > 1

    def lane(self, packet: Packet[AudioStream]) -> int:
        """The packet's track among those that are heard, counted from 0."""
        return self._lanes[packet.stream.index]

    def parts(self) -> Iterator[None]:
        """Go from part to part; most files have one. Ends before a part that cannot be read, and sets `unread`."""
        yield
        while self._outline.next is not None:
            before = self._container
            self._count += 1
            try:
                if self._count == _MOST_PARTS:
                    raise BadAudio("damaged", "The file is made of too many files.")
                self._open(self._outline.next)
            except BadAudio:
                self.unread = True
                return
            before.close()
            yield

    def packets(self) -> Iterator[Packet[AudioStream]]:
        """The packets of the tracks, with an empty one at the end of each track. Goes on behind damage while packets
        come."""
        found = True
        while found:
            found = False
            try:
                for packet in self._container.demux(self.heard):
                    found = True
                    if packet.size:
                        self._note(packet)
                    yield cast("Packet[AudioStream]", packet)
                break
            except IndexError:  # a stream began late, and PyAV takes it for one that was asked for, at the end
                break
            except av.FFmpegError:
                self._check()
                self.broken = True
        self._check()

    def _note(self, packet: Packet[Stream]) -> None:
        short = packet.size < self._packet_size and self._of_one_size > _A_ROW
        self._is_short = short and self.stream.codec_context.name in _EVEN and len(self.heard) == 1
        self._of_one_size = self._of_one_size + 1 if packet.size == self._packet_size else 1
        self._packet_size = packet.size
        self._last = packet
        self._most -= packet.size
        if self._most < 0:
            raise _trap()

    def _is_torn(self) -> bool:
        """Whether the file ends within its last packet."""
        packet = self._last
        if packet is None or self.format == "rm":  # whose last packet is always marked as such
            return False
        if self.format in _WHOLE and packet.pos is not None and packet.pos + packet.size < self._size - self._start:
            return True
        if self.stream.codec_context.name == "mp3float" and packet.size < mp3_frame_size(bytes(packet)[:4]):
            return True
        return packet.is_corrupt or self._is_short

    def is_timed(self, packet: Packet[AudioStream]) -> bool:
        """Whether the packet's time is the file's. In MPEG's streams it is FFmpeg's guess, except for a packet that
        begins at a stated time. A guess is wrong where the sample rate has changed."""
        return packet.pos is not None or self.format not in _ANY_CLOCK

    def time(self, of: Packet[AudioStream] | AudioFrame) -> float | None:
        """Seconds from the beginning of the recording, or of this part of it, as the file states it."""
        stamp = of.pts if of.pts is not None else of.dts
        if stamp is None or of.time_base is None or self.format in _TIMELESS:
            return None
        return _seconds(stamp, of.time_base) - self._origin

    def length(self, packet: Packet[AudioStream]) -> float:
        """Seconds of sound in the packet, as the file states it; 0 where it does not."""
        return _seconds(packet.duration or 0, packet.time_base)

    def stated(self, stream: AudioStream) -> float | None:
        """End of the track in seconds, as the file states it; None where FFmpeg would only guess."""
        if self.format in _STATED and stream.duration and not is_mark(stream.duration):
            return float((stream.duration + (stream.start_time or 0)) * (stream.time_base or 0)) - self._origin
        if tag := _TIME.match(stream.metadata.get("DURATION", "")):
            return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) - self._origin
        whole = self._container.duration
        if self.format in _STATED_AS_A_WHOLE and whole and not self.has_pictures:
            late = self.late if self.format == "flv" else -self._origin
            return whole / av.time_base + late
        return None

    def missing(self, ends: Sequence[float]) -> tuple[float, float] | None:
        """The missing end of this part, as (start, end) in seconds; None where nothing is missing.

        ends: the time at which each track ended. All times are of this part. Where the file states no times, a missing
        byte counts for as much sound as a present one.
        """
        end = max(ends)
        known = [(stated, at) for at, stream in zip(ends, self.heard, strict=False) if (stated := self.stated(stream))]
        short = [(at, stated) for stated, at in known if stated - at > min(2.0, max(GAP, 0.01 * stated))]
        if short:
            return min(at for at, _ in short), max(stated for _, stated in short)
        if not known and self._outline.missing:
            return end, end + end * self._outline.missing / (self._size - self._start)
        return (end, end) if self.broken or (not known and self._is_torn()) else None

    def _check(self) -> None:
        """Raise the error of reading the file (a disk, a network), if there was one."""
        if self._source.error:
            raise self._source.error


def _seconds(ticks: int, base: Fraction) -> float:
    """`float(ticks * base)`, in a third of the time, since a long file has millions of packets."""
    return ticks * base.numerator / base.denominator


def opened(file: BinaryIO, track: int | None = None) -> Media:
    """Open a seekable binary file from its beginning. The caller closes it.

    track: number of the sound track to hear, from 1; None: see `tracks.choose`.
    Raises BadAudio (`empty_file`, `not_audio`, `unknown_codec`, `truncated`, `no_sound`, `no_such_track`), and
    the errors of reading the file.
    """
    size = file.seek(0, SEEK_END)
    if not size:
        raise BadAudio("empty_file", "The file is empty.")
    return Media(file, size, track)


def _container(source: _Source, found: Outline) -> InputContainer:
    try:
        return _bounded(source)
    except Exception as error:
        if source.error:
            raise source.error from error
        if isinstance(error, MemoryError):
            raise BadAudio("too_complex", "To open the file takes more memory than a file may take.") from error
        if not found.indexed:
            message = "The file breaks off before its index, without which nothing can be read."
            raise BadAudio("truncated", message) from error
        if found.missing:
            raise BadAudio("truncated", "The file breaks off before any sound that can be read.") from error
        raise BadAudio("not_audio", "This is not a sound or video file of a kind we can read.") from error


def _bounded(source: _Source) -> InputContainer:
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


def _heard(container: InputContainer, file: BinaryIO, track: int | None) -> list[AudioStream]:
    streams = container.streams.audio
    if not streams:
        raise BadAudio("no_sound", "The file has no sound track.")
    if heard := choose(streams, track):
        for stream in heard:
            if (channels := stream.codec_context.channels) > _MOST_CHANNELS:
                what = f"{stream.codec_context.name}, {channels} channels"
                raise BadAudio("unknown_codec", f"The sound is of a kind we cannot read: {what}.", what)
        return heard
    meant = streams if track is None else streams[track - 1 : track]
    names = ", ".join(sorted({codec_name(stream) or _written(file) for stream in meant}))
    raise BadAudio("unknown_codec", f"The sound is of a kind we cannot read: {names}.", names)


def _written(file: BinaryIO) -> str:
    file.seek(0)
    head = file.read(_DESCRIPTION)
    file.seek(max(0, file.seek(0, SEEK_END) - _DESCRIPTION))
    return written_codec(head + file.read(_DESCRIPTION))


def _moving(stream: Stream) -> str | None:
    """The codec of a video stream; None for other streams and for the picture of a cover."""
    if stream.type != "video" or stream.disposition & Disposition.attached_pic:
        return None
    return stream.codec_context.name if stream.codec_context else "unknown"


def decoded(packet: Packet[AudioStream], decoder: AudioCodecContext | None = None) -> list[AudioFrame] | None:
    """The sound of a packet, by the track's own decoder or the given one; None where it is damaged. An empty packet
    within a file, and the title of a joined MP3, have no sound."""
    if not packet.size and packet.pts is not None:
        return []
    try:
        return decoder.decode(packet) if decoder else packet.decode()
    except av.FFmpegError:
        return [] if bytes(packet)[:3] in (b"ID3", b"TAG") else None


def new_decoder(stream: AudioStream) -> AudioCodecContext:
    """A fresh decoder for the track."""
    decoder = cast(AudioCodecContext, av.CodecContext.create(stream.codec_context.name, "r"))
    decoder.extradata = stream.codec_context.extradata
    return decoder
