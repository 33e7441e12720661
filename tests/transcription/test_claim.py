"""One process at a time may call Whisper: the claim, and its locks in files and in PostgreSQL."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from tests.support.calls import caller, client, request
from tests.support.postgres import Postgres, postgres
from tests.support.waiting import until, wait_for
from tests.support.whisper_stub import WhisperStub
from transcription import claim as claim_module
from transcription import postgres_lock
from transcription.claim import AlreadyRunning, Claim, FileLock
from transcription.errors import Unreachable
from transcription.pool import Bar
from transcription.postgres_lock import PostgresLock
from transcription.sentence import Sentence

ROOT = settings.BASE_DIR
HOLDER = """
import sys, time
from pathlib import Path
from transcription.claim import Claim, FileLock
claim = Claim([FileLock(Path(path), path) for path in sys.argv[1:]])
claim.take()
print("taken", flush=True)
time.sleep(60)
"""


def holder(*paths: Path) -> subprocess.Popen[str]:
    """Start another process that takes the claim on these files, and wait until it has it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *map(str, paths)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "taken\n"
    return process


def claim_on(*paths: Path) -> Claim:
    return Claim([FileLock(path, path.name) for path in paths])


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "PATIENCE", 0.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("shared", ["data", "database"])
def test_a_process_that_shares_only_one_of_the_files_is_refused_and_keeps_neither(shared: str, tmp_path: Path) -> None:
    other = holder(tmp_path / shared)
    claim = claim_on(tmp_path / "data", tmp_path / "database")
    assert claim.taken_by_another() == shared
    with pytest.raises(AlreadyRunning, match=f"^Stile is already running on {shared}.$"):
        claim.take()
    assert not claim.held
    free = "database" if shared == "data" else "data"
    assert claim_on(tmp_path / free).taken_by_another() is None
    other.kill()
    other.wait()
    assert claim.taken_by_another() is None
    claim.take()
    assert claim.held
    claim.release()
    assert not claim.held


def test_a_process_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    other = holder(tmp_path / "data")
    threading.Timer(0.3, other.kill).start()
    claim = claim_on(tmp_path / "data")
    claim.take()
    assert claim.held
    claim.release()
    other.wait()


@pytest.mark.usefixtures("impatient")
def test_asking_whether_the_claim_is_taken_takes_nothing(tmp_path: Path) -> None:
    claim = claim_on(tmp_path / "data")
    assert claim.taken_by_another() is None
    assert not (tmp_path / "data").exists()
    claim.take()
    claim.take()
    assert claim.taken_by_another() is None  # this claim has it
    claim.release()


@pytest.mark.usefixtures("impatient")
def test_a_fork_of_the_process_that_has_it_does_not_have_it_and_does_not_lose_it_for_its_parent(tmp_path: Path) -> None:
    claim = claim_on(tmp_path / "data")
    claim.take()
    if not (child := os.fork()):
        refused = 0
        try:
            claim.take()
        except AlreadyRunning:
            refused = 1
        os._exit(10 + refused + 2 * claim.held)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 11
    assert claim.held
    with pytest.raises(AlreadyRunning):
        claim_on(tmp_path / "data").take()
    claim.release()


# --- PostgreSQL --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture
def lock(database: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresLock]:
    monkeypatch.setattr(postgres_lock, "LOOK_EVERY", 0.1)
    held = PostgresLock(lambda: database.parameters, "the database")
    yield held
    held.release()


def another(database: Postgres) -> PostgresLock:
    return PostgresLock(lambda: database.parameters, "the database")


def test_the_database_gives_its_lock_to_one_connection(database: Postgres, lock: PostgresLock) -> None:
    other = another(database)
    assert not lock.taken()
    assert lock.take()
    assert lock.held
    assert not lock.taken()  # this lock has it
    assert other.taken()
    assert not other.take()
    assert not other.held
    lock.release()
    assert not other.taken()
    assert other.take()
    other.release()


def test_a_lock_is_free_for_the_next_as_soon_as_it_was_released(
    database: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_lock, "LOOK_EVERY", 0.01)
    for lock in (another(database), another(database)) * 20:
        assert lock.take()
        lock.release()


@pytest.mark.parametrize("how", ["its connection is ended", "the database is started anew"])
def test_a_lock_that_is_lost_is_not_held_from_then_on_and_taken_again(
    how: str, database: Postgres, lock: PostgresLock
) -> None:
    assert lock.take()
    if how == "its connection is ended":
        database.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    else:
        database.stop()
        wait_for(lambda: not lock.held, "the loss")
        database.start()
    wait_for(lambda: another(database).taken() and lock.held, "the lock again")


def test_a_lock_that_another_took_meanwhile_comes_back_when_that_one_has_ended(
    database: Postgres, lock: PostgresLock
) -> None:
    assert lock.take()
    database.stop()
    wait_for(lambda: not lock.held, "the loss")
    other = another(database)
    lock._parameters = lambda: database.parameters | {"port": 1}  # `lock` reaches the database later than `other`
    database.start()
    assert other.take()
    lock._parameters = lambda: database.parameters
    time.sleep(1)
    assert (lock.held, other.held) == (False, True)
    other.release()
    wait_for(lambda: lock.held, "the lock again")


def test_a_lock_is_not_held_on_the_word_of_a_database_that_gives_no_answer(
    database: Postgres, lock: PostgresLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_lock, "LEASE", 0.5)
    assert lock.take()
    backends = psutil.Process(database.process.pid).children()
    try:
        for backend in backends:
            backend.send_signal(signal.SIGSTOP)
        wait_for(lambda: not lock.held, "the end of the lease")
    finally:
        for backend in backends:
            backend.send_signal(signal.SIGCONT)
    wait_for(lambda: lock.held, "an answer")


def test_a_database_that_is_away_at_the_start_is_waited_for(database: Postgres, lock: PostgresLock) -> None:
    database.stop()
    assert lock.take()
    assert not lock.held
    database.start()
    wait_for(lambda: lock.held, "the lock")


async def test_nothing_is_sent_while_the_lock_is_not_held_and_what_waits_goes_on_when_it_is(
    database: Postgres, lock: PostgresLock
) -> None:
    claim = Claim([lock])
    claim.take()
    with WhisperStub(seconds=0.05) as stub:
        whisper = client(stub.url)
        for server in whisper.pool.servers:
            server.barred = lambda: None if claim.held else Bar(Sentence("The lock is lost."), 0.1)
        waiting = [asyncio.create_task(whisper.call_remote_asr_api(request(), caller(durable=True))) for _ in range(8)]
        await waiting[0]
        stub.hold()
        await asyncio.to_thread(database.stop)
        await asyncio.to_thread(wait_for, lambda: not lock.held, "the loss")
        stub.let_go()
        await until(lambda: not whisper.snapshot().servers[0].gate.active)
        sent = len(stub.received)
        assert sent < 8
        with pytest.raises(Unreachable, match=r"^The lock is lost\.$"):
            await whisper.call_remote_asr_api(request(), caller("interactive"))
        await asyncio.sleep(0.5)
        assert len(stub.received) == sent
        await asyncio.to_thread(database.start)
        await asyncio.gather(*waiting)
        assert stub.peak == 1
        await whisper.aclose()
    claim.release()
