"""Files made to do harm: each costs bounded memory and time in a process of its own, and gets an answer."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from io import BytesIO
from typing import BinaryIO

import psutil
import pytest

from tests.support import hostile_files
from tests.support.processes import decoders
from tests.support.waiting import until
from transcription.audio import SpeechReader, apart, audio_info
from transcription.errors import BadAudio

MIB = 1024**2


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a file a fifth of the CPU time that it has in the product, so that the tests are quick."""
    monkeypatch.setattr(apart, "LIMITS", replace(apart.LIMITS, cpu=1.0))


@pytest.fixture
def target() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        yield file


@contextmanager
def on_disk(content: bytes) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file


async def said(reading: AsyncIterator[object]) -> str:
    """Read to the end. Returns the code of the error, or an empty text."""
    try:
        async for _ in reading:
            pass
    except BadAudio as error:
        return error.code
    return ""


async def probing(file: BinaryIO, owner: str = "mei") -> AsyncIterator[object]:
    yield await apart.audio_info(file, max_hours=12, owner=owner)


async def speaking(file: BinaryIO) -> AsyncIterator[object]:
    async for stretch in apart.Speech(file, max_hours=12, owner="mei", kind="job"):
        yield stretch


@asynccontextmanager
async def memory_watched() -> AsyncIterator[dict[str, int]]:
    """Yields peaks of memory in bytes. `theirs`: of a process that reads a file. `ours`: what this process adds."""
    await apart.network_closed()
    most = {"theirs": 0, "ours": 0}
    before = psutil.Process().memory_info().rss

    async def watch() -> None:
        while True:
            most["ours"] = max(most["ours"], psutil.Process().memory_info().rss - before)
            for child in decoders():
                try:
                    most["theirs"] = max(most["theirs"], child.memory_full_info().uss)
                except psutil.Error:
                    continue
            await asyncio.sleep(0.005)

    watching = asyncio.create_task(watch())
    yield most
    watching.cancel()
    await asyncio.wait({watching})


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("make", "read"),
    [
        (lambda: hostile_files.many_claims(12), probing),  # 2.1 GB without a limit
        (lambda: hostile_files.many_claims(24), speaking),  # 4.2 GB without a limit
        (hostile_files.unfolding, probing),
    ],
    ids=["claims", "more claims", "unfolding"],
)
async def test_memory_is_bounded_and_is_not_ours(
    make: Callable[[], bytes], read: Callable[[BinaryIO], AsyncIterator[object]]
) -> None:
    with on_disk(make()) as file:
        async with memory_watched() as most:
            code = await said(read(file))
    assert code in {"", "damaged", "too_complex"}
    assert most["theirs"] < apart.LIMITS.memory
    assert most["ours"] < 32 * MIB


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("make", "read"),
    [
        (lambda: hostile_files.many_tags(1_000_000), probing),  # 20 s without a limit
        (hostile_files.tiny_packets, probing),  # 165 s without a limit
    ],
    ids=["tags", "tiny packets"],
)
async def test_time_is_bounded_by_the_size_of_the_file(
    make: Callable[[], bytes], read: Callable[[BinaryIO], AsyncIterator[object]]
) -> None:
    with on_disk(make()) as file:
        assert await said(read(file)) == "too_complex"


async def test_an_honest_recording_of_hours_in_small_packets_is_looked_at_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apart, "LIMITS", replace(apart.LIMITS, cpu=1.0, rate=1e12))  # no time for its size
    amr = b"#!AMR\n" + (b"\x04" + bytes(12)) * 540_000  # three hours, which take some seconds
    with on_disk(amr) as file:
        assert (await apart.audio_info(file, max_hours=12, owner="mei")).duration == 10_800


@pytest.mark.usefixtures("patience")
async def test_a_gap_of_hours_takes_no_more_time_than_its_seconds_earn() -> None:
    with on_disk(hostile_files.long_gap(hours=6)) as file:  # took 50 s when voice activity judged the gap
        assert await said(speaking(file)) == ""


@pytest.mark.usefixtures("patience")
async def test_a_copy_is_not_much_larger_than_its_file(target: BinaryIO) -> None:
    with on_disk(hostile_files.one_hertz()) as file:  # 97 MB without a limit
        assert await said(apart.copy(file, target, max_hours=12, owner="mei")) == "too_complex"
        assert target.seek(0, 2) <= 32 * 32_044 + MIB


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (hostile_files.late_streams, ""),
        (hostile_files.short_asf, "not_audio"),
        (lambda: hostile_files.many_channels(64), ""),
        (lambda: hostile_files.many_channels(65), "unknown_codec"),
        (lambda: hostile_files.many_channels(1000), "damaged"),
        (hostile_files.long_tag, ""),
    ],
    ids=["late streams", "short ASF", "64 channels", "65 channels", "1000 channels", "long tag"],
)
def test_a_file_that_makes_the_binding_fail_gets_an_answer(make: Callable[[], bytes], code: str) -> None:
    content, found = make(), list[str]()
    for read in (audio_info, lambda file, max_hours: list(SpeechReader(file, max_hours=max_hours))):
        try:
            read(BytesIO(content), max_hours=12)
            found.append("")
        except BadAudio as error:
            found.append(error.code)
    assert found == [code, code]


async def test_six_files_that_take_long_hold_up_nobody_else_and_end_when_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apart, "LIMITS", replace(apart.LIMITS, cpu=60.0))
    await apart.network_closed()
    with (
        on_disk(hostile_files.many_tags(900_000)) as file,
        on_disk(hostile_files.wave(1, 16000, bytes(32000))) as honest,
    ):
        mei = [asyncio.create_task(said(probing(file))) for _ in range(6)]
        await until(lambda: len(decoders()) == apart.ROOMS["check"][1])
        assert await said(probing(honest, "jonas")) == ""
        assert not any(task.done() for task in mei)
        for task in mei:
            task.cancel()
        await asyncio.wait(mei)
        await until(lambda: not decoders())
