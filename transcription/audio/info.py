"""Facts about a file's sound: whether it can be transcribed, its length, its tracks. Found without decoding it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from av.audio.frame import AudioFrame

from transcription.audio.clock import Clock
from transcription.audio.kinds import FORMATS, WITH_PICTURES
from transcription.audio.media import Media, decoded, opened
from transcription.audio.playable import plays
from transcription.audio.tracks import Track
from transcription.errors import BadAudio

# Packets of speech last 10 ms or more, mostly 20; those of music at high rates are short, but not small. A file of many
# packets that are short and small is a trap, as each takes as long to read as any other.
_MANY = 10_000  # packets
_SHORT = 0.005  # seconds
_SHORTEST = {"mlp": 0.0002, "truehd": 0.0002}  # seconds; 40 samples at 48 to 192 kHz, and next to nothing in silence
_SMALL = 64  # bytes


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """Facts about a file's sound.

    duration: seconds, counted, also where the file states none.
    plays: whether browsers play the file as it is.
    damaged: parts that the file announces and does not have, as (start, end) in seconds. Parts that cannot be decoded
    are found only by decoding.
    tracks: all sound tracks. `codec`, `sample_rate` and `channels` are of the first one that is heard.
    """

    duration: float
    media_type: str
    container: str
    codec: str
    sample_rate: int
    channels: int
    plays: bool
    damaged: tuple[tuple[float, float], ...]
    tracks: tuple[Track, ...]


def audio_info(
    file: BinaryIO,
    *,
    max_hours: float,
    track: int | None = None,
    heard: Callable[[float], None] = lambda seconds: None,
) -> AudioInfo:
    """Read through a file, decoding only its first frames. The caller closes it.

    track: number of the one sound track to hear, from 1; None: those that `tracks.choose` chooses.
    heard: called now and then with the seconds of sound read so far.
    Raises BadAudio: `empty_file`, `not_audio`, `unknown_codec`, `no_such_track`, `no_sound`, `truncated` (before
    anything that can be read), `damaged` (nothing can be decoded) or `too_long`; and whatever reading the file raises.
    """
    with opened(file, track) as media:
        reading = _Reading(media, max_hours, heard)
        media_type = _media_type(media)
        first = media.stream
        played = plays(media, media_type)
        for _ in media.parts():
            reading.read_part()
        if media.unread:
            reading.damaged.append((reading.duration, reading.duration))
        if reading.frame is None:
            raise _nothing(media, reading.packets)
        return AudioInfo(
            duration=reading.duration,
            media_type=media_type,
            container=media.format,
            codec=first.codec_context.name,
            sample_rate=reading.frame.sample_rate,
            channels=reading.frame.layout.nb_channels,
            plays=played,
            damaged=tuple(reading.damaged),
            tracks=tuple(media.tracks),
        )


class _Reading:
    """Length of each track of a file, counted by the times of its packets."""

    def __init__(self, media: Media, max_hours: float, heard: Callable[[float], None]) -> None:
        self._media = media
        self._heard = heard
        self._clocks = [Clock(max_hours) for _ in media.heard]
        self._times: list[float | None] = [None for _ in media.heard]
        self._longest = max_hours * 3600
        self.frame: AudioFrame | None = None  # the first one
        self.packets = self._size = 0
        self.damaged: list[tuple[float, float]] = []

    @property
    def duration(self) -> float:
        return max(clock.now for clock in self._clocks)

    def read_part(self) -> None:
        media, begun = self._media, self.duration
        for clock in self._clocks:
            clock.advance(begun - clock.now)
            clock.restart()
        for packet in media.packets():
            self.frame = self.frame or next(iter(decoded(packet) or ()), None)
            if packet.size and (lane := media.lane(packet)) < len(self._clocks):
                self._count(packet.size)
                clock = self._clocks[lane]
                time = media.time(packet)
                length = media.length(packet) or self._stride(lane, time)
                clock.advance(max(0.0, clock.ahead(time) + length))
        if lost := media.missing([clock.now - begun for clock in self._clocks]):
            self.damaged.append((begun + lost[0], min(begun + lost[1], self._longest)))

    def _count(self, size: int) -> None:
        self.packets += 1
        self._size += size
        if self.packets % _MANY == 0:
            self._heard(self.duration)
            short = _SHORTEST.get(self._media.stream.codec_context.name, _SHORT)
            if self.packets > len(self._clocks) * self.duration / short and self._size < self.packets * _SMALL:
                raise BadAudio("too_complex", "The sound is cut into far more packets than a recording has.")

    def _stride(self, lane: int, time: float | None) -> float:
        """Seconds since the packet before: the length of a packet for which the file states none."""
        before, self._times[lane] = self._times[lane], time
        return 0.0 if before is None or time is None else max(0.0, time - before)


def _nothing(media: Media, packets: int) -> BadAudio:
    """The error for a file in which no sound was found."""
    if packets and not media.breaks_off:
        return BadAudio("damaged", "Nothing in the file can be decoded: it is damaged.")
    if not media.breaks_off and len(media.stream.index_entries):
        return BadAudio("not_audio", "The file only points to sound elsewhere; we need the sound itself.")
    if media.missing([0.0]):
        return BadAudio("truncated", "The file breaks off before any sound that can be read.")
    return BadAudio("no_sound", "The file describes sound, but holds none of it.")


def _media_type(media: Media) -> str:
    """The media type that a browser needs in order to play the file."""
    head = media.head
    kind = "video" if media.has_pictures else "audio"
    if media.format == "matroska":
        return f"{kind}/webm" if b"webm" in head else f"{kind}/x-matroska"
    if media.format == "mov":
        if head[8:12] == b"qt  " and media.has_pictures:
            return "video/quicktime"
        return f"{kind}/3gpp" if head[8:11] == b"3gp" else f"{kind}/mp4"
    return WITH_PICTURES.get(media.format, FORMATS[media.format]) if media.has_pictures else FORMATS[media.format]
