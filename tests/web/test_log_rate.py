"""Log lines of one kind are written up to a number in a minute, and the log says how many were left out."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from web import log_rate
from web.log_rate import LogRate


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(log_rate, "time", clock)
    return clock


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def log(lines: list[str], clock: Clock) -> Iterator[logging.Logger]:
    class Listed(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Listed()
    handler.addFilter(LogRate(keep="[kept]"))
    log = logging.Logger("a test's")
    log.addHandler(handler)
    yield log
    log.removeHandler(handler)


def test_a_flood_of_one_kind_is_cut_and_counted(log: logging.Logger, lines: list[str], clock: Clock) -> None:
    for number in range(500):
        log.warning("%d failed", number)
    assert len(lines) == log_rate.MOST
    assert lines[-1] == "29 failed (further lines like this one are left out for a minute)"
    clock.now += log_rate.WINDOW
    log.warning("%d failed", 500)
    log.warning("%d failed", 501)
    assert lines[log_rate.MOST :] == ["500 failed (470 lines like this one were left out before it)", "501 failed"]


def test_other_kinds_are_written_meanwhile(log: logging.Logger, lines: list[str]) -> None:
    for _ in range(500):
        log.warning("a flood")
    log.error("a flood")  # another level
    log.warning("another thing")
    assert lines[log_rate.MOST :] == ["a flood", "another thing"]


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_lines_of_information_are_all_written(log: logging.Logger, lines: list[str], level: int) -> None:
    for _ in range(500):
        log.log(level, "it goes on")
    assert len(lines) == 500


def test_lines_that_other_programs_count_are_all_written(log: logging.Logger, lines: list[str]) -> None:
    for _ in range(500):
        log.warning("[kept] a call was %s", "refused")
    assert lines == ["[kept] a call was refused"] * 500


def test_kinds_without_end_are_a_flood_too(log: logging.Logger, lines: list[str], clock: Clock) -> None:
    for number in range(3 * log_rate.KINDS):
        log.warning(f"{number} failed")
    assert len(lines) == log_rate.KINDS
    clock.now += log_rate.WINDOW
    log.warning("new")
    assert lines[-1] == "new"


def test_the_product_writes_its_log_through_it() -> None:
    logging_settings: Any = settings.LOGGING
    assert logging_settings["handlers"]["console"]["filters"] == ["rate"]
    assert logging_settings["filters"]["rate"] == {"()": "web.log_rate.LogRate", "keep": "[ASR并发]"}
