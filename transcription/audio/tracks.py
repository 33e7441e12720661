"""The sound tracks of a file, and the choice of those that are heard."""

from __future__ import annotations  # PyAV's types are generic in its stubs only

import re
from collections.abc import Sequence
from dataclasses import dataclass

from av.audio.stream import AudioStream
from av.stream import Disposition

from transcription.audio.kinds import CODECS
from transcription.errors import BadAudio

_READ = frozenset(CODECS.split(","))
_MOST = 16  # tracks heard at once: the most that broadcasts have (SMPTE 377-1's usual 16 channels, one a track)
_LONGEST = 80  # characters of a title

# Tracks with comments on the programme, or made beside it.
_ASIDE = (
    Disposition.comment
    | Disposition.dub
    | Disposition.karaoke
    | Disposition.lyrics
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.clean_effects
    | Disposition.non_diegetic
    | Disposition.descriptions
    | Disposition.dependent
)
_COMMENTARY = re.compile(r"comment|descri|评论|解说|旁白", re.IGNORECASE)
# Codecs of films, on discs and in broadcasts. Several tracks of these are versions of one sound.
_FILM = frozenset(("ac3", "eac3", "dca", "truehd", "mlp", "pcm_dvd", "pcm_bluray"))


@dataclass(frozen=True, slots=True)
class Track:
    """A sound track. `number` counts from 1; `language` and `title` are the file's, or empty."""

    number: int
    codec: str
    channels: int
    language: str
    title: str
    heard: bool


def codec_name(stream: AudioStream) -> str | None:
    return stream.codec_context.name if stream.codec_context else None


def readable(stream: AudioStream) -> bool:
    return codec_name(stream) in _READ


def choose(streams: Sequence[AudioStream], number: int | None) -> list[AudioStream]:
    """The tracks to hear: the one with this number; else all readable ones, unless they are versions of one sound.

    Tracks of several people, or of a microphone and a desktop, belong together. Tracks in several languages, and those
    of a film, are versions: the default one is heard, else the first.
    Raises BadAudio `no_such_track`.
    """
    if number is not None:
        if not 1 <= number <= len(streams):
            message = f"The file has no sound track {number}: it has {len(streams)}."
            raise BadAudio("no_such_track", message, str(len(streams)))
        return [stream for stream in streams[number - 1 : number] if readable(stream)]
    read = [stream for stream in streams if readable(stream)]
    main = [stream for stream in read if not _is_aside(stream)] or read
    languages = {_language(stream) for stream in main} - {""}
    if len(languages) > 1 or any(codec_name(stream) in _FILM for stream in main):
        return [next((stream for stream in main if stream.disposition & Disposition.default), main[0])]
    return main[:_MOST]


def described(streams: Sequence[AudioStream], heard: Sequence[AudioStream]) -> list[Track]:
    return [
        Track(
            number,
            codec_name(stream) or "?",
            stream.codec_context.layout.nb_channels if stream.codec_context else 0,
            _language(stream),
            _title(stream),
            stream in heard,
        )
        for number, stream in enumerate(streams, 1)
    ]


def _is_aside(stream: AudioStream) -> bool:
    return bool(stream.disposition & _ASIDE or _COMMENTARY.search(_title(stream)))


def _language(stream: AudioStream) -> str:
    language = _line(stream.metadata.get("language", ""))[:16].lower()
    return "" if language == "und" else language


def _title(stream: AudioStream) -> str:
    """The track's title. MP4 keeps it in `handler_name`, where most programs write their own name."""
    handler = _line(stream.metadata.get("handler_name", ""))
    name = "" if re.search("handler|media|^mono$|^stereo$", handler, re.IGNORECASE) else handler
    return _line(stream.metadata.get("title", "")) or name


def _line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:_LONGEST]
