"""`Line` alone, where waiters leave before their turn: the order of the others, and the memory."""

import gc
import tracemalloc
from collections.abc import Hashable
from dataclasses import dataclass

from transcription.line import Lane, Line


@dataclass(eq=False, slots=True)
class Waiter:
    owner: Hashable
    lane: Lane = "batch"
    key: Hashable = None


def test_an_owner_that_left_and_came_back_has_one_turn_behind_those_that_stayed() -> None:
    line = Line[Waiter]()
    first = [Waiter(owner) for owner in "abc"]
    for waiter in first:
        line.append(waiter)
    line.remove(first[0])
    for waiter in [Waiter("a"), Waiter("a"), Waiter("b")]:
        line.append(waiter)
    assert [line.pop().owner for _ in range(line.length)] == ["b", "c", "a", "b", "a"]
    assert list(line) == []


def test_waiters_that_come_and_leave_while_others_stay_leave_nothing_behind() -> None:
    line = Line[Waiter]()
    for number in range(10):
        line.append(Waiter(number))
    tracemalloc.start()
    try:
        for number in range(3000):
            passing = Waiter(f"passing {number}")
            line.append(passing)
            line.remove(passing)
        gc.collect()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 50_000  # bytes; one place that is left behind takes over 600
    assert [waiter.owner for waiter in line] == list(range(10))
    assert [line.pop().owner for _ in range(10)] == list(range(10))


def test_waiters_that_leave_in_any_order_leave_the_turns_of_the_others_as_they_were() -> None:
    line = Line[Waiter]()
    waiters = [Waiter(number) for number in range(40)]
    for waiter in waiters:
        line.append(waiter)
    for waiter in [*waiters[9::-2], *waiters[20:], waiters[0]]:
        line.remove(waiter)
    line.append(Waiter(0))
    assert [line.pop().owner for _ in range(line.length)] == [2, 4, 6, 8, *range(10, 20), 0]
