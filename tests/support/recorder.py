"""A recorder of all that people are shown of the line while jobs run: in libraries, on pages of recordings, by the API.

`watching()` opens the pages and records them, `contradictions()` and `times_off()` find what cannot be true.
"""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from playwright.async_api import Browser, Page

from tests.support.product import Product

EVIDENCE = 3  # jobs that must be done before a time may be told
NOTICE = 3.0  # seconds in which pages show the end of the last job

SESSION = """
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.get(username="{}"))
print(client.cookies["sessionid"].value)
"""

# Notes the state of a page at each change of it. Rows of the library and the text of a recording look alike here.
WATCH = """() => {
    const words = (element) => (element?.textContent ?? "").replace(/\\s+/g, " ").trim();
    window.seen = [];
    const look = () => {
        const shown = Array.from(document.querySelectorAll("#rows .row:not([hidden]), #text"));
        const state = {
            rail: document.getElementById("rail") ? words(document.getElementById("rail")) : null,
            title: document.title,
            away: words(document.querySelector("#standing .warning, #rail .warning")),
            rows: shown.map((one) => [Number(one.dataset.recording), words(one.querySelector(".status")),
                one.querySelector("progress")?.value ?? null]),
        };
        const text = JSON.stringify(state);
        if (window.seen.at(-1)?.text !== text) window.seen.push({ text, at: Date.now() / 1000 });
    };
    look();
    const all = { subtree: true, childList: true, characterData: true };
    new MutationObserver(look).observe(document.documentElement, all);
}"""


@dataclass(frozen=True)
class Row:
    """A recording as it was shown. eta: the least and the most seconds that the words mean."""

    recording: int
    words: str
    percent: float | None = None
    eta: tuple[float, float] | None = None

    @property
    def position(self) -> int | None:
        if self.words.startswith("Next in line"):
            return 1
        found = re.match(r"Number (\d+) in line", self.words)
        return int(found[1]) if found else None

    @property
    def waits(self) -> bool:
        return self.position is not None or (self.words.startswith("Waiting") and not self.halted)

    @property
    def halted(self) -> bool:
        return self.words.startswith("Waiting for Whisper")

    @property
    def works(self) -> bool:
        return self.words.startswith(("Transcribing", "Taking turns"))


@dataclass(frozen=True)
class Sight:
    """What one place showed from a moment on. at: seconds since 1970. rail: its words; None where there is none.

    away: what is said of Whisper's being away; None where the place does not say it.
    """

    place: str
    at: float
    rows: tuple[Row, ...]
    rail: str | None = None
    title: str = ""
    away: str | None = None


@dataclass
class Record:
    """ended: when each job had ended, by its recording. unended: when it was last seen not to have ended."""

    sights: list[Sight] = field(default_factory=list)
    ended: dict[int, float] = field(default_factory=dict)
    unended: dict[int, float] = field(default_factory=dict)

    @property
    def evidence_at(self) -> float:
        """The earliest moment at which three jobs may have been done."""
        ends = sorted(self.unended.get(pk, 0.0) for pk in self.ended)
        return ends[EVIDENCE - 1] if len(ends) >= EVIDENCE else float("inf")


def meaning(words: str) -> tuple[float, float] | None:
    """The least and the most seconds that the words for a time mean; None where there are none."""
    if "less than a minute" in words:
        return 0.0, 30.0
    for unit, seconds in (("min", 60.0), ("h", 3600.0)):
        if found := re.search(rf"about (\d+) {unit}\b", words):
            return (int(found[1]) - 0.5) * seconds, (int(found[1]) + 0.5) * seconds
    return None


# --- what cannot be true ------------------------------------------------------------------------------


def contradictions(record: Record) -> list[str]:
    """What in the record contradicts itself, or was told without evidence."""
    last: dict[tuple[str, int], float] = {}
    found = []
    for sight in sorted(record.sights, key=lambda each: each.at):
        for fault in [*_within(sight), *_unfounded(sight, record), *_backwards(sight, last)]:
            found.append(f"{sight.place}: {fault}: {sight.rail!r} {[row.words for row in sight.rows]}")
    return found


def _within(sight: Sight) -> Iterator[str]:
    """What contradicts itself in one sight."""
    positions = [row.position for row in sight.rows if row.position is not None]
    if len(positions) != len(set(positions)):
        yield "two recordings have one place"
    if sight.away is not None:
        if sight.away and any(row.works for row in sight.rows):
            yield "Whisper is away, and a row goes on"
        if sight.away and any(row.eta for row in sight.rows):
            yield "a time is told while Whisper is away"
        if not sight.away and any(row.halted for row in sight.rows):
            yield "a row waits for Whisper, which is there"
    if sight.rail is None:
        return
    busy, limit = map(int, re.findall(r"(\d+) of (\d+) permit", sight.rail)[0])
    waiting = int((re.findall(r"(\d+) waiting", sight.rail) or ["0"])[0])
    turns = int((re.findall(r"(\d+) recordings take turns", sight.rail) or ["0"])[0])
    if busy > limit:
        yield "more permits are out than there are"
    if sum(row.waits for row in sight.rows) > waiting or max(positions, default=0) > waiting:
        yield "more rows wait than the rail says"
    if sum(row.words.startswith("Transcribing") for row in sight.rows) > busy:
        yield "more rows transcribe than permits are out"
    taking = sum(row.words.startswith("Taking turns") for row in sight.rows)
    if taking > turns or (taking and turns <= limit):
        yield "rows take turns, and the rail does not say so"
    if yours := re.search(r"yours: (.*?)( Reconnecting…)?$", sight.rail):
        first = min(
            filter(lambda row: row.position is not None, sight.rows), key=lambda row: row.position or 0, default=None
        )
        if first is None or not yours[1].startswith(first.words.lower()):
            yield "the rail and the row say different things"
    elif positions:
        yield "a row waits, and the rail knows none of yours"
    counted = int((re.findall(r"^\((\d+)\)", sight.title) or ["0"])[0])
    if counted != sum(row.waits or row.works or row.halted for row in sight.rows):
        yield f"the title counts {counted}"


