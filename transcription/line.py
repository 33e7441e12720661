"""The line before a gate: who waits, and who is next (the gate's rule G3).

The lanes live, interactive, batch; inside a lane owners take turns; inside an owner first come, first served. A lane
that was passed over eight times in a row goes next.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from itertools import chain
from typing import Generic, Literal, Protocol, TypeVar, get_args

Lane = Literal["live", "interactive", "batch"]
LANES: tuple[Lane, ...] = get_args(Lane)

MAX_PASSES = 8  # admissions past a waiting lower lane before that lane gets one


class Waiter(Protocol):
    """What the line asks of who stands in it."""

    @property
    def lane(self) -> Lane: ...

    @property
    def owner(self) -> Hashable: ...

    @property
    def key(self) -> Hashable: ...


W = TypeVar("W", bound=Waiter)


class _LaneLine(Generic[W]):
    """The waiters of one lane: owners in the order of their turns, each with its waiters in order of arrival.

    `lower`: the lanes that it goes before. `passed`: admissions in a row that went past its waiters.
    """

    __slots__ = ("lower", "owners", "passed", "waiting")

    def __init__(self, *lower: "_LaneLine[W]") -> None:
        self.lower = lower
        self.owners: OrderedDict[Hashable, deque[W]] = OrderedDict()
        self.waiting = 0
        self.passed = 0

    def pop(self) -> W:
        """Take out the first waiter of the owner whose turn it is; its next turn comes after all others'."""
        owner, waiters = self.owners.popitem(last=False)
        waiter = waiters.popleft()
        if waiters:
            self.owners[owner] = waiters
        return waiter


class Line(Generic[W]):
    """Everybody who waits, `length` in all. Each method costs O(1), `remove` a glance at the others of its owner."""

    def __init__(self) -> None:
        self.length = 0
        batch = _LaneLine[W]()
        interactive = _LaneLine[W](batch)
        self._in_order = (_LaneLine[W](interactive, batch), interactive, batch)
        self._lanes: dict[Lane, _LaneLine[W]] = dict(zip(LANES, self._in_order, strict=True))

    def __iter__(self) -> Iterator[W]:
        return chain.from_iterable(waiters for lane in self._in_order for waiters in lane.owners.values())

    def waiting(self, lane: Lane) -> int:
        return self._lanes[lane].waiting

    def append(self, waiter: W) -> None:
        """To the end of its owner's waiters."""
        lane = self._lanes[waiter.lane]
        waiters = lane.owners.get(waiter.owner)
        if waiters is None:
            waiters = lane.owners[waiter.owner] = deque()
        waiters.append(waiter)
        lane.waiting += 1
        self.length += 1

    def replace(self, newer: W) -> W | None:
        """Give it the place of its owner's waiter of the same key and lane, which is returned, if there is one."""
        waiters = self._lanes[newer.lane].owners.get(newer.owner, deque())
        older = next((waiter for waiter in waiters if waiter.key == newer.key), None)
        if older:
            waiters[waiters.index(older)] = newer
        return older

    def remove(self, waiter: W) -> None:
        lane = self._lanes[waiter.lane]
        waiters = lane.owners[waiter.owner]
        waiters.remove(waiter)
        if not waiters:
            del lane.owners[waiter.owner]
        self._is_shorter(lane)

    def pop(self) -> W:
        """Take out who is next: of the highest lane that anyone waits in, but for the lowest that starves.

        What a starved lower lane takes does not count as passing a starved higher one, so that is the next.
        """
        chosen = None
        for lane in self._in_order:
            if lane.waiting and (chosen is None or lane.passed >= MAX_PASSES):
                chosen = lane
        if chosen is None:
            raise IndexError("Nobody waits.")
        waiter = chosen.pop()
        self._is_shorter(chosen)
        return waiter

    def went(self, waiter: W) -> None:
        """Who was taken out was let in, so the lower lanes were passed over."""
        lane = self._lanes[waiter.lane]
        lane.passed = 0
        for lower in lane.lower:
            lower.passed += lower.waiting > 0

    def _is_shorter(self, lane: _LaneLine[W]) -> None:
        self.length -= 1
        lane.waiting -= 1
        if not lane.waiting:
            lane.passed = 0
