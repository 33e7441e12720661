"""Memory and time stay small, whatever a file holds or claims; stopping early leaves nothing behind."""

import gc
import struct
import threading
import time
import weakref
from collections.abc import Iterator
from io import SEEK_END, BytesIO, RawIOBase
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.support.audio_files import RATE, clip, encode
from tests.support.hostile_files import movie
from transcription.audio import SpeechReader, audio_info, wav
from transcription.errors import BadAudio

MIB = 1024**2


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


class EndlessRecording(RawIOBase):
    """A WAV file of `seconds` with the clip over and over. It is made while it is read: it takes no disk or memory."""

    def __init__(self, seconds: int) -> None:
        self._size = 44 + seconds * RATE * 2
        self._header = wav(np.empty(0, np.int16))[0][:40] + struct.pack("<I", self._size - 44)
        self._sound = clip().tobytes()
        self._at = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (self._size if whence == SEEK_END else self._at if whence else 0)
        return self._at

    def read(self, size: int = -1) -> bytes:
        size = min(size, self._size - self._at)
        at, self._at = self._at, self._at + size
        if at < 44:
            head = self._header[at : at + size]
            return head + (self._sound * (size // len(self._sound) + 1))[: size - len(head)]
        first = (at - 44) % len(self._sound)
        return (self._sound * (size // len(self._sound) + 2))[first : first + size]


def test_memory_does_not_grow_with_the_recording() -> None:
    file = EndlessRecording(seconds=20 * 60)
    before = resident()
    reader = SpeechReader(file, max_hours=1)  # type: ignore[arg-type]  # a raw file is enough
    early = peak = 0
    for stretch in reader:
        peak = max(peak, resident())
        early = early or (peak if stretch.end > 300 else 0)
    assert reader.duration == pytest.approx(1200)
    assert peak - early < 8 * MIB
    assert peak - before < 100 * MIB
    assert 1000 <= len(reader.peaks) <= 2000
    assert max(reader.peaks) == pytest.approx(np.abs(clip().astype(int)).max() / 32768, abs=0.001)


def test_an_index_that_claims_millions_of_packets_takes_no_memory() -> None:
    file = BytesIO(movie(packets=30_000_000, size=2, offsets=[700], data=bytes(20_000)))
    before = resident()
    with pytest.raises(BadAudio):
        audio_info(file, max_hours=12)
    assert resident() - before < 64 * MIB


def test_an_index_that_points_to_the_same_bytes_over_and_over_is_stopped() -> None:
    packets = 20_000
    data = b"\x3c" + bytes(999_999)
    file = BytesIO(movie(packets, size=len(data), offsets=[90_000] * packets, data=data))
    began = time.process_time()
    with pytest.raises(BadAudio) as caught:
        audio_info(file, max_hours=12)
    assert caught.value.code == "damaged"
    assert time.process_time() - began < 5


@pytest.mark.parametrize("begin", [b"RIFF\0\0\0\0WAVE", b"caff\0\1\0\0", b"FORM\0\0\0\0AIFF"])
def test_a_file_of_a_million_empty_parts_is_soon_seen_through(begin: bytes) -> None:
    began = time.process_time()
    with pytest.raises(BadAudio):
        audio_info(BytesIO(begin + bytes(5 * MIB)), max_hours=12)
    assert time.process_time() - began < 5


def test_stopping_early_lets_go_of_the_file(tmp_path: Path) -> None:
    class Watched(BytesIO):
        pass

    file = Watched(encode(tmp_path / "x.wav", np.tile(clip(), 10), codec="pcm_s16le").read_bytes())
    stretches = iter(SpeechReader(file, max_hours=1))
    next(stretches)
    assert isinstance(stretches, Iterator)
    stretches.close()  # type: ignore[attr-defined]
    assert not file.closed
    watch = weakref.ref(file)
    del file, stretches
    gc.collect()
    assert watch() is None


def test_several_readers_in_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    data = encode(tmp_path / "x.ogg", np.tile(clip(), 6), codec="libopus", rate=48_000).read_bytes()
    results: list[list[tuple[float, float, bytes]]] = []

    def read() -> None:
        stretches = list(SpeechReader(BytesIO(data), max_hours=1))
        results.append([(one.start, one.end, one.samples.tobytes()) for one in stretches])

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert results[0] == results[1] == results[2]
    assert len(results[0]) >= 2


def test_a_wav_is_its_header_and_the_samples_themselves() -> None:
    header, data = wav(clip())
    assert len(header) == 44
    assert np.shares_memory(np.frombuffer(data, np.uint8), clip())
    assert audio_info(BytesIO(header + data), max_hours=1).duration == pytest.approx(7.1)


def test_a_wav_of_nothing_is_a_header() -> None:
    header, data = wav(np.empty(0, np.int16))
    assert (len(header), len(data)) == (44, 0)
