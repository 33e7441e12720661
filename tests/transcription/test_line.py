"""`Line` alone, where waiters leave before their turn: the order of the others, and the memory."""

import gc
import tracemalloc
from collections.abc import Hashable
from dataclasses import dataclass

from transcription.line import Kind, Lane, Line

ANY = Kind(("gpu0", "gpu1"), None, True)
ONE = Kind(("gpu1",), None, True)


@dataclass(eq=False, slots=True)
class Waiter:
    owner: Hashable
    kind: Kind[str] = ANY
    lane: Lane = "batch"
    key: Hashable = None
    weight: int = 1
    place: int = 0


def popped(line: Line[str, Waiter], server: str = "gpu1") -> list[Hashable]:
    """The owners of all waiters that this server can take, in the order of their turns."""
    owners = []
    while found := line.pop(lambda lane, kind: server if server in kind.servers else None):
        owners.append(found[0].owner)
    return owners


def test_an_owner_that_left_and_came_back_has_one_turn_behind_those_that_stayed() -> None:
    line = Line[str, Waiter]()
    first = [Waiter(owner) for owner in "abc"]
    for waiter in first:
        line.append(waiter)
    line.remove(first[0])
    for waiter in [Waiter("a"), Waiter("a"), Waiter("b")]:
        line.append(waiter)
    assert popped(line) == ["b", "c", "a", "b", "a"]
    assert line.length == 0


def test_waiters_that_come_and_leave_while_others_stay_leave_nothing_behind() -> None:
    line = Line[str, Waiter]()
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
    assert [waiter.owner for waiter in line.of("batch", ANY)] == list(range(10))
    assert popped(line) == list(range(10))


def test_waiters_that_leave_in_any_order_leave_the_turns_of_the_others_as_they_were() -> None:
    line = Line[str, Waiter]()
    waiters = [Waiter(number) for number in range(40)]
    for waiter in waiters:
        line.append(waiter)
    for waiter in [*waiters[9::-2], *waiters[20:], waiters[0]]:
        line.remove(waiter)
    line.append(Waiter(0))
    assert popped(line) == [2, 4, 6, 8, *range(10, 20), 0]


def test_turns_at_a_server_that_is_not_free_leave_nothing_behind() -> None:
    line = Line[str, Waiter]()
    for owner in "abc":
        line.append(Waiter(owner, ONE))
    tracemalloc.start()
    try:
        for _ in range(3000):
            for owner in "cab":
                line.append(Waiter(owner))
            assert popped(line, "gpu0") in (list("abc"), list("cab"), list("bca"))
        gc.collect()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 50_000
    assert popped(line) == [*"abc"]


def test_a_new_kind_of_waiter_keeps_the_turn_of_its_owner() -> None:
    line = Line[str, Waiter]()
    for owner in "abc":
        line.append(Waiter(owner))
    for owner in "cba":
        line.append(Waiter(owner, ONE))
    assert popped(line) == [*"abcabc"]
    for owner in "cba":
        line.append(Waiter(owner, ONE))
    for owner in "abc":
        line.append(Waiter(owner))
    assert popped(line, "gpu0") == [*"cba"]
    assert popped(line) == [*"cba"]


def test_a_newer_waiter_of_another_kind_takes_the_place_of_the_older_one() -> None:
    line = Line[str, Waiter]()
    for key in ("x", "y", "z"):
        line.append(Waiter("a", key=key))
    line.append(Waiter("b"))
    newer = Waiter("a", ONE, key="x")
    older = line.replace(newer)
    assert older
    assert (older.kind, older.key, line.length) == (ANY, "x", 4)
    found = line.pop(lambda lane, kind: "gpu1")
    assert found == (newer, "gpu1")
