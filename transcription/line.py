"""The line before the servers: the calls that wait, and which of them is next (the gate's rule G3)."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, Literal, Protocol, TypeVar, get_args

Lane = Literal["live", "interactive", "batch"]
LANES: tuple[Lane, ...] = get_args(Lane)

MAX_PASSES = 8  # admissions past a waiting lower lane before that lane gets one

S = TypeVar("S")


@dataclass(eq=False, slots=True)
class Kind(Generic[S]):
    """What decides about the server of a waiter. Few kinds wait at a time, and there is one object for each.

    servers: those that suit the waiter. avoid: one of them that is taken only if no other takes calls.
    patient: the waiter waits also while none of its servers takes calls.
    """

    servers: tuple[S, ...]
    avoid: S | None
    patient: bool


class Waiter(Protocol[S]):
    """What the line must know of a waiter.

    key: a waiter can be replaced by another one with the same key.
    weight: how many calls of the owner are let in at one turn.
    place: its number in the order of arrival, which the line sets.
    """

    place: int

    @property
    def lane(self) -> Lane: ...

    @property
    def owner(self) -> Hashable: ...

    @property
    def key(self) -> Hashable: ...

    @property
    def kind(self) -> Kind[S]: ...

    @property
    def weight(self) -> int: ...


W = TypeVar("W", bound=Waiter[Any])


class _Owner:
    """An owner with waiters in a lane, `waiting` in number.

    turn: the number of its next turn. The owner with the lowest number is next.
    had: how many of its calls were let in at this turn.
    """

    __slots__ = ("had", "turn", "waiting")

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.had = self.waiting = 0


class _Group(Generic[W]):
    """The waiters of one lane and kind.

    waiters: those of each owner, in order of arrival.
    turns: the turns of these owners, in order. A turn is out of date if the owner has another one now, or has no
        waiters here any more: `next` passes over it.
    passed: admissions in a row past these waiters, to servers that suit them.
    """

    __slots__ = ("passed", "turns", "waiters")

    def __init__(self) -> None:
        self.waiters: dict[_Owner, deque[W]] = {}
        self.turns = deque[tuple[int, _Owner]]()
        self.passed = 0

    def next(self) -> W:
        """The first waiter of the owner whose turn is next. There must be one."""
        while True:
            turn, owner = self.turns[0]
            if owner.turn == turn and (waiters := self.waiters.get(owner)):
                return waiters[0]
            self.turns.popleft()

    def line_up(self, owner: _Owner) -> None:
        """Note the turn of an owner, which may not be the last."""
        if self.turns and self.turns[-1][0] > owner.turn:
            self.turns.insert(bisect_left(self.turns, (owner.turn,)), (owner.turn, owner))
        else:
            self.turns.append((owner.turn, owner))

    def tidy(self) -> None:
        """Forget the turns that are out of date, if they are more than half."""
        if len(self.turns) > 2 * len(self.waiters) + 1:
            self.turns = deque(sorted((owner.turn, owner) for owner in self.waiters))


class _LaneLine(Generic[S, W]):
    """The waiters of one lane, by kind, and their owners."""

    __slots__ = ("groups", "owners", "starved")

    def __init__(self) -> None:
        self.owners: dict[Hashable, _Owner] = {}
        self.groups: dict[Kind[S], _Group[W]] = {}
        self.starved = False  # whether a group may have been passed over too often

    def first(self, kinds: Iterable[Kind[S]]) -> W:
        """The next waiter of these kinds: of the owner whose turn is first, the one that came first."""
        first: tuple[int, int, W] | None = None
        for kind in kinds:
            group = self.groups[kind]
            waiter = group.next()
            if not first or (group.turns[0][0], waiter.place) < first[:2]:
                first = group.turns[0][0], waiter.place, waiter
        if not first:
            raise IndexError("Nobody waits.")
        return first[2]


class Line(Generic[S, W]):
    """All waiters, `length` in number.

    Costs: `append` and `pop` O(1) in the waiters (amortized) and linear in the kinds; but O(n) in the owners to append
    for one that has waiters of another kind. `replace` and `remove` are linear in the waiters of the owner.
    """

    def __init__(self) -> None:
        self.length = 0
        self._number = 0  # of the latest arrival or turn
        self._lanes = {lane: _LaneLine[S, W]() for lane in LANES}

    def waiting(self) -> list[tuple[Lane, Kind[S], int]]:
        """How many wait, by lane and kind."""
        return [
            (name, kind, sum(map(len, group.waiters.values())))
            for name, lane in self._lanes.items()
            for kind, group in lane.groups.items()
        ]

    def of(self, lane: Lane, kind: Kind[S]) -> list[W]:
        """All waiters of this lane and kind."""
        return [waiter for waiters in self._lanes[lane].groups[kind].waiters.values() for waiter in waiters]

    def append(self, waiter: W) -> None:
        """Put the waiter behind the others of its owner."""
        self._number += 1
        waiter.place = self._number
        self._insert(waiter)

    def replace(self, newer: W) -> W | None:
        """Give the newer waiter the place of its owner's waiter with the same key and lane. Returns the older one.

        Without such a waiter it does nothing.
        """
        lane = self._lanes[newer.lane]
        if not (owner := lane.owners.get(newer.owner)):
            return None
        waiters = (waiter for group in lane.groups.values() for waiter in group.waiters.get(owner, ()))
        older = next((waiter for waiter in waiters if waiter.key == newer.key), None)
        if older:
            newer.place = older.place
            self._insert(newer)
            self.remove(older)
        return older

    def _insert(self, waiter: W) -> None:
        lane = self._lanes[waiter.lane]
        owner = lane.owners.get(waiter.owner)
        if owner is None:
            self._number += 1
            owner = lane.owners[waiter.owner] = _Owner(self._number)
        group = lane.groups.get(waiter.kind)
        if group is None:
            group = lane.groups[waiter.kind] = _Group()
        elif not group.waiters:
            group.passed = 0
        waiters = group.waiters.get(owner)
        if waiters is None:
            waiters = group.waiters[owner] = deque()
            if owner.waiting:
                group.line_up(owner)
            else:  # a new owner, whose turn is the last
                group.turns.append((owner.turn, owner))
        if waiters and waiters[-1].place > waiter.place:
            waiters.insert(bisect_left(waiters, waiter.place, key=attrgetter("place")), waiter)
        else:
            waiters.append(waiter)
        owner.waiting += 1
        self.length += 1

    def remove(self, waiter: W) -> None:
        lane = self._lanes[waiter.lane]
        owner, group = lane.owners[waiter.owner], lane.groups[waiter.kind]
        group.waiters[owner].remove(waiter)
        self._removed(waiter, owner, group)
        group.tidy()

    def _removed(self, waiter: W, owner: _Owner, group: _Group[W]) -> None:
        """Forget the owner of a waiter that was there, if it has no others."""
        self.length -= 1
        owner.waiting -= 1
        if not group.waiters[owner]:
            del group.waiters[owner]
        if not owner.waiting:
            del self._lanes[waiter.lane].owners[waiter.owner]

    def pop(self, offer: Callable[[Lane, Kind[S]], S | None]) -> tuple[W, S] | None:
        """Take out the next waiter for which there is a server: of the first lane, or the last passed over too often.

        offer: the server that waiters of a lane and kind may have now; None: they must wait.
        Returns the waiter and its server; None if nobody has one.
        """
        chosen: _LaneLine[S, W] | None = None
        offers: dict[Kind[S], S] = {}
        for name, lane in self._lanes.items():
            if lane.owners and (lane.starved or not chosen):
                offered: dict[Kind[S], S] = {}
                for kind, group in lane.groups.items():
                    if group.waiters and (server := offer(name, kind)):
                        offered[kind] = server
                if offered and (not chosen or any(lane.groups[kind].passed >= MAX_PASSES for kind in offered)):
                    chosen, offers = lane, offered
        if not chosen:
            return None
        waiter = chosen.first(offers)
        server = offers[waiter.kind]
        for lane in self._lanes.values():
            if lane.owners:
                self._count(lane, server, passed=lane is not chosen)
        self._take(waiter, chosen)
        return waiter, server

    def _count(self, lane: _LaneLine[S, W], server: S, *, passed: bool) -> None:
        """Note an admission past the lane, or of one of its waiters."""
        lane.starved = False
        for kind, group in lane.groups.items():
            if server in kind.servers:
                group.passed = group.passed + 1 if passed else 0
            if group.passed >= MAX_PASSES:
                lane.starved = True

    def _take(self, waiter: W, lane: _LaneLine[S, W]) -> None:
        owner, group = lane.owners[waiter.owner], lane.groups[waiter.kind]
        group.waiters[owner].popleft()
        self._removed(waiter, owner, group)
        owner.had += 1
        if owner.waiting and owner.had >= waiter.weight:
            self._number += 1
            owner.turn, owner.had = self._number, 0
            for group in lane.groups.values():
                if owner in group.waiters:
                    group.turns.append((owner.turn, owner))
                    group.tidy()
