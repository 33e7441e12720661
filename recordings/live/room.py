"""Whether captions can begin at once, or have to wait: for a permit, or for Whisper itself."""

from dataclasses import dataclass
from statistics import median
from typing import Literal

from recordings.live.captioning import BEHIND
from transcription import service
from transcription.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Room:
    """busy: all permits are out, and for long. away: Whisper takes no calls now. seconds: how long a permit is out."""

    state: Literal["free", "busy", "away"]
    seconds: int = 0


def room() -> Room:
    return room_in(service.snapshot())


def room_in(snapshot: Snapshot) -> Room:
    """Whether there is room in this snapshot.

    A live call gets the next permit that comes back, so it waits for one exchange at most. A short one is no wait.
    """
    servers = [server for server in snapshot.servers if server.unreachable_since is None and not server.profile.fault]
    there = [server.gate for server in servers]
    if snapshot.servers and not there:
        return Room("away")
    exchanges = [seconds for gate in there for seconds in gate.services]
    usual = median(exchanges) if exchanges else 0.0
    if usual > BEHIND and all(gate.active >= gate.limit for gate in there):
        return Room("busy", round(usual))
    return Room("free")
