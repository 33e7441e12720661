"""The line before a gate: who waits, and who is next (the gate's rule G3).

The lanes live, interactive, batch; inside a lane owners take turns; inside an owner first come, first served. A lane
that was passed over eight times in a row goes next.
"""

from collections import deque
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
    """The waiters of one lane.

    owners: each with its waiters, in order of arrival.
    turns: these by whose turn it is; and in between, empty, those of owners who left before it was theirs.
    since: how many had been taken out of the line when this lane had its latest turn, or was empty.
    """

    __slots__ = ("owners", "since", "turns")

    def __init__(self) -> None:
        self.owners: dict[Hashable, deque[W]] = {}
        self.turns = deque[deque[W]]()
        self.since = 0


class Line(Generic[W]):
    """Everybody who waits, `length` in all.

    To append and to pop cost O(1) (amortized: a turn left empty is met once), to replace and to remove a glance at the
    others of the owner, to count the `waiting` of a lane one at its owners.
    """

    def __init__(self) -> None:
        self.length = 0
        self._taken = 0  # how many were ever taken out by their turn
        self._lanes = {lane: _LaneLine[W]() for lane in LANES}

    def __iter__(self) -> Iterator[W]:
        # Copied, since collecting garbage may end a call, whose waiter then leaves in the midst of this.
        return chain.from_iterable(waiters for lane in self._lanes.values() for waiters in list(lane.owners.values()))

    def waiting(self, lane: Lane) -> int:
        return sum(map(len, self._lanes[lane].owners.values()))

    def append(self, waiter: W) -> None:
        """To the end of its owner's waiters."""
        lane = self._lanes[waiter.lane]
        waiters = lane.owners.get(waiter.owner)
        if waiters is None:
            if not lane.owners:
                lane.since = self._taken
            waiters = lane.owners[waiter.owner] = deque()
            lane.turns.append(waiters)
        waiters.append(waiter)
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
        self.length -= 1
        if not waiters:
            del lane.owners[waiter.owner]
            if len(lane.turns) > 2 * len(lane.owners):
                for _ in range(len(lane.turns)):  # makes no object, so that no garbage is collected in the midst
                    if others := lane.turns.popleft():
                        lane.turns.append(others)

    def pop(self) -> W:
        """Take out who is next: of the highest lane that anyone waits in, but for the lowest that starves."""
        chosen = None
        for lane in self._lanes.values():
            if lane.owners and (chosen is None or self._taken - lane.since >= MAX_PASSES):
                chosen = lane
        if chosen is None:
            raise IndexError("Nobody waits.")
        while not (waiters := chosen.turns.popleft()):
            pass
        waiter = waiters.popleft()
        if waiters:
            chosen.turns.append(waiters)
        else:
            del chosen.owners[waiter.owner]
        self.length -= 1
        self._taken += 1
        chosen.since = self._taken
        return waiter
