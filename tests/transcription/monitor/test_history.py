"""The history that the monitor's chart shows: a row for every few seconds, and the reasons of changed limits."""

import asyncio
from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from django.utils.translation import override

from transcription import service
from transcription.monitor import history
from transcription.monitor.history import POINTS, ROW, ROWS, History, HistoryRow, keep_history


@pytest.fixture(autouse=True)
def server(settings: LazySettings) -> Iterator[None]:
    settings.ASR_API_URL, settings.ASR_MAX_CONCURRENT = "http://gpu:8000/v1", "4"
    settings.ASR_ADAPTIVE = False
    service.client.cache_clear()
    service.engine.cache_clear()
    yield
    service.client.cache_clear()
    service.engine.cache_clear()


async def test_a_row_holds_the_most_there_was_in_its_seconds() -> None:
    kept = History()
    gate = service.client().pool.gate
    permits = [await gate.acquire("batch", "someone") for _ in range(4)]
    waiting = asyncio.create_task(gate.acquire("batch", "someone"))
    await asyncio.sleep(0)
    kept.note(1000.0, service.snapshot())
    for permit in permits:
        permit.release()
    (await waiting).release()
    kept.note(1004.0, service.snapshot())
    kept.note(1005.0, service.snapshot())
    assert kept.rows(0.0) == [HistoryRow(1000.0, 4, 4, 1, 1), HistoryRow(1005.0, 4, 0, 0, 0)]
    assert kept.rows(1001.0) == [HistoryRow(1005.0, 4, 0, 0, 0)]


def test_a_day_is_kept_and_told_in_no_more_points_than_a_chart_has_room_for() -> None:
    kept = History()
    snapshot = service.snapshot()
    for number in range(ROWS + 100):
        kept.note(number * ROW, snapshot)
    rows = kept.rows(0.0)
    assert POINTS / 2 < len(rows) <= POINTS + 1
    assert rows[0].at == 100 * ROW
    assert [row.at for row in rows] == sorted({row.at for row in rows})


async def test_a_change_of_the_limit_is_told_with_its_reason() -> None:
    service.set_ceiling("gpu:8000", 2)
    [(_, name, limit, reason)] = history.recent(60)["changes"]
    assert (name, limit, reason) == ("gpu:8000", 2, "an admin changed the ceiling")
    assert history.recent(0)["changes"] == []


async def test_it_is_kept_while_the_product_runs() -> None:
    keeping = asyncio.create_task(keep_history())
    await asyncio.sleep(0.1)
    keeping.cancel()
    assert history.recent(60)["rows"][-1].limit == 4


def test_the_reason_is_told_in_the_language_of_the_reader() -> None:
    service.set_ceiling("gpu:8000", 2)
    with override("zh-hans"):
        [(_, _, _, reason)] = history.recent(60)["changes"]
    assert reason == "管理员更改了最高上限"
