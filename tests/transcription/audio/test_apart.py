"""People's files are read in processes of their own, with the same results and within limits; no process stays."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import psutil
import pytest
from django.conf import settings

from tests.support.audio_files import clip, encode
from tests.support.processes import decoders, fork_server, lives
from tests.support.waiting import PATIENCE, until, wait_for
from transcription.audio import SpeechReader, Stretch, apart, audio_info, write_playable
from transcription.audio.apart import Speech
from transcription.errors import BadAudio, CrashedDecoder

LONG = 20  # times the clip: 142 s, so that no reader has finished when a test looks


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BinaryIO]:
    folder = tmp_path_factory.mktemp("apart")
    with encode(folder / "x.flac", np.tile(clip(), LONG), codec="flac").open("rb") as opened:
        yield opened


def speech(file: BinaryIO) -> Speech:
    return Speech(file, max_hours=1, owner="mei", kind="job")


async def test_a_process_of_its_own_finds_what_we_would(file: BinaryIO, tmp_path: Path) -> None:
    assert await apart.audio_info(file, max_hours=1, owner="mei") == audio_info(file, max_hours=1)
    theirs, ours = speech(file), SpeechReader(file, max_hours=1)
    found = [(one.index, one.start, one.end, one.utterances, one.samples.tobytes()) async for one in theirs]
    assert found == [(one.index, one.start, one.end, one.utterances, one.samples.tobytes()) for one in ours]
    assert (theirs.duration, theirs.peaks, theirs.damaged) == (ours.duration, ours.peaks, ours.damaged)
    with (tmp_path / "copy").open("w+b") as target:
        steps = [seconds async for seconds in apart.copy(file, target, max_hours=1, owner="mei")]
        written = BytesIO()
        assert steps == list(write_playable(file, written, max_hours=1))
        assert os.fstat(target.fileno()).st_size == len(written.getvalue())


async def test_two_read_the_same_open_file_at_once(file: BinaryIO) -> None:
    both = await asyncio.gather(*(apart.audio_info(file, max_hours=1, owner="mei") for _ in range(2)))
    assert both[0] == both[1]


@pytest.mark.parametrize(("content", "code"), [(b"", "empty_file"), (b"no sound at all", "not_audio")])
async def test_what_is_wrong_with_a_file_is_said_as_ever(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with path.open("rb") as file, pytest.raises(BadAudio) as caught:
        await apart.audio_info(file, max_hours=1, owner="mei")
    assert caught.value.code == code


async def test_a_file_that_cannot_be_read_is_no_bad_audio(tmp_path: Path) -> None:
    class Folder:
        def fileno(self) -> int:
            return folder

    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="directory"):
        await apart.audio_info(cast(BinaryIO, Folder()), max_hours=1, owner="mei")
    os.close(folder)


async def rest(stretches: AsyncIterator[Stretch]) -> None:
    async for _ in stretches:
        pass


# --- Ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
async def test_a_process_that_dies_is_an_answer(file: BinaryIO, number: signal.Signals) -> None:
    stretches = aiter(speech(file))
    await anext(stretches)
    for child in decoders():
        child.send_signal(number)
    with pytest.raises(CrashedDecoder, match=number.name) as caught:
        await rest(stretches)
    assert caught.value.code == "crashed_decoder"


async def test_a_process_that_hangs_is_given_up(file: BinaryIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_PATIENCE", 0.5)
    monkeypatch.setattr(apart, "_SLOW", 0)
    async with aclosing(aiter(speech(file))) as stretches:
        reading = asyncio.create_task(rest(stretches))
        await until(lambda: bool(decoders()) or reading.done())
        for child in decoders():
            child.suspend()
        with pytest.raises(CrashedDecoder, match="silent"):
            await reading
    await until(lambda: not decoders())


async def test_where_the_fork_server_was_killed_the_next_file_has_another(file: BinaryIO) -> None:
    before = fork_server()
    async with aclosing(aiter(speech(file))) as stretches:
        await anext(stretches)
        orphans = before.children()
        before.kill()
        with pytest.raises(CrashedDecoder):
            await rest(stretches)
    assert (await apart.audio_info(file, max_hours=1, owner="mei")).duration == pytest.approx(142, abs=1)
    assert fork_server() != before
    await until(lambda: not any(orphan.is_running() for orphan in orphans))


async def hangs_up(file: BinaryIO) -> None:
    reading = asyncio.create_task(anext(aiter(speech(file))))
    await until(lambda: bool(decoders()))
    reading.cancel()
    await asyncio.wait({reading})


async def stops_early(file: BinaryIO) -> None:
    async with aclosing(aiter(speech(file))) as stretches:
        await anext(stretches)


@pytest.mark.parametrize("leave", [hangs_up, stops_early])
async def test_a_process_that_nobody_waits_for_is_killed(file: BinaryIO, leave: Callable[[BinaryIO], object]) -> None:
    before = psutil.Process().num_fds()
    await leave(file)  # type: ignore[misc]
    await until(lambda: not decoders())
    await until(lambda: psutil.Process().num_fds() <= before)


async def test_a_process_that_is_ahead_waits(file: BinaryIO) -> None:
    async with aclosing(aiter(speech(file))) as stretches:
        await anext(stretches)
        (child,) = decoders()
        before = None
        while before != (now := child.cpu_times().user):  # raises if the process went on to its end
            before = now
            await asyncio.sleep(0.5)


def test_what_was_started_goes_with_the_process_that_started_it(tmp_path: Path) -> None:
    encode(tmp_path / "x.flac", np.tile(clip(), LONG), codec="flac")
    code = """if True:
        import asyncio, sys
        from transcription.audio import apart
        async def main():
            stretches = aiter(apart.Speech(open(sys.argv[1], "rb"), max_hours=1, owner=1, kind="job"))
            await anext(stretches)
            print(apart._fork_server()._process.pid, flush=True)
            await asyncio.sleep(100)
        asyncio.run(main())
    """
    command = [sys.executable, "-c", code, str(tmp_path / "x.flac")]
    with subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        started = psutil.Process(int(process.stdout.readline()))
        both = [started, *started.children()]
        assert len(both) == 2
        process.kill()
    wait_for(lambda: not any(lives(one) for one in both), "the end of both")


# --- Limits ------------------------------------------------------------------------------------


async def test_a_file_that_takes_too_much_memory_is_given_up(file: BinaryIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "LIMITS", replace(apart.LIMITS, memory=1024**2))
    with pytest.raises(BadAudio) as caught:
        await rest(aiter(speech(file)))
    assert caught.value.code == "too_complex"


async def test_a_copy_that_outgrows_its_file_is_given_up(
    file: BinaryIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "LIMITS", replace(apart.LIMITS, growth=0, least=100_000))
    with (tmp_path / "copy").open("w+b") as target, pytest.raises(BadAudio) as caught:
        async for _ in apart.copy(file, target, max_hours=1, owner="mei"):
            pass
    assert caught.value.code == "too_complex"
    assert (tmp_path / "copy").stat().st_size <= 100_000


TRIES = {
    "connect": "socket.socket()",
    "connect nearby": "socket.socketpair()",
    "start a program": "os.execv('/bin/true', ['true'])",
    "end another process": "os.kill(os.getppid(), 0)",
    "read a file": "open('/etc/passwd')",
    "read our secrets": "open(f'/proc/{os.getppid()}/environ')",
    "write a file": "open('/tmp/x', 'w')",
    "remove a file": "os.unlink(sys.argv[1])",
}


@pytest.mark.parametrize("what", TRIES.values(), ids=TRIES)
def test_a_decoder_that_was_taken_over_can_reach_nothing(what: str, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    code = f"""if True:
        import os, socket, sys
        from transcription.audio.confine import close_off
        assert close_off()
        try:
            {what}
        except PermissionError:
            print("could not")
    """
    command = [sys.executable, "-c", code, str(tmp_path / "x")]
    done = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)
    assert done.stdout == "could not\n", done.stderr


async def test_the_processes_know_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "in the environment of the server")
    apart._fork_server.cache_clear()
    assert await apart.network_closed()
    assert "SECRET_KEY" not in fork_server().environ()


# --- Turns -------------------------------------------------------------------------------------


async def test_one_persons_files_never_hold_up_anothers() -> None:
    room = apart._Room(size=4, share=2)
    mei = [await room.enter("mei") for _ in range(2)]
    more = [asyncio.ensure_future(room.enter("mei")) for _ in range(50)]
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        jonas = [await room.enter("jonas") for _ in range(2)]
    full = asyncio.ensure_future(room.enter("ada"))
    await asyncio.sleep(0)
    assert not full.done()
    more[0].cancel()
    mei[0].close()
    async with asyncio.timeout(PATIENCE):
        (await full).close()  # let in before the fifty that came earlier
        (await more[1]).close()
    for task in more:
        task.cancel()
    for place in (mei[1], *jonas):
        place.close()
    await asyncio.wait(more)
    assert room._all._value == 4
