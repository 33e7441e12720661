"""Runs jobs inside the server process: the executor of the embedded mode."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections

from .models import Transcription

log = logging.getLogger(__name__)

MOST_JOBS = 32  # at once: each holds a decoder and a few stretches of audio
LOOK_AGAIN = 5.0  # seconds, for jobs that another process put in line
LONGEST_PAUSE = 60.0  # seconds between tries while the database is away


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

    async def run(
        self,
        in_line: Callable[[], Awaitable[list[Transcription]]],
        run_job: Callable[[int], Awaitable[None]],
        at_once: Callable[[], int],
    ) -> None:
        """Run until canceled. Jobs that an earlier process left running are put back in line first.

        in_line: the queued jobs, in the order in which they start. at_once: how many of one owner and lane run.
        """
        self._loop, self._awake = asyncio.get_running_loop(), asyncio.Event()
        pause = 1.0
        recovered = False
        try:
            while True:
                self._awake.clear()
                try:
                    if not recovered:
                        await _put_back()
                        recovered = True
                    await self._start(await in_line(), run_job, at_once())
                    pause = 1.0
                except DatabaseError:
                    log.exception("The database cannot be read; looking again in %.0f s", pause)
                    await _drop_connection()
                    await asyncio.sleep(pause)
                    pause = min(LONGEST_PAUSE, pause * 2)
                    continue
                try:
                    async with asyncio.timeout(LOOK_AGAIN):
                        await self._awake.wait()
                except TimeoutError:
                    pass
        finally:
            self._loop = None
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def wake(self) -> None:
        """There may be something to start. Callable from any thread; does nothing where no runner runs."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._awake.set)

    def cancel(self, pk: int) -> None:
        """Stop the job if it runs here. Callable from any thread."""
        if self._loop and (task := self._tasks.get(pk)):
            self._loop.call_soon_threadsafe(task.cancel)

    async def _start(self, jobs: list[Transcription], run_job: Callable[[int], Awaitable[None]], at_once: int) -> None:
        for job in jobs:
            whose = (job.recording.owner_id, job.lane)
            if len(self._tasks) >= MOST_JOBS:
                return
            if job.pk not in self._tasks and self._running[whose] < at_once:
                self._running[whose] += 1
                task = asyncio.create_task(_to_its_end(job.pk, run_job), name=f"transcription {job.pk}")
                self._tasks[job.pk] = task
                task.add_done_callback(lambda _, pk=job.pk, whose=whose: self._ended(pk, whose))

    def _ended(self, pk: int, whose: tuple[int, str]) -> None:
        del self._tasks[pk]
        self._running[whose] -= 1
        self._awake.set()


async def _to_its_end(pk: int, run_job: Callable[[int], Awaitable[None]]) -> None:
    """While the database is away the job is tried again: it is neither done nor failed."""
    pause = 1.0
    while True:
        try:
            return await run_job(pk)
        except DatabaseError:
            log.exception("Transcription %d: the database failed; trying again in %.0f s", pk, pause)
            await _drop_connection()
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)


async def _put_back() -> None:
    running = Transcription.objects.filter(status=Transcription.Status.TRANSCRIBING)
    if count := await running.aupdate(status=Transcription.Status.QUEUED):
        log.info("Taking up %d transcriptions that were interrupted", count)


async def _drop_connection() -> None:
    """A connection that failed must not be used again; Django checks for that between requests only."""
    await sync_to_async(close_old_connections)()


runner = Runner()
