"""Keeping what was learnt of the servers in the database, and taking it up in the next process (rule G15)."""

import asyncio
import logging
from collections.abc import Mapping
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import Error, close_old_connections

from .gate import Gate
from .memory import read, written
from .models import KeptMemory
from .station import Station

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Station)

EVERY = 20.0  # seconds between two writes: what is kept is at most half a minute old, even if a write takes long


async def take_up(gate: Gate[S], servers: Mapping[str, S]) -> None:
    """Take up what is kept of these servers under their keys. What cannot be read is left alone, and logged."""
    try:
        states = await sync_to_async(KeptMemory.states)(servers)
    except (Error, ValueError) as error:
        log.warning("What was learnt of the servers cannot be read: %r", error)
        return
    for key, state in states.items():
        server = servers[key]
        try:
            gate.restore(server, read(state))
        except ValueError as error:
            log.warning("What was learnt of the server %s cannot be used: %s", server.name, error)
        else:
            log.info("[ASR并发] 接续所学 server=%s limit=%d", server.name, server.limit.limit)


async def keep(gate: Gate[S], servers: Mapping[str, S]) -> None:
    """Keep what is learnt of these servers, under their keys. Runs until it is cancelled."""
    kept: Mapping[str, object] = {}
    while True:
        await asyncio.sleep(EVERY)
        kept = await write(gate, servers, kept)


async def write(gate: Gate[S], servers: Mapping[str, S], kept: Mapping[str, object]) -> Mapping[str, object]:
    """Keep what was learnt of these servers, as far as it differs from what is kept. Returns what is kept now."""
    states = {key: written(gate.memory(server)) for key, server in servers.items()}
    new = {key: state for key, state in states.items() if state != kept.get(key)}
    if new:
        try:
            await sync_to_async(KeptMemory.keep)(new)
        except Error as error:  # a full disk, a database that is away: the next write may succeed
            log.warning("What was learnt of the servers cannot be kept: %r", error)
            await sync_to_async(close_old_connections)()
            return kept
    return states
