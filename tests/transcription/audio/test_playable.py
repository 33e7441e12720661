"""A file that browsers cannot play gets a copy: Opus in WebM, at the times of the original."""

import resource
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from tests.support.audio_files import FORMATS, clip, encode
from transcription.audio import RATE, SpeechReader, audio_info, write_playable
from transcription.audio.media import opened
from transcription.audio.sound import Sound
from transcription.errors import BadAudio

PLAYED = {
    *("8 bit.wav", "16 bit.wav", "24 bit.wav", "192 kHz.wav", "rf64.wav", "flac.flac", "opus.ogg"),
    *("with header.mp3", "vbr without header.mp3", "cover.mp3", "aac.m4a", "index first.m4a", "fragments.mp4"),
}
LONG = np.concatenate([clip()] * 3)


def copy_of(data: bytes, max_hours: float = 1) -> bytes:
    target = BytesIO()
    for _ in write_playable(BytesIO(data), target, max_hours=max_hours):
        pass
    return target.getvalue()


def read(data: bytes) -> tuple[list[tuple[float, float]], SpeechReader]:
    reader = SpeechReader(BytesIO(data), max_hours=1)
    return [(stretch.start, stretch.end) for stretch in reader], reader


def sound(data: bytes) -> npt.NDArray[np.float32]:
    with opened(BytesIO(data)) as media:
        return np.concatenate([piece.mean(axis=0) for piece in Sound(media, rate=RATE, max_hours=1)])


def lag(late: npt.NDArray[np.float32], early: npt.NDArray[np.float32]) -> float:
    """Seconds by which `late` is behind `early`: the shift at which the two are most alike."""
    size = 2 ** int(len(late) + len(early)).bit_length()
    alike = np.fft.irfft(np.fft.rfft(late, size) * np.conj(np.fft.rfft(early, size)))
    return float((np.argmax(alike) + size // 2) % size - size // 2) / RATE


def seeked(data: bytes, second: float) -> float:
    """The time in seconds at which a player goes on that seeks to `second`."""
    with av.open(BytesIO(data), "r") as file:
        file.seek(int(second * av.time_base))
        frame = next(file.decode(audio=0))
        assert frame.time is not None
        return frame.time


@pytest.mark.parametrize("name", FORMATS)
def test_what_browsers_do_not_play_gets_a_copy_with_the_times_of_the_original(name: str, tmp_path: Path) -> None:
    data = encode(tmp_path / name, clip(), **FORMATS[name][1]).read_bytes()
    assert audio_info(BytesIO(data), max_hours=1).plays == (name in PLAYED)

    copy = copy_of(data)

    info = audio_info(BytesIO(copy), max_hours=1)
    assert (info.media_type, info.codec, info.plays) == ("audio/webm", "opus", True)
    before, after = sound(data), sound(copy)
    assert info.duration == pytest.approx(len(before) / RATE, abs=0.05)
    assert abs(lag(after, before)) < 0.01


def test_a_live_recording_of_a_browser_is_packed_anew_and_not_encoded_again(tmp_path: Path) -> None:
    how = FORMATS["browser.webm"][1]
    data = encode(tmp_path / "live.webm", LONG, **how).read_bytes()

    copy = copy_of(data)

    with av.open(BytesIO(data), "r") as before, av.open(BytesIO(copy), "r") as after:
        assert before.duration is None
        assert after.duration == pytest.approx(21.3 * av.time_base, abs=0.05 * av.time_base)
        packets = [[bytes(packet) for packet in file.demux(audio=0)] for file in (before, after)]
    assert packets[0] == packets[1]
    assert 8.0 < seeked(copy, 13.0) <= 13.0  # the start of the cluster with second 13: each has five seconds


def test_opus_with_a_hole_is_encoded_again_with_silence_in_it(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.webm", LONG, codec="libopus", rate=48_000, muxer={"live": "1"})
    with av.open(str(path)) as source, av.open(str(tmp_path / "hole.webm"), "w", format="webm") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.pts is not None and not 8_000 < packet.pts < 12_000:
                packet.stream = stream
                target.mux(packet)
    data = (tmp_path / "hole.webm").read_bytes()

    copy, reader = read(copy_of(data))

    original, before = read(data)
    assert before.damaged == [pytest.approx((8.0, 12.0), abs=0.05)]
    assert reader.duration == pytest.approx(before.duration, abs=0.05)
    assert not reader.damaged
    assert copy == [pytest.approx(times, abs=0.05) for times in original]


@pytest.mark.parametrize(("layout", "channels", "expected"), [("mono", 1, 1), ("stereo", 2, 2), ("5.1", 6, 2)])
def test_stereo_stays_stereo(layout: str, channels: int, expected: int, tmp_path: Path) -> None:
    data = encode(tmp_path / "x.caf", np.stack([clip()] * channels), codec="pcm_s16le", layout=layout).read_bytes()
    assert audio_info(BytesIO(copy_of(data)), max_hours=1).channels == expected


def test_a_file_that_is_longer_than_allowed_is_given_up(tmp_path: Path) -> None:
    data = encode(tmp_path / "x.au", LONG, codec="pcm_s16be").read_bytes()
    with pytest.raises(BadAudio, match="longer"):
        copy_of(data, max_hours=10 / 3600)


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.aiff", clip(), codec="pcm_s16be")
    copy_of(path.read_bytes())  # loads all libraries, before memory is measured
    encode(path, np.concatenate([clip()] * 30), codec="pcm_s16be")  # 3.5 minutes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with path.open("rb") as file, (tmp_path / "copy.webm").open("w+b") as target:
        steps = list(write_playable(file, target, max_hours=1))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024  # KiB
    assert len(steps) == pytest.approx(21, abs=1)  # a step every ten seconds, where the caller may stop
    assert steps == sorted(steps)
