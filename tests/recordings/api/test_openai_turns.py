"""Callers of /v1 take turns, and a caller that hangs up makes room for others, as the Whisper stub sees it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import pairwise

import httpx
import pytest

from tests.support.jobs import CLIPS, speech_with_pauses
from tests.support.openai_clients import Door, open_door
from tests.support.site import Site
from tests.support.waiting import PATIENCE, wait_for
from tests.support.whisper_stub import WhisperStub
from transcription import service
from transcription.snapshot import GateSnapshot

EXCHANGE = 0.4  # seconds


@pytest.fixture
def door(site: Site) -> Iterator[Door]:
    with open_door(site, WhisperStub(EXCHANGE)) as opened:
        yield opened


@pytest.fixture
def speech(clip: bytes) -> tuple[str, bytes]:
    return "clip.wav", clip


@pytest.fixture
def long() -> tuple[str, bytes]:
    """A file of five segments. To the gate it is like an hour of sound."""
    return "long.wav", speech_with_pauses()


def gate() -> GateSnapshot:
    return service.snapshot().servers[0].gate


def places() -> int:
    """How many permits are out and how many calls wait, together."""
    now = gate()
    return now.active + now.queued


@pytest.mark.parametrize("user", ["mei", "ann"])
def test_a_short_call_waits_for_one_exchange_of_a_long_file(
    door: Door, long: tuple[str, bytes], speech: tuple[str, bytes], user: str
) -> None:
    door.stub.hold()
    with ThreadPoolExecutor() as pool:
        whole = pool.submit(door.client().audio.transcriptions.create, model="whisper-1", file=long, prompt="long")
        door.stub.let_one_go()
        wait_for(lambda: len(door.stub.received) == 2, "the second exchange")
        assert places() == 1  # a file has one call at the gate at a time, however long it is
        short = pool.submit(
            door.client(user).audio.transcriptions.create, model="whisper-1", file=speech, prompt="short"
        )
        wait_for(lambda: places() == 2, "the short call")
        before = len(door.stub.received)
        door.stub.let_go()
        assert short.result(PATIENCE).text == "hello"
        assert door.stub.prompts.index("short") <= before + 1
        assert whole.result(PATIENCE).text == " ".join(["hello"] * CLIPS)
    assert door.stub.peak == 1
    assert door.stub.prompts.count("long") == CLIPS


def test_two_long_files_of_two_people_take_turns(door: Door, long: tuple[str, bytes]) -> None:
    door.stub.hold()
    with ThreadPoolExecutor() as pool:
        both = [
            pool.submit(door.client(user).audio.transcriptions.create, model="whisper-1", file=long, prompt=user)
            for user in ("mei", "ann")
        ]
        for exchange in range(2 * CLIPS):
            wait_for(lambda: door.stub.computing and (gate().queued or any(answer.done() for answer in both)), "both")
            door.stub.let_one_go()
            wait_for(lambda number=exchange: door.stub.finished > number, "the end of the exchange")  # type: ignore[misc]
        assert {answer.result(PATIENCE).text for answer in both} == {" ".join(["hello"] * CLIPS)}
    prompts = door.stub.prompts
    second = max(prompts.index("mei"), prompts.index("ann"))
    first_done = min(len(prompts) - prompts[::-1].index(user) for user in ("mei", "ann"))
    together = prompts[second:first_done]
    assert len(together) >= CLIPS
    assert all(one != other for one, other in pairwise(together))


def asked(door: Door, file: tuple[str, bytes], user: str, **fields: str) -> HTTPConnection:
    """Send a request to /v1, and return its connection without reading the answer."""
    request = httpx.Request("POST", f"{door.site.url}/v1/audio/transcriptions", files={"file": file}, data=fields)
    connection = HTTPConnection(*door.site.address)
    headers = {"Authorization": f"Bearer {door.key(user)}", "Content-Type": request.headers["Content-Type"]}
    connection.request("POST", request.url.path, request.read(), headers)
    return connection


def test_a_waiter_that_hangs_up_leaves_the_line_and_never_reaches_the_server(
    door: Door, long: tuple[str, bytes], speech: tuple[str, bytes]
) -> None:
    door.stub.hold()
    with ThreadPoolExecutor() as pool:
        whole = pool.submit(door.client().audio.transcriptions.create, model="whisper-1", file=long)
        wait_for(lambda: door.stub.computing, "the first exchange")
        waiting = asked(door, speech, "ann", prompt="gone")
        wait_for(lambda: gate().queued == 1, "the waiter")
        waiting.close()
        wait_for(lambda: places() == 1, "the end of the waiter")
        door.stub.let_go()
        assert whole.result(PATIENCE).text == " ".join(["hello"] * CLIPS)
    assert "gone" not in door.stub.prompts
    assert door.site.files() == []


@pytest.mark.parametrize("fields", [{}, {"stream": "true"}])
def test_a_caller_that_hangs_up_in_a_file_costs_no_more_than_the_exchange_under_way(
    door: Door, long: tuple[str, bytes], fields: dict[str, str]
) -> None:
    door.stub.hold()
    under_way = asked(door, long, "mei", **fields)
    door.stub.let_one_go()
    wait_for(lambda: len(door.stub.received) == 2, "the second exchange")
    under_way.close()
    wait_for(lambda: places() == 0, "the end of the request")
    door.stub.let_go()
    wait_for(lambda: door.stub.finished == 2, "the end of the exchange")
    time.sleep(2 * EXCHANGE)
    assert len(door.stub.received) == door.stub.finished == 2
    assert door.site.files() == []


def test_a_file_that_has_begun_is_not_refused_by_a_full_queue(
    door: Door, long: tuple[str, bytes], speech: tuple[str, bytes]
) -> None:
    its_gate = service.client().pool.gate
    door.stub.hold()
    with ThreadPoolExecutor() as pool:
        whole = pool.submit(door.client().audio.transcriptions.create, model="whisper-1", file=long)
        wait_for(lambda: door.stub.computing, "the first exchange")
        short = pool.submit(door.client("ann").audio.transcriptions.create, model="whisper-1", file=speech)
        wait_for(lambda: gate().queued == 1, "the short call")
        its_gate.max_queue = 0  # so that the line is full for the file's second segment
        door.stub.let_one_go()
        wait_for(lambda: service.snapshot().calls.rejected, "the second segment")
        its_gate.max_queue = 100
        door.stub.let_go()
        assert short.result(PATIENCE).text == "hello"
        assert whole.result(PATIENCE).text == " ".join(["hello"] * CLIPS)
