"""Each kind of file that people have is recognised, measured, and read at the right times."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.audio_files import FORMATS, clip, encode, sounds_like
from transcription.audio import SpeechReader, audio_info


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_recognised_measured_and_read(name: str, tmp_path: Path) -> None:
    media_type, how = FORMATS[name]
    with encode(tmp_path / name, clip(), **how).open("rb") as file:
        info = audio_info(file, max_hours=1)
        reader = SpeechReader(file, max_hours=1)
        (stretch,) = reader

    assert info.media_type == media_type
    assert info.sample_rate == how.get("rate", 16_000)
    assert info.channels == 1
    assert info.duration == pytest.approx(7.1, abs=0.16)  # encoders add a little before and after the sound
    assert reader.duration == pytest.approx(info.duration, abs=0.12)
    assert len(stretch.samples) == round((stretch.end - stretch.start) * 16_000)
    assert stretch.start == pytest.approx(0.1, abs=0.1)
    assert stretch.end == pytest.approx(7.0, abs=0.15)
    assert sounds_like(stretch.samples, stretch.start, clip())
    assert reader.damaged == []


def test_the_name_of_a_file_means_nothing(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.flac", clip(), codec="flac").rename(tmp_path / "playlist.m3u8")
    with path.open("rb") as file:
        assert audio_info(file, max_hours=1).media_type == "audio/flac"


def test_a_title_in_any_encoding_does_no_harm(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.mp3", clip(), codec="libmp3lame")
    with path.open("ab") as file:
        file.write(b"TAG" + "标题".encode("gbk").ljust(125, b"\0"))
    with path.open("rb") as file:
        assert audio_info(file, max_hours=1).codec == "mp3float"


@pytest.mark.parametrize("suffix", ["m4a", "mkv"])
@pytest.mark.parametrize("default", [0, 1])
def test_of_two_tracks_the_default_one_is_read(suffix: str, default: int, tmp_path: Path) -> None:
    hum = (3000 * np.sin(np.arange(len(clip())) / 20)).astype(np.int16)
    tracks = (clip(), hum) if default == 0 else (hum, clip())
    path = encode(tmp_path / f"two.{suffix}", *tracks, codec="aac", default=default)
    with path.open("rb") as file:
        (stretch,) = SpeechReader(file, max_hours=1)
    assert sounds_like(stretch.samples, stretch.start, clip())


def test_joined_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.ogg", clip(), codec="libopus", rate=48_000)
    path.write_bytes(path.read_bytes() * 2)
    with path.open("rb") as file:
        assert audio_info(file, max_hours=1).duration == pytest.approx(14.2, abs=0.1)
        reader = SpeechReader(file, max_hours=1)
        assert list(reader)[-1].end == pytest.approx(14.1, abs=0.2)


def test_sound_that_begins_after_the_picture_keeps_its_time(tmp_path: Path) -> None:
    path = encode(tmp_path / "late.mkv", clip(), codec="aac", picture="mpeg4", starts=3.0)
    with path.open("rb") as file:
        assert audio_info(file, max_hours=1).duration == pytest.approx(10.1, abs=0.16)
        (stretch,) = SpeechReader(file, max_hours=1)
    assert stretch.start == pytest.approx(3.1, abs=0.15)
    assert sounds_like(stretch.samples, stretch.start - 3.0, clip())
