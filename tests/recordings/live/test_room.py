"""Whether captions can begin at once."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from recordings.live.room import Room, room_in
from transcription.snapshot import Snapshot


def server(active: int, limit: int, *services: float, away: bool = False, fault: bool = False) -> Any:
    gate = SimpleNamespace(active=active, limit=limit, services=services)
    return SimpleNamespace(
        gate=gate, unreachable_since=4.0 if away else None, profile=SimpleNamespace(fault=fault), trouble=None
    )


@pytest.mark.parametrize(
    ("servers", "room"),
    [
        ([], Room("free")),
        ([server(0, 1)], Room("free")),
        ([server(1, 2, 30.0)], Room("free")),
        ([server(2, 2, 8.0, 9.0, 40.0)], Room("busy", 9)),
        ([server(2, 2, 1.0, 2.0, 40.0)], Room("free")),  # a permit comes back soon
        ([server(2, 2)], Room("free")),  # nothing is known
        ([server(2, 2, 9.0), server(0, 1, 9.0)], Room("free")),
        ([server(2, 2, 9.0), server(0, 1, away=True)], Room("busy", 9)),
        ([server(0, 1, away=True), server(0, 1, fault=True)], Room("away")),
    ],
)
def test_there_is_room_unless_all_permits_are_out_for_long(servers: list[Any], room: Room) -> None:
    assert room_in(cast(Snapshot, SimpleNamespace(servers=servers))) == room
