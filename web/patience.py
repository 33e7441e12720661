"""Waiting for a database that is locked, full or away: what waits in it is neither done nor failed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections

log = logging.getLogger(__name__)

T = TypeVar("T")

DATABASE_AWAY = (OperationalError, InterfaceError)  # may pass; what the others say is wrong would be wrong again
LONGEST_PAUSE = 60.0  # seconds between tries


async def patiently(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns; while the database is away, it is tried again, for as long as it takes."""
    pause = 1.0
    while True:
        try:
            return await work()
        except (DatabaseError, InterfaceError) as error:
            # SQLite's word for a damaged file has no class of its own. The process stays, and /readyz tells of it.
            if not isinstance(error, DATABASE_AWAY) and type(error) is not DatabaseError:
                raise
            log.exception("The database failed; trying again in %.0f s", pause)
            # A connection that failed must not be used again; Django checks for that between requests only.
            await sync_to_async(close_old_connections)()
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 2)
