"""The runner: starts jobs from the line in this process."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

from django.db.models import F
from django.utils import timezone

from recordings.models import Transcription
from recordings.work.arrivals import Arrivals
from recordings.work.line import QueuedJob
from transcription import service
from transcription.snapshot import Jobs
from web.patience import patiently

log = logging.getLogger(__name__)

MOST_JOBS = 32  # at work in one lane at once: each holds a decoder and a few stretches of sound
LOOK_AGAIN = 5.0  # seconds, for jobs that another process put in line
PROVEN = 60.0  # seconds after which a job is not to blame for a crash: the worst job seen ended its process within 4 s
GRACE = 10.0  # seconds that exchanges under way get to end when the process stops


RunJob = Callable[[int, Callable[[], bool], Callable[[], None]], Awaitable[None]]


class Runner:
    """Starts jobs from the line: of one owner and lane as many at once as the servers have permits.

    More would only wait at the gate. The jobs of other owners, and a short clip beside a long recording, start at once,
    because the gate lets them take turns.
    """

    def __init__(self) -> None:
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._running: dict[int, tuple[int, str]] = {}  # the owner and lane of each
        self._suspects: set[int] = set()  # jobs at work that may have ended an earlier process
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awake = asyncio.Event()
        self._stopping = False

    async def run(
        self,
        in_line: Callable[[], Awaitable[list[QueuedJob]]],
        run_job: RunJob,
        at_once: Callable[[], int],
    ) -> None:
        """Run until `stop()`, or until canceled. Jobs that an earlier process left at work are put back in line first.

        in_line: returns the queued jobs, in the order in which they start.
        run_job: runs one job. Its arguments are the job's id, a function that says whether the process is about to
            end, and a function to call when the job's first call stands at the gate.
        at_once: returns how many jobs of one owner and lane run at once.
        """
        self._loop, self._awake, self._stopping = asyncio.get_running_loop(), asyncio.Event(), False
        self._arrivals = Arrivals(service.announce)
        self._looking = asyncio.create_task(self._look(in_line, run_job, at_once))
        try:
            await asyncio.wait({self._looking})
            if not self._stopping:
                self._looking.result()
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=GRACE)
        finally:
            self._loop = None
            tasks = [self._looking, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """Start nothing more, and end `run()` when the exchanges under way have ended, or after GRACE."""
        self._stopping = True
        self._looking.cancel()

    def wake(self) -> None:
        """Look at the line now: it has changed. Any thread may call this; it does nothing where no runner runs."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._awake.set)

    def cancel(self, pk: int) -> None:
        """Stop the job if it runs in this process. Any thread may call this."""
        if self._loop and (task := self._tasks.get(pk)):
            self._loop.call_soon_threadsafe(task.cancel)

    def clear(self, pk: int) -> None:
        """Note that a segment of the job was committed: it is no suspect any more, and the next suspect may start."""
        if pk in self._suspects:
            self._suspects.discard(pk)
            self._awake.set()

    async def _look(
        self,
        in_line: Callable[[], Awaitable[list[QueuedJob]]],
        run_job: RunJob,
        at_once: Callable[[], int],
    ) -> None:
        await patiently(_put_back)
        while True:
            self._awake.clear()
            await patiently(_trust)
            self._start(await patiently(in_line), run_job, at_once())
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN):
                    await self._awake.wait()

    def _start(
        self,
        jobs: list[QueuedJob],
        run_job: RunJob,
        at_once: int,
    ) -> None:
        owners, lanes = Counter(self._running.values()), Counter(lane for _, lane in self._running.values())
        for job in jobs:
            whose = (job.owner_id, job.lane)
            if job.crashes and self._suspects:  # suspects go one at a time: an innocent one is not blamed for another
                continue
            if job.pk not in self._tasks and owners[whose] < at_once and lanes[job.lane] < MOST_JOBS:
                if job.crashes:
                    self._suspects.add(job.pk)
                owners[whose] += 1
                lanes[job.lane] += 1
                self._arrivals.started(job.pk)
                run = partial(run_job, job.pk, lambda: self._stopping, partial(self._arrivals.at_gate, job.pk))
                self._tasks[job.pk] = asyncio.create_task(patiently(run), name=f"transcription {job.pk}")
                self._running[job.pk] = whose
                self._tasks[job.pk].add_done_callback(partial(self._ended, job.pk))
        waiting = sorted(job.pk for job in jobs if job.pk not in self._tasks)
        service.note_jobs(Jobs(queued=len(waiting), transcribing=len(self._tasks)))
        self._arrivals.looked(waiting)

    def _ended(self, pk: int, _: asyncio.Task[None]) -> None:
        del self._tasks[pk], self._running[pk]
        self._suspects.discard(pk)
        self._arrivals.ended(pk)
        self._awake.set()


async def _trust() -> None:
    """Clear the jobs that have been at work for PROVEN seconds: if the process ends now, they are not to blame."""
    held = Transcription.objects.filter(
        status=Transcription.Status.TRANSCRIBING, held=True, started_at__lt=timezone.now() - timedelta(seconds=PROVEN)
    )
    if await held.aexists():
        await held.aupdate(held=False)


async def _put_back() -> None:
    """Put the jobs of an earlier process back in line. A job that is still held crashed with its process."""
    queued = Transcription.Status.QUEUED
    running = Transcription.objects.filter(status=Transcription.Status.TRANSCRIBING)
    held = running.filter(held=True)
    count = await held.aupdate(status=queued, held=False, crashes=F("crashes") + 1)
    count += await running.aupdate(status=queued)
    if count:
        log.info("Taking up %d transcriptions that were interrupted", count)


runner = Runner()
