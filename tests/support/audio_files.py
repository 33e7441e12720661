"""Audio files for tests, made by real encoders (those of PyAV, and the command `ffmpeg`) from real speech."""

import io
import math
import subprocess
import wave
from array import array
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tests.support.speech import librivox

RATE = 16_000
Sound = npt.NDArray[np.int16]


@cache
def clip() -> Sound:
    """7.1 s of speech that begins at 0.3 s and ends at 6.8 s."""
    return recorded(librivox()[0].path)


def recorded(path: Path) -> Sound:
    """The samples of a WAV file with one channel of 16 bits, at the file's own rate."""
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)]).astype(np.int16)


def encode(
    path: Path,
    *tracks: Sound,
    codec: str,
    rate: int = RATE,
    layout: str = "mono",
    container: str | None = None,
    muxer: Mapping[str, str] | None = None,
    encoder: Mapping[str, str] | None = None,
    picture: str | None = None,
    default: int = 0,
    starts: float = 0.0,
) -> Path:
    """Encode tracks of 16 kHz samples (one row, or one a channel) into a file at `rate`.

    `muxer` and `encoder`: FFmpeg's options. `picture`: the codec of a moving picture beside the sound, or
    `cover` for a still one. `default`: the index of the track that is marked as the default. `starts`: the timestamp
    of the first sample, in seconds.
    """
    with av.open(str(path), "w", format=container, options=dict(muxer or {})) as file:
        pictures = _picture_stream(file, picture) if picture else None
        streams = [_sound_stream(file, codec, rate, layout, dict(encoder or {})) for _ in tracks]
        for index, stream in enumerate(streams):
            stream.disposition = Disposition.default if index == default else Disposition(0)
        file.start_encoding()
        if pictures:
            _draw(file, pictures, 1 if picture == "cover" else 25 * 7)
        for stream, track in zip(streams, tracks, strict=True):
            size = stream.codec_context.frame_size or rate // 10
            resampler = AudioResampler(stream.codec_context.format, layout, rate, frame_size=size)
            for frame in (*_frames(np.atleast_2d(track), layout, starts), None):
                for part in resampler.resample(frame):
                    file.mux(stream.encode(part))
            file.mux(stream.encode(None))
    return path


def ffmpeg(path: Path, *options: str | Path, sound: Sound | None = None, pipe: bool = False) -> Path:
    """The file that the command `ffmpeg` makes of `sound` (16 kHz, one channel) and of the inputs in `options`.

    pipe: `ffmpeg` writes into a pipe, and so cannot go back and fill in lengths.
    """
    given = [] if sound is None else ["-f", "s16le", "-ar", str(RATE), "-ac", "1", "-i", "-"]
    command = ["ffmpeg", "-loglevel", "error", "-y", *given, *options, "-" if pipe else path]
    done = subprocess.run(command, input=b"" if sound is None else sound.tobytes(), stdout=subprocess.PIPE, check=True)
    if pipe:
        path.write_bytes(done.stdout)
    return path


def _frames(channels: Sound, layout: str, starts: float) -> Iterator[AudioFrame]:
    for first in range(0, channels.shape[1], RATE):
        part = np.ascontiguousarray(channels[:, first : first + RATE].T).reshape(1, -1)
        frame = AudioFrame.from_ndarray(part, "s16", layout)
        frame.sample_rate = RATE
        frame.time_base = Fraction(1, RATE)
        frame.pts = first + round(starts * RATE)
        yield frame


def _sound_stream(file: OutputContainer, codec: str, rate: int, layout: str, options: dict[str, str]) -> AudioStream:
    stream = cast(AudioStream, file.add_stream(codec, rate=rate, options=options))
    stream.codec_context.layout = layout
    return stream


def _picture_stream(file: OutputContainer, codec: str) -> VideoStream:
    stream = cast(VideoStream, file.add_stream("png" if codec == "cover" else codec, rate=25))
    stream.width, stream.height = 64, 48
    stream.pix_fmt = "yuv420p"
    if codec == "cover":
        stream.pix_fmt = "rgb24"
        stream.disposition = Disposition.attached_pic
    return stream


def _draw(file: OutputContainer, stream: VideoStream, pictures: int) -> None:
    black = np.zeros((48, 64, 3), np.uint8)
    for index in range(pictures):
        frame = VideoFrame.from_ndarray(black, "rgb24").reformat(format=stream.pix_fmt)
        frame.pts = index
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def loudness(samples: Sound) -> npt.NDArray[np.float64]:
    """The loudness of each 25 ms of 16 kHz samples. It can be compared, because codecs change it little."""
    whole = len(samples) // 400 * 400
    power: npt.NDArray[np.float64] = np.square(samples[:whole].astype(np.float64)).reshape(-1, 400).mean(axis=1)
    return np.sqrt(power)


