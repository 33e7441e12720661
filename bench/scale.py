"""A large library beside a small one: queries and time of its pages, and the time of the migrations.

    python -m bench.scale [--recordings 100000] [--queued 10000]

Fills a database with 100 recordings and then with many, ten segments each; prints queries and milliseconds (median of
20) of the first page, a page in the middle, a search and one recording as the API gives them, and of the library page
and the page of one; then the same of the large library while many of its recordings wait in line, and the time of
the first look at a changed line. In the end, the migrations of the recordings are reversed to the first one and applied
again, on all rows.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial

FOLDER = tempfile.TemporaryDirectory()
os.environ["DATA_DIR"] = FOLDER.name
os.environ["ASR_API_URL"] = "http://127.0.0.1:9/v1"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")

import django  # noqa: E402 the settings read the environment

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from recordings.models import Recording, Transcription  # noqa: E402
from recordings.work.line import read_line  # noqa: E402
from tests.support.rows import fill_library  # noqa: E402

ROUNDS = 20


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def looked_at(client: Client, path: str) -> tuple[int, float]:
    """Queries of one request and its median milliseconds."""

    def get() -> None:
        response = client.get(path, headers={"host": "localhost"})
        assert response.status_code == 200, response.content[:300]

    get()
    with CaptureQueriesContext(connection) as queries:
        get()
    return len(queries), 1000 * statistics.median(timed(get) for _ in range(ROUNDS))


def look(client: Client, pk: int) -> None:
    paths = ["", f"?cursor={pk}", f"/{pk}", "?q=Recording+77", "?q=nowhere"]
    for path in [*(f"/api/recordings{rest}" for rest in paths), "/", f"/recordings/{pk}"]:
        queries, milliseconds = looked_at(client, path)
        print(f"  {path:<32}{queries:>4} queries {milliseconds:>8.1f} ms", flush=True)


def queue(owner: User, jobs: int) -> None:
    """Put the owner's newest recordings in line."""
    newest = Recording.objects.filter(owner=owner).order_by("-pk")[:jobs]
    Transcription.objects.bulk_create(Transcription(recording=recording) for recording in newest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=100_000)
    parser.add_argument("--queued", type=int, default=10_000)
    options = parser.parse_args()
    print(f"all migrations on an empty database: {timed(lambda: call_command('migrate', verbosity=0)):.1f} s")
    owners = [User.objects.create(username=name) for name in ("small", "large")]
    fill_library(owners[0], 100)
    print(f"filling: {timed(lambda: fill_library(owners[1], options.recordings)):.0f} s")
    for owner in owners:
        client = Client()
        client.force_login(owner)
        ids = list(Recording.objects.filter(owner=owner).values_list("pk", flat=True))
        middle = ids[len(ids) // 2]
        print(f"{len(ids)} recordings")
        look(client, middle)
    queue(owners[1], options.queued)
    print(f"{options.queued} of them in line, read in {1000 * timed(read_line):.0f} ms where it has changed")
    look(client, middle)
    back = timed(partial(call_command, "migrate", "recordings", "0001", verbosity=0))
    forth = timed(partial(call_command, "migrate", verbosity=0))
    print(f"back to the first migration: {back:.1f} s; to the newest: {forth:.1f} s")


if __name__ == "__main__":
    main()
