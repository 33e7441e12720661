"""`manage.py asr_stats`: the monitor in a terminal.

Only the process of the server knows its gate, so the command asks it as any program does.
"""

import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NoReturn

import httpx
from django.core.management import BaseCommand, CommandError
from rich.console import Console
from rich.live import Live

from accounts.models import ApiToken
from recordings.management.server import PATIENCE, here, token_for

EVERY = 1.0  # seconds
STATS = "/api/recordings/stats/asr-concurrency"


class Command(BaseCommand):
    help = "Show what the running server's gate does; with --watch, go on until Ctrl-C."
    requires_system_checks = []  # the server has made them; here they would take a second

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--watch", action="store_true", help="show it again every second")
        parser.add_argument("--url", default=here(), help="where the server is (default: %(default)s)")
        parser.add_argument("--user", metavar="NAME", help="the user to ask as")

    def handle(self, *args: Any, watch: bool, url: str, user: str | None, **options: Any) -> None:
        url = url.rstrip("/")
        with (
            token_for(url, user, ApiToken.Scope.STATS) as token,
            httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE) as server,
        ):
            if watch:
                with suppress(KeyboardInterrupt):
                    self._watch(server)
            else:
                self.stdout.write("\n".join(lines(asked(server))))

    def _watch(self, server: httpx.Client) -> None:
        """Show the stats again and again: in one place on a terminal, else one after the other."""
        if self.stdout.isatty():
            with Live(console=Console(), auto_refresh=False) as screen:
                self._repeat(server, lambda text: screen.update(text, refresh=True))
        else:
            self._repeat(server, self.stdout.write)

    def _repeat(self, server: httpx.Client, show: Callable[[str], object]) -> NoReturn:
        """Show the stats once a second. Waits for a server that restarts."""
        while True:
            try:
                show("\n".join(lines(asked(server))) + "\n")
            except httpx.TransportError:
                show(f"No server answers at {server.base_url}.\n")
            self.stdout.flush()
            time.sleep(EVERY)


def asked(server: httpx.Client) -> dict[str, Any]:
    """The stats of the server. Raises CommandError, and httpx.TransportError where it cannot be reached."""
    answer = server.get(STATS)
    if answer.is_error:
        raise CommandError(f"The server answers {answer.status_code}: {answer.text[:200]}")
    return dict(answer.json())


def lines(stats: dict[str, Any]) -> Iterator[str]:
    """The stats as lines of text, in the order of the monitor's page."""
    success = "none judged yet" if stats["success_rate"] is None else f"{stats['success_rate']} % success"
    jobs, calls = stats["jobs"], f"{stats['active_tasks']} of {stats['limit']} at once · {stats['queued_calls']} wait"
    yield f"waiting   {stats['queued_tasks']}: {stats['queued_calls']} calls · {jobs['queued']} recordings"
    yield f"calls     {calls}, of at most {stats['max_queue']} · {stats['abandoned']} abandoned"
    yield f"jobs      {jobs['transcribing']} transcribing · {jobs['queued']} in line"
    ended = ("completed", "failed", "canceled", "rejected")
    yield "ended     " + " · ".join([*(f"{stats[f'{how}_tasks']} {how}" for how in ended), success])
    yield f"trouble   {stats['retries']} retries · {stats['oom_errors']} times out of memory"
    for name in ("wait", "service"):
        times = stats[f"{name}_seconds"].items()
        yield f"{name:<10}" + " · ".join(f"{which} {'–' if time is None else f'{time:.1f} s'}" for which, time in times)
    for lane, count in stats["lanes"].items():
        yield f"lane      {lane}: {count['active']} active, {count['queued']} wait"
    for server in stats["servers"]:
        yield (
            f"server    {server['name']}: {server['active']} of {server['limit']} at once, {server['queued']} wait, "
            f"breaker {server['breaker']}"
        )
        yield "          " + " · ".join(_details(server))
        if server["trouble"]:
            yield f"          {server['trouble']} {server['said']}".rstrip()
        if server["advice"]:
            yield f"          {server['advice']}"


def _details(server: dict[str, Any]) -> Iterator[str]:
    """What is known of a server: its bounds, its speed, its load, and what the limit has learnt."""
    yield f"ceiling {server['ceiling'] or 'auto'}, peak {server['peak']}"
    if server["live_share"]:
        yield f"{server['live_share']} beside live calls"
    if (factor := server["realtime_factor"]) is not None:
        yield f"{factor:g} s per audio s"
    if (rate := server["audio_rate"]) is not None:
        yield f"{rate:g} audio s/s for estimates"
    if (trusted := server["live_home"]) is not None:
        yield f"home {trusted} beside live calls"
    if load := server["load"]:
        yield f"runs {load['running']}, {load['waiting']} wait in it, {load['foreign']} foreign"
    if learnt := server["learnt"]:
        yield f"home {learnt['home']}" + (f", {learnt['throughput']:g} audio s/s" if learnt["throughput"] else "")
        if learnt["failed"]:
            yield f"avoids {learnt['failed']}"
        for gain in learnt["gains"]:
            yield f"{gain['low']}→{gain['high']} {gain['percent']:+g} % ±{gain['error']:g}"
        if learnt["inherited"] != "none":
            yield f"of an earlier run: {learnt['inherited']}"
