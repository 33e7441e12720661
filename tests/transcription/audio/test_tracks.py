"""Files of several tracks: all tracks that belong together are heard, and `AudioInfo` says which ones."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.audio_files import Sound, clip, encode, ffmpeg, sounds_like
from transcription.audio import AudioInfo, SpeechReader, Stretch, audio_info, write_playable
from transcription.errors import BadAudio

SPEECH = clip()
SILENCE = np.zeros_like(SPEECH)
LATER = np.concatenate((SILENCE, clip()))  # speech begins where that of SPEECH has ended
CONTAINERS: dict[str, dict[str, Any]] = {
    "mp4": {"codec": "aac"},
    "mov": {"codec": "pcm_s16le"},
    "mkv": {"codec": "aac"},
    "ts": {"codec": "aac"},
    "avi": {"codec": "libmp3lame", "rate": 44_100},
    "wma": {"codec": "wmav2", "encoder": {"b": "64000"}},
    "ogg": {"codec": "flac"},
    "mxf": {"codec": "pcm_s16le", "rate": 48_000, "picture": "mpeg2video"},
}


def read(data: bytes, track: int | None = None) -> tuple[AudioInfo, list[Stretch], SpeechReader]:
    reader = SpeechReader(BytesIO(data), max_hours=1, max_seconds=10, track=track)
    return audio_info(BytesIO(data), max_hours=1, track=track), list(reader), reader


def heard(info: AudioInfo) -> list[int]:
    return [track.number for track in info.tracks if track.heard]


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_a_microphone_behind_a_silent_track_is_heard(suffix: str, tmp_path: Path) -> None:
    """OBS and recorders of conferences write such files."""
    data = encode(tmp_path / f"x.{suffix}", SILENCE, clip(), **CONTAINERS[suffix]).read_bytes()
    info, (stretch,), reader = read(data)
    assert heard(info) == [1, 2]
    assert sounds_like(stretch.samples, stretch.start, clip())
    assert reader.duration == pytest.approx(7.1, abs=0.25)
    assert reader.damaged == []


@pytest.mark.parametrize("suffix", [suffix for suffix in CONTAINERS if suffix != "mxf"])  # it has one length for all
def test_two_people_on_two_tracks_are_both_heard(suffix: str, tmp_path: Path) -> None:
    data = encode(tmp_path / f"x.{suffix}", clip(), LATER, **CONTAINERS[suffix]).read_bytes()
    info, stretches, reader = read(data)
    assert heard(info) == [1, 2]
    assert info.duration == pytest.approx(14.2, abs=0.3)
    assert stretches[0].start == pytest.approx(0.1, abs=0.15)
    assert stretches[-1].end == pytest.approx(14.1, abs=0.4)
    assert sounds_like(stretches[0].samples, stretches[0].start, clip())
    assert reader.damaged == []


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("track", [1, 2])
def test_one_track_may_be_chosen(suffix: str, track: int, tmp_path: Path) -> None:
    data = encode(tmp_path / f"x.{suffix}", clip(), SILENCE, **CONTAINERS[suffix]).read_bytes()
    info, stretches, _ = read(data, track)
    assert heard(info) == [track]
    assert len(stretches) == (1 if track == 1 else 0)


def test_a_track_that_is_not_there_is_refused(tmp_path: Path) -> None:
    data = encode(tmp_path / "x.mkv", clip(), SILENCE, codec="aac").read_bytes()
    for track in (0, 3, 2**40):
        with pytest.raises(BadAudio) as refusal:
            audio_info(BytesIO(data), max_hours=1, track=track)
        assert (refusal.value.code, refusal.value.detail) == ("no_such_track", "2")


def mixed(path: Path, *options: str, one: Sound = SPEECH, other: Sound = SILENCE) -> bytes:
    """Make a file of two tracks with the command `ffmpeg` and these options."""
    inputs = [encode(path.with_name(f"{at}.wav"), sound, codec="pcm_s16le") for at, sound in enumerate((one, other))]
    return ffmpeg(path, "-i", inputs[0], "-i", inputs[1], "-map", "0", "-map", "1", *options).read_bytes()


VERSIONS = {
    "dubbed.mkv": ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fre"),
    "dubbed.mp4": ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fre"),
    "dubbed.ts": ("-c:a", "aac", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fre"),
    "commented.mkv": ("-metadata:s:a:1", "title=Director’s commentary"),
    "told.mkv": ("-disposition:a:1", "comment"),
    "described.mkv": ("-disposition:a:1", "visual_impaired"),
    "disc.vob": ("-c:a", "ac3", "-ar", "48000"),
    "film.mkv": ("-c:a", "ac3", "-ar", "48000"),
}


@pytest.mark.parametrize("name", VERSIONS)
def test_of_several_versions_one_is_heard(name: str, tmp_path: Path) -> None:
    info, (stretch,), _ = read(mixed(tmp_path / name, *VERSIONS[name], other=LATER))
    assert heard(info) == [1]
    assert len(info.tracks) == 2
    assert sounds_like(stretch.samples, stretch.start, clip())


def test_of_several_languages_the_default_one_is_heard(tmp_path: Path) -> None:
    languages = ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=chi")
    default = ("-disposition:a:0", "0", "-disposition:a:1", "default")
    info, (stretch,), _ = read(mixed(tmp_path / "x.mkv", *languages, *default, one=SILENCE, other=clip()))
    assert heard(info) == [2]
    assert [track.language for track in info.tracks] == ["eng", "chi"]
    assert sounds_like(stretch.samples, stretch.start, clip())


def test_tracks_of_different_rates_codecs_and_channels_are_mixed(tmp_path: Path) -> None:
    first = ("-c:a:0", "aac", "-ar:a:0", "44100", "-ac:a:0", "2")
    second = ("-c:a:1", "libopus", "-ar:a:1", "48000", "-ac:a:1", "1")
    info, (stretch,), _ = read(mixed(tmp_path / "x.mkv", *first, *second, one=SILENCE, other=clip()))
    assert [(track.codec, track.channels) for track in info.tracks] == [("aac", 2), ("opus", 1)]
    assert sounds_like(stretch.samples, stretch.start, clip())


def test_a_track_that_begins_late_and_one_that_ends_early_are_at_their_times(tmp_path: Path) -> None:
    sound = encode(tmp_path / "0.wav", clip(), codec="pcm_s16le")
    inputs = ("-i", sound, "-itsoffset", "30", "-i", sound, "-map", "0", "-map", "1")
    data = ffmpeg(tmp_path / "x.mkv", *inputs, "-c:a", "libopus", "-ar", "48000").read_bytes()
    _, (first, second), reader = read(data)
    assert first.start == pytest.approx(0.1, abs=0.15)
    assert second.start == pytest.approx(30.1, abs=0.15)
    assert reader.duration == pytest.approx(37.1, abs=0.2)
    assert reader.damaged == []


def test_many_tracks_are_mixed(tmp_path: Path) -> None:
    data = encode(tmp_path / "x.mov", *[SILENCE] * 7, clip(), codec="pcm_s16le").read_bytes()
    info, (stretch,), _ = read(data)
    assert heard(info) == list(range(1, 9))
    assert sounds_like(stretch.samples, stretch.start, clip())


def test_a_damaged_track_is_told_and_the_other_is_heard(tmp_path: Path) -> None:
    data = encode(tmp_path / "x.mkv", clip(), clip(), codec="flac").read_bytes()
    second = b"\x82"  # the number of the second track, which stands before each of its frames
    damaged = bytearray(data)
    at = 0
    while (at := data.find(second + data[0:0], at + 1)) > 0:
        if data[at + 4 : at + 6] == b"\xff\xf8":  # a FLAC frame
            damaged[at + 4 : at + 104] = bytes(100)
    _, (stretch,), reader = read(bytes(damaged))
    assert reader.damaged != []
    assert sounds_like(stretch.samples, stretch.start, clip())


def test_the_picture_of_a_cover_is_no_track(tmp_path: Path) -> None:
    data = encode(tmp_path / "x.mp3", clip(), codec="libmp3lame", rate=44_100, picture="cover").read_bytes()
    assert [track.number for track in audio_info(BytesIO(data), max_hours=1).tracks] == [1]


def test_browsers_get_a_copy_of_what_is_heard(tmp_path: Path) -> None:
    data = encode(tmp_path / "x.mp4", SILENCE, clip(), codec="aac").read_bytes()
    assert not audio_info(BytesIO(data), max_hours=1).plays  # browsers would play the silent track
    copy = BytesIO()
    for _ in write_playable(BytesIO(data), copy, max_hours=1):
        pass
    (stretch,) = SpeechReader(copy, max_hours=1)
    assert sounds_like(stretch.samples, stretch.start, clip())


def test_a_title_that_is_no_line_becomes_one(tmp_path: Path) -> None:
    data = mixed(tmp_path / "x.mkv", "-metadata:s:a:1", "title=one\ntwo\x1b[31m" + "x" * 200)
    title = audio_info(BytesIO(data), max_hours=1).tracks[1].title
    assert title.startswith("one two [31mx")
    assert len(title) == 80
