"""The embedded engine: a child process that is started again when it dies, and never outlives its parent."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from django.conf import settings

from tests.support.speech import librivox
from tests.support.waiting import PATIENCE, until
from transcription.engine import process as engine_module
from transcription.engine.process import EmbeddedEngine

ROOT = settings.BASE_DIR
WHISPER = [sys.executable, str(ROOT / "manage.py"), "whisper_server", "--model", "base"]
# Code of a child that stands in for Whisper: it sleeps its argument in seconds, then answers requests with its process
# id.
STAND_IN = """
import os, socket, sys, threading, time
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
time.sleep(float(sys.argv[1]))
listener = socket.socket(fileno=int(sys.argv[3]))
while True:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        text = str(os.getpid()).encode()
        head = b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(text)
        connection.sendall(head + text)
"""


@pytest.mark.parametrize(
    ("processors", "gpu", "gains"), [(1, False, False), (2, False, True), (None, False, False), (1, True, True)]
)
def test_several_calls_at_once_pay_on_two_processors_or_a_gpu(
    processors: int | None, gpu: bool, gains: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    monkeypatch.setattr(engine_module, "NVIDIA", tmp_path if gpu else tmp_path / "nvidia0")
    assert engine_module.gains_by_batches() is gains


def program(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def stand_in(slowness: float = 0) -> EmbeddedEngine:
    """An engine whose child stands in for Whisper, and answers `slowness` seconds after its start."""
    return EmbeddedEngine(program(STAND_IN, str(slowness)))


async def get(engine: EmbeddedEngine) -> str:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        return (await client.get(engine.url)).text


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, "transcription.engine.process")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture(autouse=True)
def _quick_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "FIRST_DELAY", 0.05)


@pytest.mark.slow
async def test_a_call_made_while_whisper_starts_or_comes_back_is_answered_all_the_same() -> None:
    async with EmbeddedEngine(WHISPER) as engine, httpx.AsyncClient(timeout=PATIENCE) as client:

        async def text() -> str:
            with librivox()[1].path.open("rb") as file:
                answer = await client.post(f"{engine.url}/audio/transcriptions", files={"file": file})
            return str(answer.json()["text"])

        assert await text() == "He was not an ill-disposed young man."
        first = engine.pid
        assert first
        os.kill(first, signal.SIGKILL)
        await until(lambda: engine.pid != first)
        assert await text() == "He was not an ill-disposed young man."


async def test_whisper_is_gone_when_its_parent_was_killed() -> None:
    parent_code = f"""
import asyncio, httpx
from transcription.engine.process import EmbeddedEngine
async def main():
    engine = EmbeddedEngine({WHISPER!r})
    await engine.start()
    await asyncio.to_thread(httpx.get, engine.url.removesuffix("/v1") + "/health", timeout={PATIENCE})
    print(engine.pid, flush=True)
    await asyncio.sleep({PATIENCE})
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(*program(parent_code), cwd=ROOT, stdout=subprocess.PIPE)
    assert parent.stdout
    child = psutil.Process(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(child.wait, PATIENCE)


async def test_the_address_stays_the_same_when_the_server_comes_back() -> None:
    async with stand_in() as engine:
        url, first = engine.url, await get(engine)
        assert int(first) == engine.pid
        os.kill(int(first), signal.SIGKILL)
        await until(lambda: engine.pid not in (None, int(first)))
        assert int(await get(engine)) == engine.pid
        assert engine.url == url


async def test_stopping_ends_the_server_and_refuses_calls() -> None:
    async with stand_in() as engine:
        child = psutil.Process(int(await get(engine)))
    assert not child.is_running()
    assert engine.pid is None
    with pytest.raises(httpx.ConnectError):
        await get(engine)


async def test_a_server_that_does_not_stop_is_killed(
    monkeypatch: pytest.MonkeyPatch, log: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(engine_module, "GRACE", 0.2)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)"
    async with EmbeddedEngine(program(f"{deaf}; time.sleep(60)")) as engine:
        await until(lambda: "[whisper] deaf" in log())
    assert engine.pid is None
    assert log()[-1] == "The embedded Whisper server did not stop within 0.2 s and is killed."


async def test_a_server_that_dies_again_and_again_is_started_more_and_more_slowly(
    log: Callable[[], list[str]],
) -> None:
    async with EmbeddedEngine(program("raise SystemExit('no weights')")):
        await until(lambda: len([line for line in log() if "started again" in line]) >= 3)
        assert "[whisper] no weights" in log()
    ends = [line for line in log() if "started again" in line]
    assert ends[:3] == [
        f"The embedded Whisper server ended with exit code 1. It is started again in {delay} s."
        for delay in ("0.05", "0.1", "0.2")
    ]


async def test_a_server_that_lived_for_a_good_while_is_started_at_once_again(
    monkeypatch: pytest.MonkeyPatch, log: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(engine_module, "GOOD_WHILE", 0)
    async with EmbeddedEngine(program("")):
        await until(lambda: len(log()) >= 3)
    assert all(line.endswith("It is started again in 0.05 s.") for line in log()[:3])


async def test_the_log_says_that_a_server_was_killed(log: Callable[[], list[str]]) -> None:
    async with EmbeddedEngine(program("import os; os.kill(os.getpid(), 9)")):
        await until(lambda: bool(log()))
    assert log()[0].startswith("The embedded Whisper server was killed by signal 9, probably")


async def test_a_server_that_is_not_there_is_tried_again(log: Callable[[], list[str]]) -> None:
    async with EmbeddedEngine(["/nowhere/whisper"]):
        await until(lambda: len(log()) >= 2)
    assert log()[0].startswith("The embedded Whisper server cannot be started.")


async def test_its_output_goes_to_our_log_without_the_codes_that_control_a_terminal(
    log: Callable[[], list[str]],
) -> None:
    code = r"""
import sys, time
sys.stdout.buffer.write(b"\x1b[31mred\x1b[0m \x07bell\nhalf " + b"\xff\n" + b"10%\r20%\n\n" + b"x" * 5000)
sys.stdout.flush()
sys.stderr.write("and an error\n")
time.sleep(60)
"""
    async with EmbeddedEngine(program(code)):
        await until(lambda: any("error" in line for line in log()))
    lines = [line.removeprefix("[whisper] ") for line in log()]
    assert lines[:4] == ["red bell", "half \N{REPLACEMENT CHARACTER}", "10%", "20%"]
    assert "".join(lines[4:]) == "x" * 5000 + "and an error"
    assert all(line.startswith("[whisper] ") for line in log())
    assert max(map(len, lines)) <= 2 * engine_module.LONGEST_LINE
