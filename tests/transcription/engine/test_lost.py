"""An embedded engine that is not ready, cannot start, or is killed again and again.

Calls wait or are refused at once, and callers are told why. The children are real processes, ended by real signals.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.support.calls import caller, request
from tests.support.waiting import until
from transcription.answer import Transcript
from transcription.breaker import Breaker
from transcription.client import WhisperClient
from transcription.engine import process as engine_module
from transcription.engine.process import EmbeddedEngine
from transcription.errors import BrokenOff, Poison, Unreachable
from transcription.limit import FixedLimit
from transcription.pool import Pool, Server
from transcription.servers.file import NamedServer

# Code of a child: an HTTP server with three arguments. The first names a file: the child listens once the file exists.
# The second: seconds that a call takes. The third: the signal that the child sends to itself at a call with the word
# `poison`; `every`: it sends itself SIGKILL at each call but a probe. The thread of the call gets the signal: SIGSEGV
# to the process may reach another thread, later than the answer.
CHILD = """
import http.server, json, os, signal, socket, sys, threading, time
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
model, computes, poison = sys.argv[1], float(sys.argv[2]), sys.argv[3]
while not os.path.exists(model):
    time.sleep(0.01)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(b"{}")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b"poison" in body or (poison == "every" and b"silence" not in body):
            signal.raise_signal(getattr(signal, poison, 9))
        time.sleep(computes)
        self.answer(json.dumps({"text": str(os.getpid())}).encode())
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=int(sys.argv[5]))
server.serve_forever()
"""


def child(model: Path = Path(os.devnull), computes: float = 0.02, poison: str = "SIGKILL") -> list[str]:
    return [sys.executable, "-c", CHILD, str(model), str(computes), poison]


def server_of(engine: EmbeddedEngine, limit: int = 1) -> Server:
    return Server(
        NamedServer(engine.url), "engine", FixedLimit(limit), Breaker(), barred=engine.bar, around=engine.during_life
    )


@asynccontextmanager
async def called(command: list[str], limit: int = 1) -> AsyncIterator[tuple[EmbeddedEngine, WhisperClient]]:
    """Run the command as an engine. Yields the engine, and a client that may send it `limit` calls at once."""
    async with EmbeddedEngine(command) as engine:
        server = server_of(engine, limit)
        whisper = WhisperClient(Pool([server]), request_timeout=20.0, abandoned_grace=5.0, retry_delay=0.02)
        yield engine, whisper
        await whisper.aclose()


async def durable(whisper: WhisperClient, name: str = "") -> Transcript:
    return await whisper.call_remote_asr_api(request(name), caller(durable=True))


async def refused(whisper: WhisperClient) -> Unreachable:
    """Make a call that cannot wait, and return its error, which must say when to come back."""
    with pytest.raises(Unreachable) as error:
        await whisper.call_remote_asr_api(request(), caller("interactive"))
    assert error.value.retry_after is not None
    assert error.value.retry_after >= 1
    return error.value


@pytest.fixture(autouse=True)
def _quick_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(engine_module, "LONGEST_DELAY", 0.2)


BAD = [
    (["raise SystemExit('no weights')"], "ended with exit code 1.", "no weights"),
    (["import os; os.kill(os.getpid(), 9)"], "signal 9, probably because the machine ran out of memory.", ""),
    (["import os; print('bad', flush=True); os.abort()"], "was ended by signal 6 (SIGABRT).", "bad"),
    (None, "cannot be started.", "No such file or directory: '/nowhere/whisper'"),
]


@pytest.mark.parametrize(("code", "reason", "said"), BAD, ids=["exit", "killed", "abort", "not there"])
async def test_while_it_cannot_start_calls_wait_or_are_refused_at_once_with_the_reason(
    code: list[str] | None, reason: str, said: str
) -> None:
    command = [sys.executable, "-c", *code] if code else ["/nowhere/whisper"]
    async with called(command) as (_, whisper):
        waiting = asyncio.create_task(durable(whisper))

        def shown() -> bool:
            server = whisper.snapshot().servers[0]
            return reason in str(server.trouble) and said in server.said and server.retry_in is not None

        await until(shown)
        assert reason in str(await refused(whisper))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        assert whisper.snapshot().calls.failed == 1
        waiting.cancel()


async def test_while_it_loads_its_model_calls_wait_or_are_refused_at_once(tmp_path: Path) -> None:
    async with called(child(tmp_path / "model")) as (engine, whisper):
        waiting = asyncio.create_task(durable(whisper))
        await until(lambda: bool(engine.pid))
        assert str(await refused(whisper)) == "The embedded Whisper server is loading its model."
        (tmp_path / "model").touch()
        assert (await waiting).text == str(engine.pid)
        server = whisper.snapshot().servers[0]
        assert (server.trouble, server.breaker) == (None, "closed")


async def test_before_it_is_started_and_after_it_was_stopped_calls_are_refused_at_once() -> None:
    engine = EmbeddedEngine(child())
    whisper = WhisperClient(Pool([server_of(engine)]))
    assert "does not run" in str(await refused(whisper))
    async with engine:
        await until(lambda: engine.bar() is None)
    assert "does not run" in str(await refused(whisper))
    await whisper.aclose()


@pytest.mark.parametrize("limit", [1, 3])
async def test_killed_again_and_again_in_the_midst_of_calls_it_fails_none_that_can_wait(limit: int) -> None:
    async with called(child(computes=0.3), limit) as (engine, whisper):
        calls = [asyncio.create_task(durable(whisper)) for _ in range(6)]
        for _ in range(5):
            await until(lambda: whisper.snapshot().servers[0].gate.active > 0)
            await asyncio.sleep(0.1)
            if engine.pid:
                with suppress(ProcessLookupError):  # the child has ended, and the engine does not know it yet
                    os.kill(engine.pid, signal.SIGKILL)
        assert not any(call.done() and call.exception() for call in calls)
        await asyncio.gather(*calls)
        gate = whisper.snapshot().servers[0].gate
        assert (gate.active, gate.queued, gate.abandoned) == (0, 0, 0)


async def test_a_call_ends_with_the_engine_also_where_no_child_had_taken_it_yet() -> None:
    stuck = "import os, sys, time; time.sleep(3600)"
    async with called([sys.executable, "-c", stuck]) as (engine, whisper):
        await until(lambda: bool(engine.pid))
        engine._life = engine_module._Life()  # as if the child had answered once; now it takes no connection
        call = asyncio.create_task(whisper.call_remote_asr_api(request(), caller("interactive")))
        await until(lambda: whisper.snapshot().servers[0].gate.active == 1)
        await asyncio.sleep(0.2)
        assert engine.pid
        os.kill(engine.pid, signal.SIGKILL)
        with pytest.raises(Unreachable, match="killed by signal 9"):
            await call


async def test_where_the_kernel_kills_it_over_everything_nothing_that_can_wait_fails() -> None:
    async with called(child(poison="every")) as (_, whisper):
        calls = [asyncio.create_task(durable(whisper)) for _ in range(3)]
        await asyncio.sleep(6)
        assert not any(call.done() for call in calls)
        for call in calls:
            call.cancel()


@pytest.mark.parametrize("ends_by", ["SIGKILL", "SIGSEGV"])
async def test_audio_over_which_it_dies_each_time_while_others_get_through_fails_and_no_other(ends_by: str) -> None:
    async with called(child(poison=ends_by)) as (_, whisper):
        poison = asyncio.create_task(durable(whisper, "poison"))
        others = 0
        while not poison.done():
            await durable(whisper, "other")
            others += 1
        with pytest.raises(Poison):
            await poison
        assert others


async def test_a_connection_that_breaks_while_the_engine_lives_is_told_as_what_it_is() -> None:
    async def broken() -> Transcript:
        raise BrokenOff("Connection reset by peer")

    async with EmbeddedEngine(child()) as engine:
        await until(lambda: engine.bar() is None)
        with pytest.raises(BrokenOff, match="reset by peer"):
            await engine.during_life(broken)
