"""The line as people see it: library, rail, pages of recordings and API never contradict each other, nor themselves."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser

from bench.overhead import recording
from tests.support.product import Product, upload
from tests.support.recorder import Record, Row, Sight, contradictions, meaning, times_off, watching
from tests.support.waiting import PATIENCE, until, until_it_is
from tests.support.whisper_stub import WhisperStub

BUSY = "1 of 1 permit out"


def row(pk: int, words: str, percent: float | None = None) -> Row:
    return Row(pk, words, percent, meaning(words))


def library(rail: str, *rows: Row, title: str = "", away: str = "", at: float = 10.0) -> Sight:
    return Sight("library of mei", at, rows, rail, title, away)


WORKS, NEXT, SECOND = row(1, "Transcribing 40%", 40), row(2, "Next in line"), row(3, "Number 2 in line")
HALTED = row(1, "Waiting for Whisper · 40%", 40)
TURNS = row(1, "Taking turns · 40%", 40)


@pytest.mark.parametrize(
    ("sights", "fault"),
    [
        ([library(BUSY, WORKS, title="(1) Library")], None),
        ([library(BUSY + " 2 waiting · yours: next in line", WORKS, SECOND, NEXT, title="(3) Library")], None),
        ([library(BUSY + " · 2 recordings take turns", TURNS, title="(1) Library")], None),
        ([library("0 of 1 permit out", HALTED, title="(1) Library", away="It is away.")], None),
        ([library("2 of 1 permits out")], "more permits are out than there are"),
        ([library(BUSY + " 1 waiting · yours: next in line", NEXT, SECOND)], "more rows wait than the rail says"),
        (
            [library(BUSY + " 2 waiting · yours: next in line", NEXT, row(3, "Next in line"))],
            "two recordings have one place",
        ),
        ([library("0 of 1 permit out", WORKS)], "more rows transcribe than permits are out"),
        ([library(BUSY, TURNS)], "rows take turns, and the rail does not say so"),
        ([library(BUSY + " 2 waiting · yours: next in line", SECOND)], "the rail and the row say different things"),
        ([library(BUSY + " 2 waiting", SECOND)], "a row waits, and the rail knows none of yours"),
        ([library(BUSY, WORKS, title="(2) Library")], "the title counts 2"),
        ([library(BUSY, WORKS, away="It is away.")], "Whisper is away, and a row goes on"),
        ([library(BUSY, HALTED)], "a row waits for Whisper, which is there"),
        (
            [library(BUSY, row(1, "Next in line · about 2 min"), away="It is away.")],
            "a time is told while Whisper is away",
        ),
        (
            [library(BUSY, row(1, "Transcribing 4% · about 2 min left", 4))],
            "a time was told before three jobs were done",
        ),
        ([library(BUSY, WORKS, at=1), library(BUSY, row(1, "Transcribing 39%", 39), at=2)], "progress went back"),
    ],
)
def test_the_recorder_finds_each_contradiction(sights: list[Sight], fault: str | None) -> None:
    found = [each.split(": ")[1] for each in contradictions(Record(sights))]
    assert found == [] if fault is None else fault in found


@pytest.mark.parametrize(
    ("words", "true", "times"),
    [
        ("less than a minute", 29, 1), ("less than a minute", 61, 61 / 30), ("about 2 min", 100, 1),
        ("about 10 min", 1500, 1500 / 630), ("about 10 min left", 100, 570 / 100), ("about 1 h", 3600, 1),
    ],
)  # fmt: skip
def test_the_recorder_measures_how_far_words_are_off(words: str, true: float, times: float) -> None:
    eta = meaning(words)
    assert eta
    assert times_off(eta, true, in_hand=0) == pytest.approx(times)


async def test_all_that_is_shown_while_jobs_run_is_true(browser: Browser, tmp_path: Path) -> None:
    """Two people, recordings of several lengths, one permit, an outage. `bench.eta` does it at length."""
    with (
        WhisperStub(seconds=0, per_second=1 / 40) as stub,
        Product(tmp_path / "data", ASR_API_URL=stub.url, ASR_MAX_CONCURRENT="1", ASR_RETRY_DELAY="0.1") as product,
    ):
        await until(lambda: stub.silences > 0 and not stub.computing)  # it has been asked how it wants to be asked
        stub.hold()
        ids: dict[str, list[int]] = {"mei": [], "jonas": []}
        for number, minutes in enumerate((0.1, 0.5, 4)):
            recording(tmp_path / f"{number}.wav", minutes)
            for person, own in ids.items():
                with product.client(person) as api:
                    own.append(upload(api, tmp_path / f"{number}.wav")["id"])
        async with watching(product, browser, ids) as record:
            await let_go_until(stub, lambda: len(record.ended) >= 4)
            stub.stop()
            await until_it_is(lambda: asyncio.to_thread(is_away, product), True)
            await asyncio.sleep(3)  # the pages say so meanwhile
            stub.start()
            stub.let_go()
        assert contradictions(record) == []
        places = {sight.place.split()[0] for sight in record.sights if any(each.eta for each in sight.rows)}
        assert places == {"library", "page", "API"}
        assert {sight.place.split()[0] for sight in record.sights if sight.away} == {"library", "page"}


async def let_go_until(stub: WhisperStub, condition: Callable[[], bool]) -> None:
    """Let one computation end after the other until the condition is true. The stub holds all that follow."""
    released = stub.finished
    async with asyncio.timeout(PATIENCE):
        while not condition():
            if stub.finished == released:
                stub.let_one_go()
                released += 1
            await asyncio.sleep(0.05)


def is_away(product: Product) -> bool:
    with product.client() as api:
        stats = api.get("/api/recordings/stats/asr-concurrency").json()
    return bool(stats["servers"][0]["trouble"])
