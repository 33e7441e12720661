"""The path of a call, and the concurrency that a real HTTP server sees at the end of it."""

import ast
import asyncio
import gc
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.calls import caller, client, request
from tests.support.jobs import whisper_at
from tests.support.source import parsed
from tests.support.waiting import PATIENCE, until
from tests.support.whisper_stub import WhisperStub
from transcription import client as client_module
from transcription import service
from transcription.errors import BypassRefused, NestedPermit
from transcription.line import LANES

ROOT = Path(client_module.__file__).parent.parent
COMMANDS = ROOT / "recordings" / "management"
# These modules send requests to a running product, which may be on another machine.
CLIENTS_OF_STILE = {COMMANDS / "server.py", COMMANDS / "commands" / "asr_stats.py", COMMANDS / "commands" / "live.py"}


@pytest.mark.parametrize(("limit", "calls"), [(1, 1), (1, 2), (1, 10), (2, 2), (2, 3), (2, 10)])
async def test_the_server_sees_as_many_calls_at_once_as_the_limit_says_and_all_succeed_in_order(
    limit: int, calls: int
) -> None:
    with WhisperStub(seconds=0.05) as stub:
        whisper = client(stub.url, limit=limit)
        names = [f"call {number}" for number in range(calls)]
        stub.hold()
        asked = [asyncio.create_task(whisper.call_remote_asr_api(request(name), caller())) for name in names]
        await until(lambda: stub.computing == min(limit, calls))
        stub.let_go()
        transcripts = await asyncio.gather(*asked)
        await whisper.aclose()
    assert [transcript.text for transcript in transcripts] == ["hello"] * calls
    assert stub.peak == min(limit, calls)
    if limit == 1:
        assert stub.prompts == names
    else:  # calls admitted together may overtake each other on the wire, by one place
        assert all(abs(stub.prompts.index(name) - number) < limit for number, name in enumerate(names))
    snapshot = whisper.snapshot()
    assert snapshot.calls.completed == calls
    assert (snapshot.servers[0].gate.active, snapshot.servers[0].gate.queued) == (0, 0)


@pytest.mark.django_db(transaction=True)
async def test_the_server_is_told_which_calls_are_live() -> None:
    with WhisperStub(seconds=0.0) as stub, whisper_at(stub):
        for lane in LANES:
            await service.transcribe_audio(b"", seconds=1.0, lane=lane, owner="mei", prompt=lane)
        await service.client().aclose()
        told = {
            call.fields["prompt"]: "x-stile-live" in call.headers for call in stub.received if call.fields.get("prompt")
        }
    assert told == {"live": True, "interactive": False, "batch": False}


def test_one_client_serves_event_loops_of_several_threads_under_one_limit_and_forgets_those_that_end() -> None:
    with WhisperStub(seconds=0.02) as stub:
        whisper = client(stub.url)

        async def calls() -> None:
            await asyncio.gather(*(whisper.call_remote_asr_api(request(), caller()) for _ in range(5)))

        with ThreadPoolExecutor(3) as threads:
            for run in [threads.submit(asyncio.run, calls()) for _ in range(3)]:
                run.result()
        asyncio.run(calls())
        assert (len(stub.received), stub.peak) == (20, 1)
        assert len(whisper.http.clients) == 1


class Wrapped:
    """A design without the gate: plain semaphores around two nested functions, one for both or one for each."""

    def __init__(self, url: str, outer: asyncio.Semaphore, inner: asyncio.Semaphore) -> None:
        self.whisper = client(url, limit=100)  # a limit that no test here reaches
        self.outer, self.inner = outer, inner

    async def transcribe_file(self) -> None:
        async with self.outer:
            await self.transcribe_chunk()

    async def transcribe_chunk(self) -> None:
        async with self.inner:
            await self.whisper.call_remote_asr_api(request(), caller())


async def test_one_semaphore_around_nested_wrappers_deadlocks_where_the_gate_does_not() -> None:
    with WhisperStub() as stub:
        shared = asyncio.Semaphore(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Wrapped(stub.url, shared, shared).transcribe_file(), 0.5)
        assert stub.received == []  # the call waited for itself, and sent nothing

        whisper = client(stub.url, limit=1)
        async with asyncio.timeout(PATIENCE):
            await whisper.call_remote_asr_api(request(), caller())
        assert len(stub.received) == 1


