"""What all servers together do for people: the figures that pages and estimates are made of.

An adaptive limit tries other levels now and then. That is its own affair: these figures follow what it has learnt.
"""

from dataclasses import dataclass

from transcription import service
from transcription.monitor.stats import STILL_COMPUTES
from transcription.sentence import Sentence, _
from transcription.snapshot import GateSnapshot, ServerSnapshot, Snapshot

ENOUGH = 128  # exchanges after which a rate is believed although the limit still climbs: an hour of speech
CAPTIONS_FIRST = _("Captions are being made: other work goes on more slowly.")


@dataclass(frozen=True, slots=True)
class Capacity:
    """permits: that the servers have at the levels which their limits trust. out: how many of them are out.

    rate: seconds of audio that recordings get transcribed in a second; None before enough was measured.
    away: why no server can be reached, so that all wait and nothing fails; None where one can.
    slow: why less gets done than the permits allow, if it is so.
    """

    permits: int
    out: int
    rate: float | None
    away: Sentence | None
    slow: Sentence | None


def capacity(snapshot: Snapshot | None = None) -> Capacity:
    """The capacity at the moment of the snapshot, or now. Servers that are away count only where all are."""
    servers = (snapshot or service.snapshot()).servers
    there = [server for server in servers if not server.trouble]
    gates = [server.gate for server in there or servers]
    rates = [rate for server in there if (rate := _rate(server.gate)) is not None]
    return Capacity(
        permits=sum(gate.home for gate in gates),
        out=sum(map(_out, gates)),
        rate=sum(rates) or None,
        away=servers[0].trouble if servers and not there else None,
        slow=_slow(there),
    )


def _out(gate: GateSnapshot) -> int:
    """How many of the permits at home are out. Where the limit is below home and all permits are out, all are."""
    out = gate.active + gate.abandoned
    return gate.home if out >= gate.limit else min(out, gate.home)


def _rate(gate: GateSnapshot) -> float | None:
    """The rate of recordings: that of the server, or their share of it beside captions. None where it is not known yet:
    while the limit climbs for the first time, more gets done with each step."""
    if gate.rate is None or not (_is_settled(gate) or len(gate.services) >= ENOUGH):
        return None
    return gate.rate if gate.live_share is None else gate.rate * min(1.0, gate.live_share / gate.home)


def _is_settled(gate: GateSnapshot) -> bool:
    """Whether the limit knows that it should not go higher: by its ceiling, by a failure, or by a visit there."""
    learnt = gate.learnt
    if learnt is None or learnt.home == gate.ceiling or learnt.failed is not None:
        return True
    return any(gain.low == learnt.home for gain in learnt.gains)


def _slow(servers: list[ServerSnapshot]) -> Sentence | None:
    if servers and all(server.gate.abandoned >= server.gate.limit for server in servers):
        return STILL_COMPUTES
    if any(server.gate.live_share is not None and server.gate.live_share < server.gate.home for server in servers):
        return CAPTIONS_FIRST
    return None
