"""A storm test: people upload, transcribe, cancel and delete while the server is killed again and again."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import httpx

from tests.support.jobs import speech_with_pauses
from tests.support.processes import processes
from tests.support.product import Product, query
from tests.support.speech import librivox
from tests.support.waiting import wait_for
from tests.support.whisper_stub import Received, WhisperStub, said

FINISHED = ("done", "failed", "canceled")


# Each answer says which call it answers, so that a segment tells which request it came from.
NUMBERED = [said(f"call {number}") for number in range(10_000)]


@dataclass
class People:
    """A client that sends random requests, and notes what the answers promise. Each upload and new run has its own
    prompt."""

    product: Product
    random: random.Random
    stop: threading.Event = field(default_factory=threading.Event)
    kept: set[int] = field(default_factory=set)  # ids that were answered with 201, and not asked to be deleted
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def work(self, api: httpx.Client) -> None:
        """Send requests until `stop` is set. If the server is away, try again."""
        files = [clip.path.read_bytes() for clip in librivox()] + [speech_with_pauses()] * 3
        for number in count():
            if self.stop.is_set():
                return
            try:
                self._ask(api, files, number)
            except httpx.TransportError:
                self.answers["cut off"] += 1
                time.sleep(0.05)

    def _ask(self, api: httpx.Client, files: list[bytes], number: int) -> None:
        some = self.random.choice(sorted(self.kept)) if self.kept else None
        action = self.random.choices(["upload", "transcribe", "cancel", "delete"], [4, 3, 2, 1])[0]
        if some is None or action == "upload":
            action = "upload"
            file = ("a.wav", self.random.choice(files))
            response = api.post("/api/recordings", files={"file": file}, data={"prompt": f"upload {number}"})
            if response.status_code == 201:
                self.kept.add(response.json()["id"])
        elif action == "delete":
            self.kept.discard(some)
            response = api.delete(f"/api/recordings/{some}")
        else:
            body = {"prompt": f"run {number}"} if action == "transcribe" else None
            response = api.post(f"/api/recordings/{some}/{action}", json=body)
        self.answers[f"{action} {response.status_code}"] += 1
        if response.is_error:
            self.faults.append(f"{action} of {some}: {response.status_code} {response.text[:200]}")


def storm(folder: Path, rounds: int, seed: int) -> Counter[str]:
    """Kill the server `rounds` times; returns the number of each answer. AssertionError: a promise was broken."""
    chance = random.Random(seed)  # noqa: S311 repeatable, not secret
    with WhisperStub(seconds=lambda: chance.uniform(0.01, 0.2), replies=NUMBERED) as stub:
        product = Product(
            folder,
            ASR_API_URL=stub.url,
            ASR_MAX_CONCURRENT="2",
            ASR_RETRY_DELAY="0.01",
            ASR_REQUEST_TIMEOUT="3",  # seconds, with the grace: how long exchanges of a killed process are waited for
            ASR_ABANDONED_GRACE="0.5",
        )
        product.start()
        people = People(product, random.Random(seed + 1))  # noqa: S311
        sent_again: list[tuple[str, str]] = []
        with product.client() as api:
            worker = threading.Thread(target=people.work, args=[api])
            worker.start()
            try:
                for _ in range(rounds):
                    time.sleep(chance.uniform(0.2, 2.0))
                    product.kill()
                    finished = _finished(folder, stub)
                    before = len(stub.received)
                    product.start()
                    sent_again += [key for key in map(_key, stub.received[before:]) if key in finished]
                    people.answers["kill -9"] += 1
            finally:
                people.stop.set()
                worker.join()
            wait_for(lambda: not _unfinished(folder), "all jobs finished")
            # A permit of a killed process comes back in its time, so that is waited for.
            wait_for(lambda: set(_held(api)) == {0}, "all permits and waiters gone")
        product.stop()
        assert not people.faults, people.faults
        assert not sent_again, sent_again
        assert stub.peak <= 2
    _check(folder, people.kept)
    return people.answers


def _held(api: httpx.Client) -> tuple[int, int, int]:
    """Permits that are out, calls and jobs that wait, and abandoned permits."""
    stats = api.get("/api/recordings/stats/asr-concurrency").json()
    return stats["active_tasks"], stats["queued_tasks"], stats["abandoned"]


def _unfinished(folder: Path) -> list[Any]:
    return query(folder, "SELECT id FROM recordings_transcription WHERE status NOT IN (?, ?, ?)", *FINISHED)


def _key(request: Received) -> tuple[str, str]:
    return request.fields["prompt"], request.digest


def _finished(folder: Path, stub: WhisperStub) -> set[tuple[str, str]]:
    """The requests whose answers are committed. They must not be sent again."""
    texts = query(folder, "SELECT text FROM recordings_segment")
    return {_key(stub.received[int(text.removeprefix("call "))]) for (text,) in texts}


def _check(folder: Path, kept: set[int]) -> None:
    """Assert what must be true of rows, files and processes after the storm."""
    runs = query(folder, "SELECT id, recording_id, status, error_code, segments_total FROM recordings_transcription")
    assert kept <= {recording for _, recording, *_ in runs}
    for pk, _, status, code, total in runs:
        assert status in FINISHED
        assert bool(code) == (status == "failed")
        segments = query(
            folder, 'SELECT "index", start, end FROM recordings_segment WHERE transcription_id = ? ORDER BY start', pk
        )
        indexes = [index for index, *_ in segments]
        assert all(before[2] <= after[1] for before, after in pairwise(segments))
        assert indexes == list(range(total)) if status == "done" else indexes == sorted(set(indexes)), (pk, indexes)
    rows = {name for (name,) in query(folder, "SELECT original FROM recordings_recording")}
    files = {str(path.relative_to(folder / "media")) for path in (folder / "media").rglob("*") if path.is_file()}
    assert files == rows
    assert list((folder / "incoming").iterdir()) == []
    assert processes(folder) == []
