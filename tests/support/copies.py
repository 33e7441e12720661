"""Copies for browsers, made in the process of the tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from asgiref.sync import sync_to_async

from recordings.intake import copies
from recordings.models import Recording, want_copy
from tests.support.jobs import recording, someone
from tests.support.waiting import PATIENCE


@asynccontextmanager
async def copies_made() -> AsyncIterator[None]:
    """Make copies until the block ends."""
    making = asyncio.create_task(copies.make_copies())
    yield
    making.cancel()
    await asyncio.wait({making})


async def wanting(path: Path) -> Recording:
    """Make a recording of the file, and note that it wants a copy."""
    made = await recording(await someone(), await asyncio.to_thread(path.read_bytes))
    await sync_to_async(want_copy)(made)
    return made


async def eventually(made: Recording) -> str:
    """Wait until the recording has its copy, and return the copy's name in the storage."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await made.arefresh_from_db()
            if made.playable:
                return str(made.playable)
            await asyncio.sleep(0.05)
