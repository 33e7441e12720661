"""A file that was cut off is read as far as it goes, and its missing end is told, in every format."""

from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.support.audio_files import clip, encode, ffmpeg, sounds_like
from transcription.audio import SpeechReader, audio_info
from transcription.errors import BadAudio

LENGTH = 7.1  # seconds of the clip

CUT: dict[str, dict[str, Any]] = {
    "x.wav": {"codec": "pcm_s16le"},
    "adpcm.wav": {"codec": "adpcm_ima_wav"},
    "rf64.wav": {"codec": "pcm_s16le", "muxer": {"rf64": "always"}},
    "x.aiff": {"codec": "pcm_s16be"},
    "x.au": {"codec": "pcm_s16be"},
    "x.caf": {"codec": "pcm_s16le"},
    "x.w64": {"codec": "pcm_s16le"},
    "x.voc": {"codec": "pcm_s16le"},
    "x.flac": {"codec": "flac"},
    "x.tta": {"codec": "tta"},
    "with header.mp3": {"codec": "libmp3lame", "rate": 44_100},
    "without.mp3": {"codec": "libmp3lame", "rate": 44_100, "muxer": {"write_xing": "0", "id3v2_version": "0"}},
    "x.mp2": {"codec": "mp2", "rate": 48_000},
    "x.aac": {"codec": "aac"},
    "x.ac3": {"codec": "ac3", "rate": 48_000},
    "x.amr": {"codec": "libopencore_amrnb", "rate": 8000, "encoder": {"b": "12200"}},
    "index first.m4a": {"codec": "aac", "muxer": {"movflags": "faststart"}, "container": "mp4"},
    "fragments.mp4": {"codec": "aac", "muxer": {"movflags": "empty_moov", "frag_duration": "500000"}},
    "video.mp4": {"codec": "aac", "muxer": {"movflags": "faststart"}, "picture": "mpeg4"},
    "x.mka": {"codec": "aac", "container": "matroska"},
    "x.webm": {"codec": "libopus", "rate": 48_000},
    "live.webm": {"codec": "libopus", "rate": 48_000, "muxer": {"live": "1"}},
    "opus.ogg": {"codec": "libopus", "rate": 48_000, "muxer": {"page_duration": "200000"}},
    "flac.ogg": {"codec": "flac", "muxer": {"page_duration": "200000"}},
    "x.ts": {"codec": "aac"},
    "x.flv": {"codec": "aac", "rate": 44_100},
    "x.avi": {"codec": "libmp3lame", "rate": 44_100},
    "x.wma": {"codec": "wmav2", "encoder": {"b": "64000"}},
}


@cache
def whole(name: str) -> bytes:
    with TemporaryDirectory() as folder:
        return encode(Path(folder) / name, clip(), **CUT[name]).read_bytes()


@pytest.mark.parametrize(
    ("name", "percent"),
    [(name, percent) for name in CUT for percent in (10, 60, 90) if (name, percent) != ("x.tta", 10)],
)
def test_what_is_there_is_heard_and_what_is_missing_is_told(name: str, percent: int) -> None:
    data = whole(name)
    cut = data[: len(data) * percent // 100]
    there = LENGTH * percent / 100
    if name == "x.avi" and percent == 90:
        there = LENGTH  # the last tenth is the index, which has no sound

    coarse = 0.7 if name == "x.tta" else 0.0  # seconds: a frame of TTA is one second long

    info = audio_info(BytesIO(cut), max_hours=1)
    reader = SpeechReader(BytesIO(cut), max_hours=1)
    stretches = list(reader)

    assert info.duration == pytest.approx(there, abs=0.75)  # heads, indexes and pages take some bytes too
    assert reader.duration == pytest.approx(info.duration, abs=0.15 + 2 * coarse)
    if there < LENGTH:
        ((start, end),) = reader.damaged
        assert start == pytest.approx(reader.duration, abs=0.15 + coarse)
        assert end <= LENGTH + 1.5
    if percent > 10:
        assert sounds_like(stretches[0].samples, stretches[0].start, clip())


@pytest.mark.parametrize("name", CUT)
def test_a_whole_file_misses_nothing(name: str) -> None:
    assert audio_info(BytesIO(whole(name)), max_hours=1).damaged == ()


KNOWN = ["x.wav", "rf64.wav", "x.aiff", "x.au", "x.caf", "x.w64", "x.flac", "x.tta", "with header.mp3"]
KNOWN += ["index first.m4a", "video.mp4", "x.mka", "x.webm", "x.flv", "x.wma"]


@pytest.mark.parametrize("name", KNOWN)
def test_how_much_is_missing_is_told_before_anything_is_decoded(name: str) -> None:
    data = whole(name)
    ((start, end),) = audio_info(BytesIO(data[: len(data) * 6 // 10]), max_hours=1).damaged
    assert start == pytest.approx(0.6 * LENGTH, abs=0.5)
    assert end == pytest.approx(LENGTH, abs=0.5)


def test_a_file_that_misses_only_its_index_misses_no_sound() -> None:
    data = whole("x.avi")
    cut = data[: data.index(b"idx1")]
    assert audio_info(BytesIO(cut), max_hours=1).damaged == ()


@pytest.mark.parametrize(
    ("name", "how"),
    {
        "index last.m4a": {"codec": "aac", "container": "mp4"},
        "index last.mov": {"codec": "pcm_s16le"},
        "alac.caf": {"codec": "alac"},
    }.items(),
)
def test_a_file_without_the_index_that_stood_at_its_end_is_refused(
    name: str, how: dict[str, Any], tmp_path: Path
) -> None:
    data = encode(tmp_path / name, clip(), **how).read_bytes()
    assert refused(data[: len(data) * 9 // 10]) == "truncated"


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.webm", "index first.m4a", "opus.ogg"])
def test_a_file_that_breaks_off_before_its_sound_is_refused(name: str) -> None:
    data = whole(name)
    sound = {"x.wav": b"data", "x.webm": bytes.fromhex("1f43b675"), "index first.m4a": b"mdat"}.get(name)
    cut = data[: data.index(sound) + 8] if sound else data[:100]
    assert refused(cut) in {"truncated", "not_audio", "no_sound"}


def refused(data: bytes) -> str:
    with pytest.raises(BadAudio) as refusal:
        audio_info(BytesIO(data), max_hours=1)
    return refusal.value.code


def test_a_disc_that_was_cut_off_is_told(tmp_path: Path) -> None:
    options = ("-c:a", "truehd", "-ar", "48000", "-ac", "2", "-strict", "-2")
    data = ffmpeg(tmp_path / "x.thd", *options, sound=clip()).read_bytes()
    assert audio_info(BytesIO(data), max_hours=1).damaged == ()
    assert len(audio_info(BytesIO(data[: len(data) * 6 // 10 + 1]), max_hours=1).damaged) == 1
