"""The sound that a damaged file still holds is read at its time, and the stretches that are lost are told."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from tests.support.audio_files import RATE, clip, encode, sounds_like
from transcription.audio import SpeechReader, Stretch, audio_info

LONG = np.concatenate((clip(), clip(), clip()))  # 21.3 s: three times the same words
DAMAGED = {
    "flac": ("flac", 16_000),
    "m4a": ("aac", 16_000),
    "ogg": ("libopus", 48_000),
    "webm": ("libopus", 48_000),
    "wma": ("wmav2", 16_000),
    "ts": ("aac", 16_000),
}
RESUMES = {"webm": 5.0}  # seconds to the next cluster, where a reader can go on


def with_damaged_middle(data: bytes, how: str) -> bytes:
    """The file with its bytes from 40 to 55 % lost: blank, or overwritten with something else."""
    begin, end = len(data) * 40 // 100, len(data) * 55 // 100
    other = bytes(end - begin) if how == "blank" else np.random.default_rng(1).bytes(end - begin)
    return data[:begin] + other + data[end:]


def read(data: bytes) -> tuple[list[Stretch], SpeechReader]:
    reader = SpeechReader(BytesIO(data), max_hours=1)
    return list(reader), reader


@pytest.mark.parametrize("suffix", DAMAGED)
@pytest.mark.parametrize("how", ["blank", "overwritten"])
def test_a_damaged_middle_is_told_and_the_rest_is_read(suffix: str, how: str, tmp_path: Path) -> None:
    codec, rate = DAMAGED[suffix]
    path = encode(tmp_path / f"x.{suffix}", LONG, codec=codec, rate=rate, encoder={"b": "64000"})
    data = with_damaged_middle(path.read_bytes(), how)
    assert audio_info(BytesIO(data), max_hours=1).duration == pytest.approx(21.3, abs=0.3)

    stretches, reader = read(data)

    assert reader.duration == pytest.approx(21.3, abs=0.3)
    assert min(start for start, _ in reader.damaged) == pytest.approx(0.40 * 21.3, abs=1.5)
    assert max(end for _, end in reader.damaged) == pytest.approx(0.55 * 21.3, abs=1.5 + RESUMES.get(suffix, 0))
    first, last = stretches[0], stretches[-1]
    assert sounds_like(first.samples[: 6 * RATE], first.start, LONG)
    assert last.end == pytest.approx(21.2, abs=0.3)
    assert sounds_like(last.samples[-6 * RATE :], last.end - 6, LONG)


def test_a_damaged_mp3_is_read_and_told(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.mp3", LONG, codec="libmp3lame", rate=44_100)
    stretches, reader = read(with_damaged_middle(path.read_bytes(), "overwritten"))
    assert len(reader.damaged) > 0
    assert sounds_like(stretches[0].samples[: 6 * RATE], stretches[0].start, LONG)
    assert sum(stretch.end - stretch.start for stretch in stretches) > 16


def test_a_matroska_file_with_a_lost_end_is_told(tmp_path: Path) -> None:
    data = encode(tmp_path / "x.mkv", LONG, codec="aac").read_bytes()
    kept = len(data) * 60 // 100
    _, reader = read(data[:kept] + bytes(len(data) - kept))
    assert reader.damaged[-1][1] == pytest.approx(21.3, abs=0.2)


def test_damages_far_from_each_other_are_told_one_by_one(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.flac", np.concatenate((LONG, LONG)), codec="flac")
    data = bytearray(path.read_bytes())
    for part in (0.2, 0.5, 0.8):
        at = int(len(data) * part)
        data[at : at + 9000] = bytes(9000)
    _, reader = read(bytes(data))
    assert [start / 42.6 for start, _ in reader.damaged] == pytest.approx([0.2, 0.5, 0.8], abs=0.05)


class FailingFile(BytesIO):
    """A file whose disk or network fails after 400,000 bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 400_000:
            raise OSError("The network is gone.")
        return super().read(size)


@pytest.mark.parametrize(("suffix", "codec"), [("wav", "pcm_s16le"), ("flac", "flac"), ("mkv", "pcm_s16le")])
def test_a_read_error_is_no_damage_but_an_error(suffix: str, codec: str, tmp_path: Path) -> None:
    sound = np.concatenate((LONG, LONG, LONG))
    file = FailingFile(encode(tmp_path / f"x.{suffix}", sound, codec=codec).read_bytes())
    with pytest.raises(OSError, match="network is gone"):
        audio_info(file, max_hours=1)
    with pytest.raises(OSError, match="network is gone"):
        list(SpeechReader(file, max_hours=1))
