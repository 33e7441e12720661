"""Whether a file is sound that can be transcribed, and how long it is, found out without decoding it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from av.audio.frame import AudioFrame

from transcription.audio.clock import Clock
from transcription.audio.kinds import FORMATS, WITH_PICTURES
from transcription.audio.media import Media, decoded, opened
from transcription.audio.playable import plays
from transcription.audio.promised import breaks_off
from transcription.errors import BadAudio

# Formats that state seconds, but not bytes: a file of these that is shorter than it says was cut off.
_SECONDS_ONLY = ("au", "flac")

# Packets of speech last 20 ms, at least 10; those of music at high rates are short, but not small. Others are a trap:
# each takes as long as any.
_MANY = 10_000  # packets
_SHORT = 0.005  # seconds
_SMALL = 64  # bytes


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What is known about a file's sound. `duration` is in seconds, true even where the file states none; `plays`:
    browsers play the file as it is."""

    duration: float
    media_type: str
    container: str
    codec: str
    sample_rate: int
    channels: int
    plays: bool


def probe(file: BinaryIO, *, max_hours: float, heard: Callable[[float], None] = lambda seconds: None) -> AudioInfo:
    """Read through a file and decode no more than its first frame. It stays the caller's to close.

    heard: called now and then with the number of seconds of sound so far.

    Raises BadAudio: `empty_file`, `not_audio`, `no_sound`, `truncated`, `damaged` (nothing can be
    decoded) or `too_long`; and whatever reading the file raises.
    """
    with opened(file) as media:
        clock = Clock(max_hours)
        frame: AudioFrame | None = None
        packets = size = 0
        for packet in media.packets():
            frame = frame or next(iter(decoded(packet) or ()), None)
            if packet.size:
                packets += 1
                size += packet.size
                clock.advance(max(0.0, clock.ahead(media.time(packet)) + media.length(packet)))
            if packets % _MANY == 0 and packets:
                heard(clock.now)
                if packets > clock.now / _SHORT and size < packets * _SMALL:
                    raise BadAudio("too_complex", "The sound is cut into far more packets than a recording has.")
        if breaks_off(file, complete=True) or (media.format in _SECONDS_ONLY and media.falls_short(clock.now)):
            raise BadAudio("truncated", "The file breaks off: its end is missing.")
        if not packets and len(media.stream.index_entries):
            raise BadAudio("not_audio", "The file only points to sound elsewhere; we need the sound itself.")
        if not packets:
            raise BadAudio("no_sound", "The file describes sound, but holds none of it.")
        if frame is None:
            raise BadAudio("damaged", "Nothing in the file can be decoded: it is damaged.")
        media_type = _media_type(file, media)
        return AudioInfo(
            duration=clock.now,
            media_type=media_type,
            container=media.format,
            codec=media.stream.codec_context.name,
            sample_rate=frame.sample_rate,
            channels=frame.layout.nb_channels,
            plays=plays(media, media_type),
        )


def _media_type(file: BinaryIO, media: Media) -> str:
    """The media type that a browser needs in order to play the file."""
    file.seek(0)
    head = file.read(64)
    kind = "video" if media.has_pictures else "audio"
    if media.format == "matroska":
        return f"{kind}/webm" if b"webm" in head else f"{kind}/x-matroska"
    if media.format == "mov":
        if head[8:12] == b"qt  " and media.has_pictures:
            return "video/quicktime"
        return f"{kind}/3gpp" if head[8:11] == b"3gp" else f"{kind}/mp4"
    return WITH_PICTURES.get(media.format, FORMATS[media.format]) if media.has_pictures else FORMATS[media.format]
