"""Runs jobs inside the server process: the executor of the embedded mode."""

import asyncio
import fcntl
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections

from .models import Transcription

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_JOBS = 32  # at once: each holds a decoder and a few stretches of audio
LOOK_AGAIN = 5.0  # seconds, for jobs that another process put in line
LONGEST_PAUSE = 60.0  # seconds between tries while the database is away
GRACE = 10.0  # seconds that exchanges under way get to end when the process stops


class Runner:
    """Starts jobs from the line, as many of one owner and lane at once as the servers take; more would only wait
    at the gate. Other owners' jobs, and a short clip beside a long recording, start at once: the gate has them take
    turns.
    """

    def __init__(self) -> None:
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._running: Counter[tuple[int, str]] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awake = asyncio.Event()
        self._stopping = False

    async def run(
        self,
        in_line: Callable[[], Awaitable[list[Transcription]]],
        run_job: Callable[[int, Callable[[], bool]], Awaitable[None]],
        at_once: Callable[[], int],
    ) -> None:
        """Run until `stop()`, or until canceled. Jobs that an earlier process left running are put back in line first.

        in_line: the queued jobs, in the order in which they start.
        run_job: runs one, given its id and a function that says whether the process is about to stop.
        at_once: how many of one owner and lane run.
        """
        self._loop, self._awake, self._stopping = asyncio.get_running_loop(), asyncio.Event(), False
        try:
            await _patiently(_put_back)
            while not self._stopping:
                self._awake.clear()
                self._start(await _patiently(in_line), run_job, at_once())
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_AGAIN):
                        await self._awake.wait()
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=GRACE)
        finally:
            self._loop = None
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def stop(self) -> None:
        """Start nothing more, and end `run()` when the exchanges under way have ended, or after GRACE."""
        self._stopping = True
        self._awake.set()

    def wake(self) -> None:
        """There may be something to start. Callable from any thread; does nothing where no runner runs."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._awake.set)

    def cancel(self, pk: int) -> None:
        """Stop the job if it runs here. Callable from any thread."""
        if self._loop and (task := self._tasks.get(pk)):
            self._loop.call_soon_threadsafe(task.cancel)

    def _start(
        self,
        jobs: list[Transcription],
        run_job: Callable[[int, Callable[[], bool]], Awaitable[None]],
        at_once: int,
    ) -> None:
        for job in jobs:
            whose = (job.recording.owner_id, job.lane)
            if len(self._tasks) >= MOST_JOBS:
                return
            if job.pk not in self._tasks and self._running[whose] < at_once:
                self._running[whose] += 1
                run = partial(run_job, job.pk, lambda: self._stopping)
                task = asyncio.create_task(_patiently(run), name=f"transcription {job.pk}")
                self._tasks[job.pk] = task
                task.add_done_callback(partial(self._ended, job.pk, whose))

    def _ended(self, pk: int, whose: tuple[int, str], _: asyncio.Task[None]) -> None:
        del self._tasks[pk]
        self._running[whose] -= 1
        self._awake.set()


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """While the database is locked or away, try again: what waits in it is neither done nor failed."""
    pause = 1.0
    while True:
        try:
            return await work()
        except DatabaseError:
            log.exception("The database failed; trying again in %.0f s", pause)
            # A connection that failed must not be used again; Django checks for that between requests only.
            await sync_to_async(close_old_connections)()
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 2)


async def _put_back() -> None:
    running = Transcription.objects.filter(status=Transcription.Status.TRANSCRIBING)
    if count := await running.aupdate(status=Transcription.Status.QUEUED):
        log.info("Taking up %d transcriptions that were interrupted", count)


class AlreadyRunning(Exception):
    """Another process runs the jobs of this data."""


@contextmanager
def only_runner(data_dir: Path) -> Iterator[None]:
    """Held by the one process that runs the jobs of this data: two would run the same ones, each behind its own gate.

    Raises AlreadyRunning. The kernel lets go of it when the process ends, however it ends.
    """
    with (data_dir / "runner.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning from None
        yield


runner = Runner()
