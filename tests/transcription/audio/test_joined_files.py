"""Files that were joined into one are heard one after the other, whatever changes from one to the next."""

from io import BytesIO
from pathlib import Path

import pytest

from tests.support.audio_files import clip, ffmpeg, sounds_like
from transcription.audio import RATE, SpeechReader, audio_info, write_playable

LENGTH = 7.1  # seconds of the clip

MONO, STEREO = ("-ar", "16000", "-ac", "1"), ("-ar", "44100", "-ac", "2")
OPUS = ("-ar", "48000", "-ac", "1"), ("-ar", "48000", "-ac", "2")
FRAGMENTS = ("-movflags", "frag_keyframe+empty_moov")

JOINED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "opus.ogg": (("-c:a", "libopus", *OPUS[0]), ("-c:a", "libopus", *OPUS[1])),
    "vorbis.ogg": (("-c:a", "libvorbis", *MONO), ("-c:a", "libvorbis", *STEREO)),
    "stereo first.ogg": (("-c:a", "libvorbis", *STEREO), ("-c:a", "libvorbis", *MONO)),
    "flac.ogg": (("-c:a", "flac", *MONO), ("-c:a", "flac", *STEREO)),
    "two codecs.ogg": (("-c:a", "libopus", *OPUS[0]), ("-c:a", "libvorbis", *STEREO)),
    "x.mp3": (MONO, STEREO),
    "stereo first.mp3": (STEREO, MONO),
    "x.aac": (MONO, STEREO),
    "stereo first.aac": (STEREO, MONO),
    "x.ac3": (("-ar", "48000"), ("-ar", "44100", "-ac", "2")),
    "x.ts": (("-c:a", "aac", *STEREO), ("-c:a", "aac", *MONO)),
    "x.mpg": (("-ar", "48000"), ("-ar", "44100", "-ac", "2")),
    "x.wav": (MONO, STEREO),
    "x.aiff": (MONO, STEREO),
    "x.caf": (MONO, STEREO),
    "x.w64": (MONO, STEREO),
    "x.flac": (MONO, STEREO),
    "x.m4a": (MONO, STEREO),
    "fragments.mp4": ((*FRAGMENTS, *MONO), (*FRAGMENTS, *STEREO)),
    "x.webm": (("-c:a", "libopus", *OPUS[0]), ("-c:a", "libopus", *OPUS[1])),
    "x.mka": (("-c:a", "aac", *MONO), ("-c:a", "aac", *STEREO)),
    "x.wma": (MONO, STEREO),
    "x.flv": (("-ar", "22050"), ("-ar", "44100")),
    "x.avi": (MONO, STEREO),
    "x.amr.3gp": (("-c:a", "aac", *MONO), ("-c:a", "aac", *STEREO)),
}


def joined(name: str, folder: Path) -> bytes:
    parts = enumerate(JOINED[name])
    return b"".join(ffmpeg(folder / f"{at} {name}", *how, sound=clip()).read_bytes() for at, how in parts)


@pytest.mark.parametrize("name", JOINED)
def test_both_are_heard(name: str, tmp_path: Path) -> None:
    data = joined(name, tmp_path)

    audio_info(BytesIO(data), max_hours=1)
    reader = SpeechReader(BytesIO(data), max_hours=1, max_seconds=10)
    first, second = reader

    assert reader.duration == pytest.approx(2 * LENGTH, abs=0.3)
    assert reader.damaged == []
    assert first.start == pytest.approx(0.1, abs=0.15)
    assert sounds_like(first.samples, first.start, clip())
    assert second.end == pytest.approx(2 * LENGTH - 0.1, abs=0.4)
    before = max(0.0, reader.duration / 2 - second.start)  # seconds of silence that belong to the first file
    assert sounds_like(second.samples[round(before * RATE) :], max(0.0, second.start - reader.duration / 2), clip())


def test_what_was_joined_and_cannot_be_read_is_told(tmp_path: Path) -> None:
    whole = ffmpeg(tmp_path / "x.wav", sound=clip()).read_bytes()
    data = whole + whole[:12] + b"fmt " + bytes(100)
    reader = SpeechReader(BytesIO(data), max_hours=1)
    (stretch,) = reader
    assert sounds_like(stretch.samples, stretch.start, clip())
    assert reader.damaged == [pytest.approx((LENGTH, LENGTH))]
    assert len(audio_info(BytesIO(data), max_hours=1).damaged) == 1


def test_browsers_get_one_file_of_them(tmp_path: Path) -> None:
    data = joined("opus.ogg", tmp_path)
    assert not audio_info(BytesIO(data), max_hours=1).plays
    copy = BytesIO()
    for _ in write_playable(BytesIO(data), copy, max_hours=1):
        pass
    info = audio_info(copy, max_hours=1)
    assert info.plays
    assert info.duration == pytest.approx(2 * LENGTH, abs=0.1)
