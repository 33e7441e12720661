"""Every codec that recordings use is heard, in every container that may hold it; a refusal names the codec."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.audio_files import clip, encode, ffmpeg, sounds_like
from transcription.audio import SpeechReader, audio_info
from transcription.errors import BadAudio

EXPERIMENTAL = {"strict": "experimental"}
STEREO = {"rate": 48_000, "layout": "stereo"}
PHONE = {"rate": 8000}

# For each file's name: FFmpeg's name of the decoder, and how the file is made.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "dolby.ac3": ("ac3", {"codec": "ac3", "rate": 48_000}),
    "dolby.eac3": ("eac3", {"codec": "eac3", "rate": 48_000}),
    "dolby.mkv": ("eac3", {"codec": "eac3", "rate": 48_000}),
    "dolby.mp4": ("ac3", {"codec": "ac3", "rate": 48_000}),
    "dolby.ts": ("ac3", {"codec": "ac3", "rate": 48_000}),
    "disc.vob": ("ac3", {"codec": "ac3", "rate": 48_000, "container": "vob"}),
    "disc pcm.vob": ("pcm_dvd", {"codec": "pcm_dvd", "container": "vob", **STEREO}),
    "disc.m2ts": ("pcm_bluray", {"codec": "pcm_bluray", "container": "mpegts", **STEREO}),
    "camera.mpg": ("mp2", {"codec": "mp2", "rate": 48_000}),
    "radio.mp2": ("mp2", {"codec": "mp2", "rate": 48_000}),
    "old.avi": ("mp2", {"codec": "mp2", "rate": 48_000}),
    "broadcast.mxf": ("pcm_s24le", {"codec": "pcm_s24le", "picture": "mpeg2video", "rate": 48_000}),
    "tv.wtv": ("ac3", {"codec": "ac3", "rate": 48_000}),
    "lossless.wv": ("wavpack", {"codec": "wavpack"}),
    "lossless.tta": ("tta", {"codec": "tta"}),
    "lossless wv.mkv": ("wavpack", {"codec": "wavpack"}),
    "lossless tta.mka": ("tta", {"codec": "tta", "container": "matroska"}),
    "lossless alac.mka": ("alac", {"codec": "alac", "container": "matroska"}),
    "lossless alac.caf": ("alac", {"codec": "alac"}),
    "lossless flac.ogg": ("flac", {"codec": "flac"}),
    "lossless flac.mp4": ("flac", {"codec": "flac", "encoder": EXPERIMENTAL}),
    "float.mkv": ("pcm_f32le", {"codec": "pcm_f32le"}),
    "opus.mp4": ("opus", {"codec": "libopus", "rate": 48_000}),
    "vorbis.mkv": ("vorbis", {"codec": "vorbis", "encoder": EXPERIMENTAL, **STEREO}),
    "speech.flv": ("nellymoser", {"codec": "nellymoser", "rate": 44_100}),
    "flash.flv": ("adpcm_swf", {"codec": "adpcm_swf", "rate": 44_100}),
    "aac.flv": ("aac", {"codec": "aac", "rate": 44_100}),
    "ima.wav": ("adpcm_ima_wav", {"codec": "adpcm_ima_wav"}),
    "yamaha.wav": ("adpcm_yamaha", {"codec": "adpcm_yamaha"}),
    "ima.aiff": ("adpcm_ima_qt", {"codec": "adpcm_ima_qt"}),
    "ima.mov": ("adpcm_ima_qt", {"codec": "adpcm_ima_qt"}),
    "phone g722.wav": ("g722", {"codec": "g722"}),
    "phone g723.wav": ("g723_1", {"codec": "g723_1", "encoder": {"b": "6300"}, **PHONE}),
    "phone g726.wav": ("g726", {"codec": "g726", "encoder": {"b": "32000"}, **PHONE}),
    "phone a-law.mov": ("pcm_alaw", {"codec": "pcm_alaw", **PHONE}),
    "phone mu-law.au": ("pcm_mulaw", {"codec": "pcm_mulaw", **PHONE}),
    "phone.mov": ("amrnb", {"codec": "libopencore_amrnb", "encoder": {"b": "12200"}, **PHONE}),
    "creative.voc": ("pcm_s16le", {"codec": "pcm_s16le"}),
    "real.rm": ("real_144", {"codec": "real_144", **PHONE}),
    "real ac3.rm": ("ac3", {"codec": "ac3", "rate": 44_100}),
    "unix.sox": ("pcm_s32le", {"codec": "pcm_s32le"}),
    "unix.sf": ("pcm_s16le", {"codec": "pcm_s16le", "container": "ircam"}),
    "windows.asf": ("wmav1", {"codec": "wmav1", "encoder": {"b": "64000"}}),
    "phone.loas": ("aac_latm", {"codec": "aac", "container": "latm"}),
    "archive.nut": ("flac", {"codec": "flac"}),
}

# The same for codecs that PyAV has no encoder for. The command `ffmpeg` makes the file with these options.
DISC = ("-ar", "48000", "-ac", "2", "-strict", "-2")
MORE: dict[str, tuple[str, tuple[str, ...]]] = {
    "film.mkv": ("dca", ("-c:a", "dca", *DISC)),
    "film.dts": ("dca", ("-c:a", "dca", *DISC)),
    "film truehd.mkv": ("truehd", ("-c:a", "truehd", *DISC)),
    "film.thd": ("truehd", ("-c:a", "truehd", *DISC)),
    "disc.mlp": ("mlp", ("-c:a", "mlp", *DISC)),
    "studio.ts": ("s302m", ("-c:a", "s302m", *DISC)),
    "ima.mkv": ("adpcm_ima_wav", ("-c:a", "adpcm_ima_wav")),
    "speech.spx": ("speex", ("-c:a", "libspeex", "-f", "ogg")),
    "speech.flv": ("speex", ("-c:a", "libspeex")),
    "phone.gsm": ("gsm", ("-c:a", "libgsm", "-ar", "8000")),
    "phone.wav": ("gsm_ms", ("-c:a", "libgsm_ms", "-ar", "8000")),
}


def made(name: str, path: Path) -> tuple[bytes, str]:
    """The file, and the decoder that it needs."""
    if name in MORE:
        codec, options = MORE[name]
        return ffmpeg(path, *options, sound=clip()).read_bytes(), codec
    codec, how = KINDS[name]
    sound = np.stack((clip(), clip())) if how.get("layout") == "stereo" else clip()
    return encode(path, sound, **how).read_bytes(), codec


@pytest.mark.parametrize("name", [*KINDS, *MORE])
def test_the_codec_is_heard(name: str, tmp_path: Path) -> None:
    data, codec = made(name, tmp_path / name)

    info = audio_info(BytesIO(data), max_hours=1)
    reader = SpeechReader(BytesIO(data), max_hours=1)
    (stretch,) = reader

    assert info.codec == codec
    assert stretch.start == pytest.approx(0.1, abs=0.1)
    assert stretch.end == pytest.approx(7.0, abs=0.15)
    assert sounds_like(stretch.samples, stretch.start, clip())
    assert reader.damaged == []


UNREAD = {
    "game.wav": ("dfpwm", ("-c:a", "dfpwm", "-ar", "22050")),
    "game.mkv": ("dfpwm", ("-c:a", "dfpwm", "-ar", "22050")),
    "trial.avi": ("0x2048", ("-c:a", "sonic", "-strict", "-2")),  # no decoder, no name: the number in the file
    "trial.wav": ("0x2048", ("-c:a", "sonic", "-strict", "-2")),
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_refusal_names_the_codec(name: str, tmp_path: Path) -> None:
    codec, options = UNREAD[name]
    data = ffmpeg(tmp_path / name, *options, sound=clip()).read_bytes()
    assert refused(data) == ("unknown_codec", codec)


@pytest.mark.parametrize(
    ("suffix", "codec", "known", "unknown"),
    [("m4a", "alac", b"alac", b"ac-4"), ("mka", "aac", b"A_AAC", b"A_XYZ"), ("wv.mka", "tta", b"A_TTA1", b"A_TTA9")],
)
def test_a_refusal_names_a_codec_that_nobody_here_knows(
    suffix: str, codec: str, known: bytes, unknown: bytes, tmp_path: Path
) -> None:
    container = "mp4" if suffix == "m4a" else "matroska"
    data = encode(tmp_path / f"x.{suffix}", clip(), codec=codec, container=container).read_bytes()
    assert refused(data.replace(known, unknown)) == ("unknown_codec", unknown.decode())


def refused(data: bytes) -> tuple[str, str]:
    with pytest.raises(BadAudio) as refusal:
        audio_info(BytesIO(data), max_hours=1)
    assert str(refusal.value).endswith(f"{refusal.value.detail}.")
    return refusal.value.code, refusal.value.detail


def test_a_film_of_many_small_packets_is_not_taken_for_a_hostile_file(tmp_path: Path) -> None:
    """TrueHD has 1,200 packets a second, which are almost empty where the sound is quiet."""
    options = ("-c:a", "truehd", "-ar", "48000", "-ac", "2", "-strict", "-2")
    data = ffmpeg(tmp_path / "x.mkv", *options, sound=np.tile(clip(), 2)).read_bytes()
    assert audio_info(BytesIO(data), max_hours=1).duration == pytest.approx(14.2, abs=0.1)