def _unfounded(sight: Sight, record: Record) -> Iterator[str]:
    for row in sight.rows:
        if row.eta is None:
            continue
        if sight.at < record.evidence_at:
            yield "a time was told before three jobs were done"


def _backwards(sight: Sight, last: dict[tuple[str, int], float]) -> Iterator[str]:
    for row in sight.rows:
        if row.percent is None:
            continue
        if row.percent < last.get((sight.place, row.recording), 0.0):
            yield "progress went back"
        last[sight.place, row.recording] = row.percent


def estimates(record: Record) -> list[tuple[str, Row, float]]:
    """Each estimate that was told: its place, the row, and the seconds that there really were from then on."""
    return [
        (sight.place, row, record.ended[row.recording] - sight.at)
        for sight in record.sights
        for row in sight.rows
        if row.eta and row.recording in record.ended
    ]


def times_off(eta: tuple[float, float], true: float, in_hand: float) -> float:
    """By how many times an estimate is off; 1 where its words are true, or nearly, which is what calls in hand take."""
    least, most = eta
    if least - in_hand <= true <= most + in_hand:
        return 1.0
    return max(least / max(true, 0.001), true / max(most, 0.001))


# --- recording ----------------------------------------------------------------------------------------


@asynccontextmanager
async def watching(
    product: Product, browser: Browser, recordings: Mapping[str, Sequence[int]]
) -> AsyncIterator[Record]:
    """Record what each person is shown until the block ends: their libraries, the page of the last of their recordings,
    and the API twice a second.

    recordings: the ids of each person's recordings. The block ends when all of them are done.
    """
    record = Record()
    pages: list[tuple[str, Page]] = []
    for person, ids in recordings.items():
        key = (await asyncio.to_thread(product.manage, "shell", "-c", SESSION.format(person))).split()[-1]
        context = await browser.new_context(viewport={"width": 1280, "height": 800})
        await context.add_cookies([{"name": "sessionid", "value": key, "url": product.url}])
        for name, path in (("library", "/"), ("page", f"/recordings/{ids[-1]}")):
            page = await context.new_page()
            await page.goto(product.url + path)
            await page.evaluate(WATCH)
            pages.append((f"{name} of {person}", page))
    asking = [asyncio.create_task(_ask(product, person, record)) for person in recordings]
    try:
        yield record
        everything = {pk for ids in recordings.values() for pk in ids}
        while record.ended.keys() < everything:
            await asyncio.sleep(0.25)
            for task in asking:
                if task.done():
                    task.result()
        await asyncio.sleep(NOTICE)
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        for place, page in pages:
            with suppress(Exception):  # the block may have ended because the browser has
                record.sights += _sights(
                    place, await page.evaluate("window.seen.map((one) => [one.at, JSON.parse(one.text)])")
                )
        for context in {page.context for _, page in pages}:
            await context.close()


def _sights(place: str, seen: Iterable[tuple[float, dict[str, Any]]]) -> Iterator[Sight]:
    for at, state in seen:
        rows = tuple(Row(pk, words, percent, meaning(words)) for pk, words, percent in state["rows"])
        yield Sight(place, at, rows, state["rail"], state["title"], state["away"])


async def _ask(product: Product, person: str, record: Record) -> None:
    """Ask the API for the person's recordings again and again, and note when each was done."""
    token = (await asyncio.to_thread(product.client, person)).headers["Authorization"]
    async with httpx.AsyncClient(base_url=product.url, headers={"Authorization": token}, timeout=60) as api:
        while True:
            asked_at = time.time()
            items = (await api.get("/api/recordings?limit=100")).raise_for_status().json()["items"]
            now = time.time()
            rows = []
            for item in items:
                run = item["transcription"]
                eta, place = run["eta_seconds"], run["position"]
                words = f"Number {place} in line" if item["status"] == "queued" else item["status"]
                rows.append(Row(item["id"], words, run["segments_done"], None if eta is None else (eta, eta)))
                if item["status"] in ("done", "failed", "canceled"):
                    record.ended.setdefault(item["id"], now)
                else:
                    record.unended[item["id"]] = asked_at
            record.sights.append(Sight(f"API of {person}", now, tuple(rows)))
            await asyncio.sleep(0.5)


def summary(record: Record, in_hand: float) -> Iterator[str]:
    """The figures of a record, as lines."""
    yield f"{len(record.sights)} sights: {len(contradictions(record))} contradictions"
    by_kind: defaultdict[str, list[float]] = defaultdict(list)
    for place, row, true in estimates(record):
        by_kind[place.split()[0]].append(times_off(row.eta or (0, 0), true, in_hand))
    for kind, factors in sorted(by_kind.items()):
        factors.sort()
        high = factors[int(len(factors) * 0.95)]
        over = sum(factor > 2 for factor in factors)
        yield f"  {kind}: {len(factors)} estimates, off by {high:.2f} (95 %), {factors[-1]:.2f} (worst); over 2: {over}"
