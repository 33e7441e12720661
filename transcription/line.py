"""The line before a gate: the calls that wait, and which of them is next (the gate's rule G3)."""

from collections import deque
from collections.abc import Hashable, Iterator
from itertools import chain
from typing import Generic, Literal, Protocol, TypeVar, get_args

Lane = Literal["live", "interactive", "batch"]
LANES: tuple[Lane, ...] = get_args(Lane)

MAX_PASSES = 8  # admissions past a waiting lower lane before that lane gets one


class Waiter(Protocol):
    """What the line must know of a waiter. `key`: a waiter can be replaced by another one with the same key."""

    @property
    def lane(self) -> Lane: ...

    @property
    def owner(self) -> Hashable: ...

    @property
    def key(self) -> Hashable: ...


W = TypeVar("W", bound=Waiter)


class _LaneLine(Generic[W]):
    """The waiters of one lane.

    owners: the waiters of each owner, in order of arrival.
    turns: the same deques, in the order of their owners' turns. An owner whose waiters all left leaves an empty deque.
    since: how many waiters had been taken out of the whole line when this lane last had a turn, or was empty.
    """

    __slots__ = ("owners", "since", "turns")

    def __init__(self) -> None:
        self.owners: dict[Hashable, deque[W]] = {}
        self.turns = deque[deque[W]]()
        self.since = 0


class Line(Generic[W]):
    """All waiters, `length` in number.

    Costs: `append` and `pop` O(1) (amortized: an empty deque is met once), `replace` and `remove` O(n) in the waiters
    of the owner, `waiting` O(n) in the owners of the lane.
    """

    def __init__(self) -> None:
        self.length = 0
        self._taken = 0  # waiters that `pop` has ever taken out
        self._lanes = {lane: _LaneLine[W]() for lane in LANES}

    def __iter__(self) -> Iterator[W]:
        # Copied: the garbage collector may end a call, whose waiter then leaves amid the iteration.
        return chain.from_iterable(waiters for lane in self._lanes.values() for waiters in list(lane.owners.values()))

    def waiting(self, lane: Lane) -> int:
        return sum(map(len, self._lanes[lane].owners.values()))

    def append(self, waiter: W) -> None:
        """Put the waiter behind the others of its owner."""
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
        """Give the newer waiter the place of its owner's waiter with the same key and lane. Returns the older one.

        Without such a waiter it does nothing.
        """
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
                for _ in range(len(lane.turns)):  # a loop that makes no object, so that no garbage is collected amid it
                    if others := lane.turns.popleft():
                        lane.turns.append(others)

    def pop(self) -> W:
        """Take out the next waiter: of the first lane that has one, or the last that was passed over too often."""
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
