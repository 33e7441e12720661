"""Sound that begins late in its file is heard at its time, also if it was copied from a video without encoding."""

from io import BytesIO
from pathlib import Path

import pytest

from tests.support.audio_files import clip, encode, ffmpeg
from transcription.audio import SpeechReader, audio_info, write_playable

LATE = 4.9  # seconds
COPY = ("-vn", "-c:a", "copy")
FRAGMENTS = ("-movflags", "frag_keyframe+empty_moov+delay_moov")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 14 s whose sound begins 4.9 s late."""
    folder = tmp_path_factory.mktemp("late")
    sound = encode(folder / "x.wav", clip(), codec="pcm_s16le")
    picture = ("-f", "lavfi", "-i", "testsrc=s=64x64:r=5:d=14")
    tracks = ("-itsoffset", str(LATE), "-i", sound, "-map", "0:v", "-map", "1:a", "-c:v", "mpeg4", "-c:a", "aac")
    return ffmpeg(folder / "video.mp4", *picture, *tracks)


LATER: dict[str, tuple[str, ...]] = {
    "sound.m4a": COPY,
    "sound.mov": COPY,
    "pcm.mov": ("-vn", "-c:a", "pcm_s16le"),
    "fragments.mp4": (*COPY, *FRAGMENTS),
    "sound.mka": COPY,
    "opus.webm": ("-vn", "-c:a", "libopus"),
    "opus.ogg": ("-vn", "-c:a", "libopus"),
    "vorbis.ogg": ("-vn", "-c:a", "libvorbis"),
    "sound.flv": COPY,
    "sound.wma": COPY,
    "video.mkv": ("-c", "copy"),
    "video.mov": ("-c", "copy"),
    "video.ts": ("-c:v", "mpeg2video", "-c:a", "aac"),
    "video.flv": ("-c:v", "flv", "-c:a", "copy"),
    "video.mp4": ("-c", "copy"),
}


@pytest.mark.parametrize("name", LATER)
def test_late_sound_is_heard_late(name: str, video: Path, tmp_path: Path) -> None:
    data = ffmpeg(tmp_path / name, "-i", video, *LATER[name]).read_bytes()

    info = audio_info(BytesIO(data), max_hours=1)
    reader = SpeechReader(BytesIO(data), max_hours=1)
    (stretch,) = reader

    assert stretch.start == pytest.approx(LATE + 0.1, abs=0.15)
    assert info.duration == pytest.approx(LATE + 7.1, abs=0.25)
    assert reader.duration == pytest.approx(info.duration, abs=0.12)
    assert (info.damaged, reader.damaged) == ((), [])


def test_the_copy_for_browsers_has_the_same_times(video: Path, tmp_path: Path) -> None:
    data = ffmpeg(tmp_path / "sound.m4a", "-i", video, *COPY).read_bytes()
    assert not audio_info(BytesIO(data), max_hours=1).plays  # browsers do not agree about the time before the sound
    copy = BytesIO()
    for _ in write_playable(BytesIO(data), copy, max_hours=1):
        pass
    (stretch,) = SpeechReader(copy, max_hours=1)
    assert stretch.start == pytest.approx(LATE + 0.1, abs=0.15)


def test_sound_before_the_cut_of_an_edit_list_is_not_heard(tmp_path: Path) -> None:
    whole = encode(tmp_path / "x.m4a", clip(), codec="aac", container="ipod")
    data = ffmpeg(tmp_path / "cut.m4a", "-ss", "3", "-i", whole, "-c", "copy").read_bytes()
    reader = SpeechReader(BytesIO(data), max_hours=1)
    list(reader)
    assert reader.duration == pytest.approx(4.1, abs=0.15)
    assert audio_info(BytesIO(data), max_hours=1).duration == pytest.approx(4.1, abs=0.15)


@pytest.mark.parametrize("suffix", ["ts", "mpg", "flv", "mkv"])
def test_sound_is_found_that_begins_long_after_the_picture(suffix: str, tmp_path: Path) -> None:
    sound = encode(tmp_path / "x.wav", clip(), codec="pcm_s16le")
    picture = (
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=64x64:r=25:d=30",
        "-itsoffset",
        "20",
        "-i",
        sound,
        "-map",
        "0",
        "-map",
        "1",
    )
    kind = {"flv": ("-c:v", "flv", "-c:a", "aac"), "mkv": ("-c:v", "libx264", "-c:a", "aac")}
    default = ("-c:v", "mpeg1video" if suffix == "mpg" else "mpeg2video", "-c:a", "mp2")
    options = (*picture, *kind.get(suffix, default), "-ar", "44100")
    data = ffmpeg(tmp_path / f"x.{suffix}", *options).read_bytes()
    (stretch,) = SpeechReader(BytesIO(data), max_hours=1)
    assert stretch.start == pytest.approx(20.1, abs=0.15)


@pytest.mark.parametrize("suffix", ["mka", "ts", "flv", "ogg"])
def test_a_broadcast_that_began_hours_before_begins_at_0(suffix: str, tmp_path: Path) -> None:
    sound = encode(tmp_path / "x.wav", clip(), codec="pcm_s16le")
    codec = "libopus" if suffix == "ogg" else "aac"
    late = ("-itsoffset", "7200", "-i", sound, "-c:a", codec, "-ar", "48000" if suffix == "ogg" else "44100")
    data = ffmpeg(tmp_path / f"x.{suffix}", *late).read_bytes()
    (stretch,) = SpeechReader(BytesIO(data), max_hours=1)
    assert stretch.start == pytest.approx(0.1, abs=0.15)