def sounds_like(samples: Sound, start: float, original: Sound) -> bool:
    """Whether these 16 kHz samples are the original's from `start` (seconds) on, give or take 0.1 s."""

    def alike(late: float) -> float:
        first = max(0, round((start - late) * RATE))
        ours, theirs = loudness(samples), loudness(original[first : first + len(samples)])
        both = min(len(ours), len(theirs))
        return float(np.corrcoef(ours[:both], theirs[:both])[0, 1])

    return max(alike(late) for late in (-0.1, -0.075, -0.05, -0.025, 0, 0.025, 0.05, 0.075, 0.1)) > 0.9


def silent_wav(path: Path, seconds: int) -> None:
    """Write a WAV file of silence: 16 kHz, one channel. seconds: a multiple of 60."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        for _ in range(seconds // 60):
            file.writeframesraw(bytes(60 * 32000))


def tone(seconds: float) -> bytes:
    """A WAV file with a tone: 8 kHz, one channel."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(array("h", (int(8000 * math.sin(i / 3)) for i in range(int(8000 * seconds)))).tobytes())
    return file.getvalue()


# For each file name: the media type of the file, and the arguments of `encode` that make it.
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "8 bit.wav": ("audio/wav", {"codec": "pcm_u8"}),
    "16 bit.wav": ("audio/wav", {"codec": "pcm_s16le"}),
    "24 bit.wav": ("audio/wav", {"codec": "pcm_s24le"}),
    "32 bit.wav": ("audio/wav", {"codec": "pcm_s32le"}),
    "float.wav": ("audio/wav", {"codec": "pcm_f32le"}),
    "double.wav": ("audio/wav", {"codec": "pcm_f64le"}),
    "a-law 8 kHz.wav": ("audio/wav", {"codec": "pcm_alaw", "rate": 8000}),
    "mu-law.wav": ("audio/wav", {"codec": "pcm_mulaw"}),
    "adpcm.wav": ("audio/wav", {"codec": "adpcm_ms"}),
    "192 kHz.wav": ("audio/wav", {"codec": "pcm_s24le", "rate": 192_000}),
    "rf64.wav": ("audio/wav", {"codec": "pcm_s16le", "muxer": {"rf64": "always"}}),
    "with header.mp3": ("audio/mpeg", {"codec": "libmp3lame", "rate": 44_100}),
    "vbr without header.mp3": (
        "audio/mpeg",
        {
            "codec": "libmp3lame",
            "muxer": {"write_xing": "0", "id3v2_version": "0"},
            "encoder": {"flags": "+qscale", "global_quality": "600"},
        },
    ),
    "cover.mp3": ("audio/mpeg", {"codec": "libmp3lame", "picture": "cover"}),
    "aac.m4a": ("audio/mp4", {"codec": "aac", "rate": 44_100, "container": "ipod"}),
    "index first.m4a": ("audio/mp4", {"codec": "aac", "muxer": {"movflags": "faststart"}, "container": "mp4"}),
    "alac.m4a": ("audio/mp4", {"codec": "alac", "container": "ipod"}),
    "fragments.mp4": ("audio/mp4", {"codec": "aac", "muxer": {"movflags": "frag_keyframe+empty_moov"}}),
    "adts.aac": ("audio/aac", {"codec": "aac"}),
    "opus.ogg": ("audio/ogg", {"codec": "libopus", "rate": 48_000}),
    "browser.webm": ("audio/webm", {"codec": "libopus", "rate": 48_000, "muxer": {"live": "1"}}),
    "flac.flac": ("audio/flac", {"codec": "flac"}),
    "phone.amr": ("audio/amr", {"codec": "libopencore_amrnb", "rate": 8000, "encoder": {"b": "12200"}}),
    "phone.3gp": ("audio/3gpp", {"codec": "libopencore_amrnb", "rate": 8000, "encoder": {"b": "12200"}}),
    "windows.wma": ("audio/x-ms-wma", {"codec": "wmav2", "encoder": {"b": "64000"}}),
    "apple.aiff": ("audio/aiff", {"codec": "pcm_s16be"}),
    "apple.caf": ("audio/x-caf", {"codec": "pcm_s16le"}),
    "sun.au": ("audio/basic", {"codec": "pcm_s16be"}),
    "long.w64": ("audio/x-w64", {"codec": "pcm_s16le"}),
    "video.mp4": ("video/mp4", {"codec": "aac", "picture": "mpeg4"}),
    "video.mkv": ("video/x-matroska", {"codec": "aac", "picture": "mpeg4"}),
    "video.mov": ("video/quicktime", {"codec": "pcm_s16le", "picture": "mpeg4"}),
    "video.avi": ("video/x-msvideo", {"codec": "libmp3lame", "picture": "mpeg4", "rate": 44_100}),
    "video.ts": ("video/mp2t", {"codec": "aac", "picture": "mpeg1video"}),
}
