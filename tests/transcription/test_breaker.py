"""The breaker: it opens after failures in a row, and lets one call try after each pause."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from transcription.breaker import FAILURES_TO_OPEN, FIRST_PAUSE, Breaker
from transcription.errors import Evicted


class Hand:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def lost(breaker: Breaker, failures: int = FAILURES_TO_OPEN) -> None:
    for _ in range(failures):
        breaker.finish(breaker.start(), reached=False)


def test_the_breaker_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(Hand())
    for _ in range(5):
        lost(breaker, FAILURES_TO_OPEN - 1)
        breaker.finish(breaker.start(), reached=True)
    assert breaker.state == "closed"
    lost(breaker)
    assert (breaker.state, breaker.open_since, breaker.retry_at) == ("open", 100.0, 100.0 + FIRST_PAUSE)


def test_the_breaker_lets_one_trial_through_after_each_pause_and_pauses_ever_longer() -> None:
    clock = Hand()
    breaker = Breaker(clock)
    lost(breaker)
    pauses = []
    for _ in range(9):
        pauses.append(breaker.retry_at - clock.now)
        clock.now = breaker.retry_at - 0.001
        assert not breaker.allows()
        clock.now = breaker.retry_at
        assert breaker.start() is True
        assert (breaker.state, breaker.allows()) == ("half-open", False)
        with pytest.raises(Evicted):
            breaker.start()
        breaker.finish(True, reached=False)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    clock.now = breaker.retry_at
    breaker.finish(breaker.start(), reached=True)
    assert (breaker.state, breaker.open_since) == ("closed", None)


def test_calls_under_way_when_the_breaker_opens_do_not_lengthen_its_pause() -> None:
    breaker = Breaker(Hand())
    under_way = [breaker.start() for _ in range(20)]
    opened = [breaker.finish(trial, reached=False) for trial in under_way]
    assert opened.count(True) == 1
    assert breaker.retry_at == 100.0 + FIRST_PAUSE


def test_a_trial_that_never_tried_leaves_its_turn_to_the_next() -> None:
    clock = Hand()
    breaker = Breaker(clock)
    lost(breaker)
    clock.now = breaker.retry_at
    breaker.finish(breaker.start(), reached=None)
    assert (breaker.state, breaker.allows()) == ("open", True)


def test_one_of_many_threads_that_start_at_once_gets_the_trial() -> None:
    clock = Hand()
    breaker = Breaker(clock)
    lost(breaker)
    clock.now = breaker.retry_at
    together = threading.Barrier(8)

    def trial(_: int) -> bool:
        together.wait()
        try:
            return breaker.start()
        except Evicted:
            return False

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(trial, range(8))) == [False] * 7 + [True]