async def test_a_semaphore_for_each_wrapper_lets_two_calls_meet_where_the_gate_does_not() -> None:
    with WhisperStub() as stub:
        uploads = Wrapped(stub.url, asyncio.Semaphore(1), asyncio.Semaphore(1))
        captions = Wrapped(stub.url, asyncio.Semaphore(1), asyncio.Semaphore(1))
        stub.hold()
        both = asyncio.gather(uploads.transcribe_file(), captions.transcribe_file())
        await until(lambda: stub.computing == 2)
        stub.let_go()
        await both

    with WhisperStub() as stub:
        whisper = client(stub.url, limit=1)
        await asyncio.gather(*(whisper.call_remote_asr_api(request(), caller()) for _ in range(2)))
        assert stub.peak == 1


async def test_a_call_made_from_within_a_call_is_refused_at_once() -> None:
    with WhisperStub() as stub:
        whisper = client(stub.url, limit=1)
        permit = await whisper.pool.gate.acquire("batch", "someone")
        with permit.held(), pytest.raises(NestedPermit):
            # Refused also in the task of its own in which `wait_for` runs the call (before Python 3.12).
            await asyncio.wait_for(whisper.call_remote_asr_api(request(), caller()), PATIENCE)
        permit.release()
        await whisper.call_remote_asr_api(request(), caller())


def test_there_is_one_place_in_the_product_that_asks_for_a_permit() -> None:
    gc.collect()  # CPython 3.11 crashes when a task that nobody awaited is collected while it parses
    asking = []
    for path in ROOT.glob("*/**/*.py"):
        if path.relative_to(ROOT).parts[0] in ("asrsite", "accounts", "recordings", "transcription"):
            for node in ast.walk(parsed(path.read_text())):
                if (
                    isinstance(node, ast.Attribute)
                    and node.attr in ("enter", "acquire")
                    and "gate" in ast.unparse(node)
                ):
                    asking.append((path.name, ast.unparse(node)))
    assert asking == [("client.py", "self.pool.gate.enter")]


def test_one_module_only_sends_anything_to_a_whisper_server() -> None:
    speaking = {
        path.name: set(
            re.findall(r"\b(?:client|httpx?|_http\(\))\.(get|post|put|stream|request|send)\(", path.read_text())
        )
        for name in ("asrsite", "accounts", "recordings", "transcription")
        for path in (ROOT / name).rglob("*.py")
        if path not in CLIENTS_OF_STILE
        and re.search(
            r"^\s*(import|from) (httpx|requests|aiohttp|urllib\.request|http\.client)\b", path.read_text(), re.M
        )
    }
    assert speaking == {"exchange.py": {"send"}}


async def test_skipping_the_gate_is_refused_unless_it_is_allowed(caplog: pytest.LogCaptureFixture) -> None:
    with WhisperStub() as stub:
        with pytest.raises(BypassRefused, match="ASR_ALLOW_BYPASS"):
            await client(stub.url).call_remote_asr_api(request(), caller(), use_concurrency_control=False)
        assert stub.received == []

        whisper = client(stub.url, allow_bypass=True)
        stub.hold()
        asked = asyncio.gather(
            *(whisper.call_remote_asr_api(request(), caller(), use_concurrency_control=False) for _ in range(3))
        )
        await until(lambda: stub.computing == 3)
        stub.let_go()
        await asked
        assert whisper.snapshot().calls.bypassed == 3
        assert [record.levelname for record in caplog.records if "跳过并发控制" in record.message] == ["WARNING"] * 3


async def test_the_log_tells_of_two_calls_at_limit_1_in_the_agreed_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "transcription")
    with WhisperStub(seconds=0.1) as stub:
        whisper = client(stub.url)
        first = asyncio.create_task(whisper.call_remote_asr_api(request(), caller(task_id="asr_ab12")))
        await until(lambda: stub.computing == 1)
        await whisper.call_remote_asr_api(request(), caller(task_id="asr_cd34"))
        await first
    lines = [re.sub(r"waited=\d+\.\ds", "waited=0.1s", record.message) for record in caplog.records]
    assert [line for line in lines if "asr_ab12" in line] == [
        "[ASR并发] 开始转录 task_id=asr_ab12 active=1/1 queued=0",
        "[ASR并发] 转录成功 task_id=asr_ab12",
    ]
    assert [line for line in lines if "asr_cd34" in line] == [
        "[ASR并发] 开始转录 task_id=asr_cd34 active=1/1 queued=1",
        "[ASR并发] 获得许可 task_id=asr_cd34 waited=0.1s active=1/1 queued=0",
        "[ASR并发] 转录成功 task_id=asr_cd34",
    ]
    assert [line for line in lines if "task_id" not in line] == [
        f"[ASR API] Calling ASR API: url={stub.url}/audio/transcriptions",
        "[ASR API] ASR API success: text_length=5",
    ] * 2
    assert {record.levelno for record in caplog.records} == {logging.INFO}
