"""Waiting for a condition, with a deadline that a busy machine keeps."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 120.0  # seconds that a test waits for what takes a moment: a busy machine may be many times slower


def wait_for(look: Callable[[], T | None], what: str, *, seconds: float = PATIENCE, every: float = 0.05) -> T:
    """Call `look` until it returns something true, and return that. Raises AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(every)
    raise AssertionError(f"{what}: not within {seconds} s")


async def until(condition: Callable[[], bool]) -> None:
    """Wait until another thread or task has made the condition true. Raises TimeoutError after PATIENCE."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 another thread sets no event of this loop
            await asyncio.sleep(0.005)


async def until_it_is(look: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    """Wait until `look` returns `wanted`, for changes that no event tells of. Raises AssertionError after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while (found := await look()) != wanted:
        assert time.monotonic() < end, found
        await asyncio.sleep(0.05)
