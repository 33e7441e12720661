"""`manage.py retranscribe`: put recordings in line again, and follow the work.

Jobs are run by whoever serves: this command never calls Whisper beside the running server's gate.
"""

import asyncio
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.core.management import BaseCommand, CommandError
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.dateparse import parse_date
from rich.console import Console
from rich.progress import Progress

from recordings.models import Recording, Transcription
from recordings.text import language_code
from recordings.work.jobs import aqueue_transcription
from recordings.work.line import in_line
from recordings.work.runner import runner
from recordings.work.transcribing import run_transcription
from transcription import service
from transcription.claim import AlreadyRunning

LOOK_EVERY = 1.0  # seconds
BATCH = 500  # rows asked for at once: ten thousand recordings need no more memory than five hundred
INTERRUPTED = 130  # the shell's exit code for Ctrl-C

NOBODY_RUNS = (
    "No server is running to do the work. Start it (make run), or add --here to do it in this process, "
    "or --no-wait to leave it in line."
)


class Command(BaseCommand):
    help = "Transcribe recordings again. Earlier transcriptions are kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="*", type=int, metavar="ID", help="recordings, by number")
        parser.add_argument("--all", action="store_true", help="every recording")
        parser.add_argument("--status", choices=Transcription.Status.values, help="those whose newest run ended so")
        parser.add_argument("--since", metavar="DATE", help="those made since this day, as 2026-11-24")
        parser.add_argument("--owner", metavar="NAME", help="those of this user")
        parser.add_argument(
            "--language", type=_language, help="spoken language, as en or Chinese; default: the recording's"
        )
        parser.add_argument("--model", help="Whisper model (default: the server's)")
        parser.add_argument("--dry-run", action="store_true", help="only say which")
        parser.add_argument("--no-wait", action="store_true", help="do not wait for the work to be done")
        parser.add_argument("--here", action="store_true", help="do the work in this process; only without a server")

    def handle(self, *args: Any, **options: Any) -> None:
        ids = self._chosen(options)
        self.stdout.write(f"{len(ids)} {'recording' if len(ids) == 1 else 'recordings'} to transcribe")
        if options["dry_run"]:
            for recording in Recording.objects.filter(pk__in=ids).order_by("pk").iterator(BATCH):
                self.stdout.write(f"{recording.pk}\t{recording.title}")
            return
        try:
            with _where(options["here"], options["no_wait"]):
                failed = asyncio.run(self._work(ids, options))
        except KeyboardInterrupt:
            self.stderr.write("Stopped looking; the work stays in line. See the library, or --status failed later.")
            sys.exit(INTERRUPTED)
        if failed:
            sys.exit(1)

    def _chosen(self, options: dict[str, Any]) -> list[int]:
        filters = [options[name] for name in ("ids", "status", "since", "owner")]
        if not options["all"] and not any(filters):
            raise CommandError("Name recordings by number, or choose them with --all, --status, --since or --owner.")
        chosen: QuerySet[Recording] = Recording.objects.order_by("pk")
        if wanted := set(options["ids"]):
            chosen = chosen.filter(pk__in=wanted)
            if missing := wanted - set(chosen.values_list("pk", flat=True)):
                raise CommandError(f"There is no recording {', '.join(map(str, sorted(missing)))}.")
        if options["status"]:
            newest = Transcription.objects.filter(recording=OuterRef("pk")).order_by("-pk")
            chosen = chosen.alias(newest=Subquery(newest.values("status")[:1])).filter(newest=options["status"])
        if options["since"]:
            chosen = chosen.filter(created_at__date__gte=_day(options["since"]))
        if options["owner"]:
            chosen = chosen.filter(owner__username=options["owner"])
        return list(chosen.values_list("pk", flat=True))

    async def _work(self, ids: list[int], options: dict[str, Any]) -> int:
        """Put the recordings in line, and wait for the ends of their jobs. Returns how many did not succeed."""
        jobs = []
        for some in _batches(ids):
            async for recording in Recording.objects.filter(pk__in=some).order_by("pk"):
                job = await aqueue_transcription(
                    recording, language=options["language"], model=options["model"], limited=False, lane="batch"
                )
                jobs.append(job.pk)
        if options["no_wait"]:
            return 0
        if not options["here"]:
            return await self._follow(jobs)
        async with service.running(), asyncio.TaskGroup() as tasks:
            tasks.create_task(runner.run(in_line, run_transcription, service.total_limit))
            try:
                return await self._follow(jobs)
            finally:
                runner.stop()

    async def _follow(self, jobs: list[int]) -> int:
        pending, ends = set(jobs), Counter[str]()
        with self._progress(len(jobs)) as tell:
            while pending:
                for some in _batches(sorted(pending)):
                    finished = Transcription.objects.filter(pk__in=some).exclude(status__in=Transcription.UNFINISHED)
                    found = {job.pk: job async for job in finished.select_related("recording")}
                    for pk, job in found.items():
                        ends[job.status] += 1
                        tell(job)
                        pending.discard(pk)
                    # A recording that was deleted meanwhile has no job any more.
                    there = {pk async for pk in Transcription.objects.filter(pk__in=some).values_list("pk", flat=True)}
                    pending -= set(some) - there
                await asyncio.sleep(LOOK_EVERY if pending else 0)
        self.stdout.write(", ".join(f"{count} {status}" for status, count in sorted(ends.items())))
        return len(jobs) - ends["done"]

    @contextmanager
    def _progress(self, total: int) -> Iterator[Callable[[Transcription], None]]:
        """Yields a function to tell the end of a job: to a bar in a terminal, elsewhere by a line."""
        seen = 0

        def line(job: Transcription) -> None:
            nonlocal seen
            seen += 1
            reason = f" ({job.error_code})" if job.error_code else ""
            self.stdout.write(f"{seen}/{total} {job.status}{reason}: {job.recording_id} {job.recording.title}")
            self.stdout.flush()

        if not self.stdout.isatty():
            yield line
            return
        with Progress(console=Console(), transient=True) as progress:
            bar = progress.add_task("Transcribing", total=total)

            def advance(job: Transcription) -> None:
                progress.advance(bar)
                if job.status != Transcription.Status.DONE:
                    line(job)

            yield advance


@contextmanager
def _where(here: bool, no_wait: bool) -> Iterator[None]:
    """Make sure that exactly one process does the work: the server, or with `here` this one. Raises CommandError."""
    claim = service.claim()
    if not here:
        if not (no_wait or claim.taken_by_another()):
            raise CommandError(NOBODY_RUNS)
        yield
        return
    try:
        claim.take()
    except AlreadyRunning:
        raise CommandError("A server is running and does the work: leave out --here.") from None
    try:
        yield
    finally:
        claim.release()


def _batches(ids: list[int]) -> Iterator[list[int]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


def _language(text: str) -> str:
    try:
        return language_code(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _day(text: str) -> Any:
    with suppress(ValueError):
        if day := parse_date(text):
            return day
    raise CommandError(f"{text!r} is no date such as 2026-11-24.")
