"""The search's index beside `LIKE`, which it replaced, on SQLite and on PostgreSQL, in one run.

    python -m bench.search [--segments 1000000] [--rounds 5] [--only sqlite]

Fills a database of each kind with recordings of 100 segments (half of them English, half Chinese, 20 words or 30
characters each, without the times of words, which are most of a real row), lets the migration make the index, and asks
for a page of 20 recordings with their first hits: by the index, as the search of every page does, and by `LIKE`, as
the library did before. Each cell is the median of the processor's milliseconds (of this process, and of PostgreSQL's
that answers it), which another load on the machine changes little, and behind it that of the clock.

2026-11-30, two processors with a load of about ten beside it, so the clock says little. Milliseconds of the processor:

                                                  SQLite           PostgreSQL 15
                                              index    LIKE       index    LIKE
    a word, 10 hits                             9.1   238.1         9.4   747.9
    a word, no hit                              4.6   233.4         6.3   715.7
    its beginning                               8.2   242.0        20.1   828.1
    a common word                              37.7     7.1       115.8   148.0
    two words in one segment                   21.9   233.8        80.0   796.2
    two common words, never together           11.4   254.2        65.3   768.6
    a phrase, no hit                           12.9   247.0        45.0   725.9
    two characters, 10 hits                     8.9   286.6        18.0   706.8
    two characters, no hit                      3.5   282.6         5.3   696.2
    two common characters, never side by side   3.5   295.2         5.0   706.2

`LIKE` finds a common word on SQLite sooner, because it stops at the twentieth recording. On PostgreSQL a common word
takes more than the goal of 100 ms. The migration took 82 s of SQLite's processor, and 253 s of the clock on PostgreSQL
in a run with less beside it. Measured before the first hits of a recording were put in the order of their times.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import accumulate, islice
from pathlib import Path

EACH = 100  # segments of a recording
OWNER = 1
BATCH = 20_000
LETTERS = "abcdefghijklmnopqrstuvwxyz"
QUERIES = {
    "a word, 10 hits": "zebrafish",
    "a word, no hit": "quagga",
    "its beginning": "zebraf",
    "a common word": "water",
    "two words in one segment": "zebrafish water",
    "two common words, never together": "alpha omega",
    "a phrase, no hit": '"water the alpha"',
    "two characters, 10 hits": "斑马",
    "two characters, no hit": "鹮鹦",
    "two common characters, never side by side": "会水",
}


def texts(dice: random.Random) -> Iterator[str]:
    """Segments, with words as frequent as in a language (Zipf), and those that are searched for put in."""
    english = ["the", "of", "and", "water", "to"]
    english += ["".join(dice.choices(LETTERS, k=dice.randint(3, 9))) for _ in range(20_000)]
    chinese = ["的", "会", "议", "水", "一"] + [chr(code) for code in dice.sample(range(0x4E00, 0x9000), 3000)]
    rank = [list(accumulate(1 / (place + 3) for place in range(len(some)))) for some in (english, chinese)]
    pool = [
        " ".join(dice.choices(english, cum_weights=rank[0], k=20))
        if number % 2
        else "".join(dice.choices(chinese, cum_weights=rank[1], k=30)).replace("会水", "水会").replace("会水", "会的水")
        for number in range(20_000)
    ]
    while True:
        yield from pool


def segments(count: int) -> Iterator[tuple[int, int, str]]:
    """The recording, the number and the text of each segment."""
    special = {count * place // 10 + 7: f"{said} water" for place in range(10) for said in ["zebrafish 斑马"]}
    for number, text in enumerate(islice(texts(random.Random(1)), count)):
        if number % 5 == 0:
            text += " alpha" if number % 10 else " omega"
        yield 1 + number // EACH, number % EACH, f"{text} {special[number]}" if number in special else text


def fill(count: int) -> None:
    """The rows, without the index."""
    from django.contrib.auth.models import User  # noqa: PLC0415 Django is set up in `measure`
    from django.db import connection, transaction  # noqa: PLC0415

    from recordings.models import Recording, Transcription  # noqa: PLC0415

    owner = User.objects.create(pk=OWNER, username="mei")
    ids = range(1, count // EACH + 1)
    for start in range(0, len(ids), BATCH):
        some = ids[start : start + BATCH]
        kept = {"sha256": "", "bytes": 1, "duration": 3000.0, "media_type": "audio/wav", "source": "upload"}
        Recording.objects.bulk_create(
            Recording(pk=pk, owner=owner, title=f"Recording {pk}", original=str(pk), **kept) for pk in some
        )
        Transcription.objects.bulk_create(Transcription(pk=pk, recording_id=pk, status="done") for pk in some)
    columns = 'transcription_id, "index", start, "end", text, language, words, version'
    rows = segments(count)
    while batch := list(islice(rows, BATCH)):
        with transaction.atomic(), connection.cursor() as cursor:
            listed = [(run, index, index * 30.0, index * 30.0 + 29, text) for run, index, text in batch]
            if connection.vendor == "sqlite":
                cursor.executemany(
                    f"INSERT INTO recordings_segment({columns}) VALUES (%s, %s, %s, %s, %s, '', '[]', 0)",  # noqa: S608
                    listed,
                )
            else:
                with cursor.copy(f"COPY recordings_segment({columns}) FROM STDIN") as copy:
                    for row in listed:
                        copy.write_row((*row, "", "[]", 0))


def by_index(typed: str) -> int:
    from recordings.library import finding  # noqa: PLC0415

    found, _ = finding.search(OWNER, typed, limit=20, hits=3)
    return len(found)


def by_like(typed: str) -> int:
    from django.db.models import Exists, OuterRef, Q, Subquery  # noqa: PLC0415

    from recordings.library.listing import library  # noqa: PLC0415
    from recordings.models import Segment  # noqa: PLC0415

    typed = typed.strip('"')
    said = Segment.objects.filter(Q(correction__icontains=typed) | Q(correction=None, text__icontains=typed))
    here = said.filter(transcription_id=OuterRef("text_id"))
    found = list(library(OWNER).filter(Q(title__icontains=typed) | Exists(here)).order_by("-id")[:21])[:20]
    first = said.filter(transcription_id=OuterRef("transcription_id")).order_by("index").values("pk")[:1]
    list(said.filter(transcription_id__in=[row.text_id for row in found], pk=Subquery(first)))
    return len(found)


def processor(pids: list[int]) -> float:
    """The seconds that these processes have computed for."""
    ticks = 0
    for pid in pids:
        ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def timed(work: Callable[[str], int], typed: str, rounds: int, server: list[int]) -> str:
    """Median milliseconds of the processor and of the clock."""
    computed, passed = [], []
    found = work(typed)
    for _ in range(rounds):
        clock, own, theirs = time.perf_counter(), time.process_time(), processor(server)
        work(typed)
        computed.append(time.process_time() - own + processor(server) - theirs)
        passed.append(time.perf_counter() - clock)
    return f"{1000 * statistics.median(computed):>8.1f} {1000 * statistics.median(passed):>8.0f} {found:>4}"


def measure(count: int, rounds: int) -> None:
    import django  # noqa: PLC0415

    django.setup()

    from django.core.management import call_command  # noqa: PLC0415
    from django.db import connection  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    call_command("migrate", "recordings", "0013", verbosity=0)
    fill(count)
    began, own = time.perf_counter(), time.process_time()
    call_command("migrate", verbosity=0)
    print(
        f"{connection.vendor}, {count:,} segments; the migration took {time.perf_counter() - began:.0f} s"
        f" ({time.process_time() - own:.0f} s of this process)",
        flush=True,
    )
    server = []
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET max_parallel_workers_per_gather = 0")  # else others compute for the one that is counted
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("SELECT pg_backend_pid()")
            server = [cursor.fetchone()[0]]
    print(f"{'':<44}{'index: ms':>8}{'clock':>8}{'rows':>5}{'LIKE: ms':>12}{'clock':>8}{'rows':>5}")
    for name, typed in QUERIES.items():
        index, like = timed(by_index, typed, rounds, server), timed(by_like, typed, min(rounds, 3), server)
        print(f"  {name:<42}{index}   {like}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    parser.add_argument(
        "--here", action="store_true", help="in the database of DATABASE_URL (used by the command itself)"
    )
    options = parser.parse_args()
    if options.here:
        measure(options.segments, options.rounds)
        return
    from tests.support.postgres import postgres  # noqa: PLC0415

    again = [
        sys.executable,
        "-m",
        "bench.search",
        "--here",
        f"--segments={options.segments}",
        f"--rounds={options.rounds}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        plain = os.environ | {"DJANGO_SETTINGS_MODULE": "asrsite.settings", "ASR_API_URL": "http://127.0.0.1:9/v1"}
        environment = {name: value for name, value in plain.items() if name != "DATABASE_URL"} | {"DATA_DIR": folder}
        if options.only != "postgresql":
            subprocess.run(again, env=environment, check=True)
        if options.only != "sqlite":
            with postgres() as server:
                subprocess.run(again, env=environment | {"DATABASE_URL": server.url}, check=True)


if __name__ == "__main__":
    main()
