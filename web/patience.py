"""Patience with work: retried while the database is locked, full or away, and finished where the caller is canceled."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

DATABASE_AWAY = (OperationalError, InterfaceError)  # may pass; every other error would come again
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between two tries; doubled each time


async def patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` and return its result; while the database is away, run it again, for as long as it takes."""
    pause = FIRST_PAUSE
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


async def in_database(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a synchronous function in the thread of the database, patiently. It may run again after a failed commit that
    did reach the database, so it must bear that."""
    return await patiently(partial(sync_to_async(work), *args, **kwargs))


async def to_its_end(work: Awaitable[T]) -> T:
    """Await `work`, which goes on to its end where the caller is canceled. The caller then stops waiting at that end.

    For work in threads, which nobody can stop: without this, a file could be closed while a thread still writes to it.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            await asyncio.shield(task)
        raise
