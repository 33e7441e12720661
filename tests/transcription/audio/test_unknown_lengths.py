"""A file whose header has a mark in place of its length, as programs that write into a pipe leave it.

It is read to its end.
"""

import struct
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.audio_files import clip, encode, ffmpeg
from transcription.audio import SpeechReader, audio_info

LENGTH = 7.1  # seconds of the clip


@cache
def made(suffix: str, codec: str, *options: tuple[str, str]) -> bytes:
    with TemporaryDirectory() as folder:
        return encode(Path(folder) / f"x.{suffix}", clip(), codec=codec, muxer=dict(options)).read_bytes()


def put(data: bytes, *changes: tuple[int, bytes]) -> bytes:
    for at, new in changes:
        data = data[:at] + new + data[at + len(new) :]
    return data


def heard_to_the_end(data: bytes) -> None:
    info = audio_info(BytesIO(data), max_hours=24)
    reader = SpeechReader(BytesIO(data), max_hours=24)
    (stretch,) = reader
    assert info.duration == pytest.approx(LENGTH, abs=0.16)
    assert (info.damaged, reader.damaged) == ((), [])
    assert stretch.end == pytest.approx(7.0, abs=0.15)


# Marks of ffmpeg, SoX, arecord, GStreamer, lame, mplayer and npm's `wav`; some writers take the header's 36 bytes off.
MARKS = [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000, 0xFFFFFF9B, 0xFFFFFFFF - 36, 0x7FFFFFFF - 36, 0x80000024]


@pytest.mark.parametrize("mark", MARKS)
def test_in_wav(mark: int) -> None:
    data = made("wav", "pcm_s16le")
    at = data.index(b"data") + 4
    for whole in (mark, (mark + at - 4) % 2**32):
        heard_to_the_end(put(data, (4, struct.pack("<I", whole)), (at, struct.pack("<I", mark))))


@pytest.mark.parametrize("frames", [0, 0xFFFFFFFF, 0x3F800000])
@pytest.mark.parametrize("mark", [0, 8, 0xFFFFFFFF, 0x7FFFFFFF, 0x7F000008])
def test_in_aiff(mark: int, frames: int) -> None:
    data = made("aiff", "pcm_s16be")
    lengths = [(at, struct.pack(">I", mark)) for at in (4, data.index(b"SSND") + 4)]
    heard_to_the_end(put(data, *lengths, (data.index(b"COMM") + 10, struct.pack(">I", frames))))


@pytest.mark.parametrize("mark", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_in_au(mark: int) -> None:
    heard_to_the_end(put(made("au", "pcm_s16be"), (8, struct.pack(">I", mark))))


@pytest.mark.parametrize("mark", [-1, 0, 2**63 - 1])
def test_in_caf(mark: int) -> None:
    data = made("caf", "pcm_s16le")
    heard_to_the_end(put(data, (data.index(b"data") + 4, struct.pack(">q", mark))))


@pytest.mark.parametrize("mark", [-1, 0, 24, 2**63 - 1])
def test_in_wave64(mark: int) -> None:
    data, length = made("w64", "pcm_s16le"), struct.pack("<q", mark)
    heard_to_the_end(put(data, (16, length), (data.index(b"data") + 16, length)))


@pytest.mark.parametrize("mark", [-1, 0, 2**63 - 1])
def test_in_rf64(mark: int) -> None:
    data = made("wav", "pcm_s16le", ("rf64", "always"))
    heard_to_the_end(put(data, (data.index(b"ds64") + 8, struct.pack("<qqq", mark, mark, mark))))


@pytest.mark.parametrize("samples", [0, 2**36 - 1])
def test_in_flac(samples: int) -> None:
    data = made("flac", "flac")
    field = (int.from_bytes(data[18:26]) >> 36 << 36) | samples  # STREAMINFO's last 36 bits before the digest
    heard_to_the_end(put(data, (18, field.to_bytes(8))))


@pytest.mark.parametrize("mark", [0, 0xFFFFFFFF])
def test_in_mp4(mark: int) -> None:
    data = made("m4a", "aac")
    heard_to_the_end(put(data, (data.index(b"mdhd") + 20, struct.pack(">I", mark))))


PIPED: dict[str, tuple[str, ...]] = {
    "wav": (),
    "aiff": (),
    "au": (),
    "caf": (),
    "w64": (),
    "flac": (),
    "matroska": (),
    "asf": (),
    "mp3": (),
}
PIPED |= {"avi": ("-ar", "44100"), "flv": ("-ar", "44100"), "rm": ("-ar", "44100"), "tta": (), "voc": ()}
PIPED |= {"mp4": ("-movflags", "frag_keyframe+empty_moov"), "ogg": (), "mpegts": ("-c:a", "aac")}


@pytest.mark.parametrize("container", PIPED)
def test_in_what_ffmpeg_writes_into_a_pipe(container: str, tmp_path: Path) -> None:
    piped = ffmpeg(tmp_path / "x", *PIPED[container], "-f", container, "-flush_packets", "1", sound=clip(), pipe=True)
    heard_to_the_end(piped.read_bytes())
