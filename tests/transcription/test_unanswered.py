"""Exchanges of a killed process keep permits in the next process, until no server can still compute them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests.support.calls import SENT_WITHIN, caller, client, request
from tests.support.waiting import until, wait_for
from tests.support.whisper_stub import OUT_OF_MEMORY, Reply, WhisperStub, http, reset, said
from transcription.client import WhisperClient
from transcription.errors import TranscriptionError
from transcription.unanswered import PREPARED, SLOT, Moment, Unanswered, elapsed, moment

ROOT = settings.BASE_DIR
URL = "http://gpu:8000/v1/audio/transcriptions"
# Code of a process with a gate of its own, which makes `calls` calls. Tests kill it before they are answered.
CALLS = """
import asyncio, sys
from pathlib import Path
from tests.support.calls import caller, client, request
from transcription.unanswered import Unanswered
path, url, limit, calls, seconds = sys.argv[1:]
async def main():
    whisper = client(url, limit=int(limit), unanswered=Unanswered(Path(path), float(seconds)))
    await asyncio.gather(*(whisper.call_remote_asr_api(request(), caller()) for _ in range(int(calls))))
asyncio.run(main())
"""


def counts(whisper: WhisperClient) -> tuple[int, int, int]:
    gate = whisper.snapshot().servers[0].gate
    return gate.active, gate.queued, gate.abandoned


def killed(path: Path, stub: WhisperStub, limit: int, calls: int, seconds: float) -> None:
    """Let a process call the stub, and kill it when the stub computes as many calls as the limit allows."""
    arguments = [str(path), stub.url, str(limit), str(calls), str(seconds)]
    process = subprocess.Popen([sys.executable, "-c", CALLS, *arguments], cwd=ROOT)
    wait_for(lambda: stub.computing == min(limit, calls), "the calls", every=0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize(("before", "after"), [(1, 1), (4, 1), (2, 4)])
async def test_a_server_that_computes_on_never_sees_more_than_the_limit_when_its_caller_was_killed(
    before: int, after: int, tmp_path: Path
) -> None:
    with WhisperStub(seconds=0.02) as stub:
        stub.hold()
        await asyncio.to_thread(killed, tmp_path / "notes", stub, before, 2 * before, 8.0)
        assert stub.computing == before
        whisper = client(stub.url, limit=after, unanswered=Unanswered(tmp_path / "notes", 8.0))
        assert counts(whisper) == (0, 0, before)
        asyncio.get_running_loop().call_later(1, stub.let_go)
        seen = []

        async def call() -> None:
            await whisper.call_remote_asr_api(request(), caller())
            seen.append(stub.peak)

        await asyncio.gather(*(call() for _ in range(20)))
        assert stub.peak <= max(before, after)
        assert max(seen) <= max(before, after)
        await until(lambda: counts(whisper) == (0, 0, 0))
        await whisper.aclose()
    assert left(tmp_path / "notes") == 0


async def test_killed_again_before_it_is_over_the_first_exchange_is_still_known(tmp_path: Path) -> None:
    with WhisperStub(seconds=30) as stub:
        await asyncio.to_thread(killed, tmp_path / "notes", stub, 1, 1, 300)
        second = client(stub.url, unanswered=Unanswered(tmp_path / "notes", 300))
        assert counts(second) == (0, 0, 1)
        third = client(stub.url, unanswered=Unanswered(tmp_path / "notes", 300))
        assert counts(third) == (0, 0, 1)


@pytest.mark.parametrize(
    "reply",
    [said(), http(500, {"error": "broken"}), OUT_OF_MEMORY, reset, http(400, "no")],
    ids=["text", "an error", "out of memory", "a reset", "a refusal"],
)
async def test_nothing_is_left_when_the_server_has_answered_whatever_it_said(reply: Reply, tmp_path: Path) -> None:
    notes = Unanswered(tmp_path / "notes", 300)
    with WhisperStub(seconds=0.01, replies=reply) as stub:
        whisper = client(stub.url, limit=3, unanswered=notes)
        calls = [whisper.call_remote_asr_api(request(), caller()) for _ in range(6)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(not isinstance(each, BaseException) or isinstance(each, TranscriptionError) for each in results)
        await whisper.aclose()
    assert left(tmp_path / "notes") == 0


async def test_a_stop_leaves_the_exchanges_that_it_cut_off_and_none_that_ended(tmp_path: Path) -> None:
    with WhisperStub() as stub:
        stub.hold()
        whisper = client(stub.url, unanswered=Unanswered(tmp_path / "notes", 300))
        call = asyncio.create_task(whisper.call_remote_asr_api(request(), caller()))
        await until(lambda: stub.computing == 1)
        assert left(tmp_path / "notes") == 1
        stub.let_go()
        await call
        assert left(tmp_path / "notes") == 0

        stub.hold()
        gone = asyncio.create_task(whisper.call_remote_asr_api(request(), caller()))
        await until(lambda: stub.computing == 1)
        gone.cancel()
        await asyncio.wait([gone])
        await whisper.aclose()
        assert (left(tmp_path / "notes"), stub.computing) == (1, 1)


async def test_an_exchange_that_never_ends_is_given_up_and_forgotten_with_its_permit(tmp_path: Path) -> None:
    with WhisperStub(seconds=3600) as stub:
        notes = Unanswered(tmp_path / "notes", 0.4)
        whisper = client(stub.url, request_timeout=SENT_WITHIN, abandoned_grace=1.5, max_attempts=1, unanswered=notes)
        with pytest.raises(TranscriptionError):
            await whisper.call_remote_asr_api(request(), caller())
        assert left(tmp_path / "notes") == 1
        await until(lambda: counts(whisper) == (0, 0, 0))
        assert left(tmp_path / "notes") == 0
        await whisper.aclose()


async def test_where_nothing_can_be_noted_calls_go_all_the_same(tmp_path: Path) -> None:
    notes = Unanswered(tmp_path / "notes", 300)
    os.dup2(full := os.open("/dev/full", os.O_RDWR), notes._fd)
    os.close(full)
    with WhisperStub() as stub:
        whisper = client(stub.url, unanswered=notes)
        assert (await whisper.call_remote_asr_api(request(), caller())).text == "hello"
        await whisper.aclose()


# --- the notes ---------------------------------------------------------------------------------


def left(path: Path) -> int:
    """The number of exchanges that the file has as unanswered."""
    content = path.read_bytes()
    return sum(content[at] for at in range(0, len(content), SLOT.size))


NOW = moment()


def later(seconds: float, **changes: Any) -> Callable[[], Moment]:
    """A clock that stands `seconds` after NOW, with these fields changed."""
    then = Moment(NOW.boot, NOW.since_boot + seconds, NOW.wall + seconds)._replace(**changes)
    return lambda: then


def test_each_server_gets_its_own_exchanges_once(tmp_path: Path) -> None:
    notes = Unanswered(tmp_path / "notes", 300, lambda: NOW)
    for url in (URL, URL, "http://other:8000/v1/audio/transcriptions"):
        notes.note(url)
    again = Unanswered(tmp_path / "notes", 300, later(100))
    assert [round(leftover.seconds) for leftover in again.leftovers(URL)] == [200, 200]
    assert again.leftovers(URL) == []
    assert again.leftovers("http://removed:8000/v1/audio/transcriptions") == []


@pytest.mark.parametrize("number", [1, PREPARED, 3 * PREPARED + 1])
def test_there_is_room_for_any_number_and_slots_are_used_again(number: int, tmp_path: Path) -> None:
    notes = Unanswered(tmp_path / "notes", 300)
    for _ in range(3):
        slots = [notes.note(URL) for _ in range(number)]
        assert len(set(slots)) == number == left(tmp_path / "notes")
        for slot in slots:
            notes.forget(slot)
    assert (tmp_path / "notes").stat().st_size <= (number + PREPARED) * SLOT.size
    [notes.note(URL) for _ in range(number)]
    assert len(Unanswered(tmp_path / "notes", 300).leftovers(URL)) == number


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        (later(100), 200.0),
        (later(299.5), 0.5),
        (later(301), None),
        (later(100, wall=0.0), 200.0),  # the wall clock was set: it does not count within one boot
        (later(100, wall=4e9), 200.0),
        (later(400, wall=0.0), None),
        (later(100, boot=b"another boot 123", since_boot=3.0), 200.0),  # another boot: only the wall clock counts
        (later(400, boot=b"another boot 123", since_boot=3.0), None),
        (later(100, boot=b"another boot 123", since_boot=3.0, wall=0.0), 300.0),  # it was set back: the longest time
        (later(100, boot=b"another boot 123", wall=float("nan")), 300.0),
    ],
)
def test_what_is_left_is_counted_from_when_it_was_sent(
    after: Callable[[], Moment], seconds: float | None, tmp_path: Path
) -> None:
    Unanswered(tmp_path / "notes", 300, lambda: NOW).note(URL)
    found = [leftover.seconds for leftover in Unanswered(tmp_path / "notes", 300, after).leftovers(URL)]
    assert found == ([] if seconds is None else [pytest.approx(seconds, abs=0.001)])


def test_an_exchange_is_kept_as_long_as_the_process_that_sent_it_would_have_waited(tmp_path: Path) -> None:
    Unanswered(tmp_path / "notes", 300).note(URL)
    [leftover] = Unanswered(tmp_path / "notes", 10).leftovers(URL)
    assert leftover.seconds > 200


@pytest.mark.parametrize("content", [b"\x01", b"\xff" * 640, os.urandom(1000), b"\x01" + b"\xff" * 127, b"text\n" * 99])
def test_a_file_that_is_none_of_ours_or_damaged_holds_up_nobody_for_ever(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(content)
    notes = Unanswered(tmp_path / "notes", 300)
    assert notes.leftovers(URL) == []
    notes.note(URL)
    assert len(Unanswered(tmp_path / "notes", 300).leftovers(URL)) == 1


def test_where_the_machine_does_not_tell_its_start_the_clock_has_to_do() -> None:
    sent = moment()._replace(boot=bytes(16))
    assert elapsed(sent, sent._replace(since_boot=0.0, wall=sent.wall + 5)) == pytest.approx(5)
    assert elapsed(sent, sent._replace(wall=sent.wall - 5)) == 0.0
