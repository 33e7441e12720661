"""Telling open pages that something changed.

A message carries ids and no content: the page then asks for the rest as the person it belongs to, in their
language and with their rights. A change is told at once, and those that follow together, about once a second:
twenty uploads before five hundred pages cost 60,000 messages when each change was one.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextvars import Context
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from recordings.models import Recording

logger = logging.getLogger(__name__)

QUEUE_GROUP = "recordings.queue"  # everyone with a page open: positions in line may have moved
# Seconds between two messages; `events.js` asks for a recording every second at most, for the line every four.
EVERY, LINE_EVERY = 1.0, 2.0


def owner_group(owner_id: int) -> str:
    return f"recordings.owner.{owner_id}"


class Paced:
    """Calls `tell` at once, then at most every `seconds` as long as there is news, and after the last.

    Each event loop has a pace of its own, since a timer ends with its loop. What is told is shared.
    """

    def __init__(self, seconds: float, tell: Callable[[], Awaitable[None]]) -> None:
        self._seconds = seconds
        self._tell = tell
        self._news: WeakKeyDictionary[asyncio.AbstractEventLoop, bool] = WeakKeyDictionary()  # while it rests
        self._telling: set[asyncio.Task[None]] = set()  # the loop itself keeps only weak references

    async def note(self) -> None:
        """There is news. Where it is told at once, this returns after that."""
        loop = asyncio.get_running_loop()
        if loop in self._news:
            self._news[loop] = True
        else:
            await asyncio.shield(self._start(loop))  # a job that is canceled here has changed all the same

    def _start(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
        self._news[loop] = False
        task = loop.create_task(self._tell_and_rest(loop))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
        return task

    async def _tell_and_rest(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            await self._tell()
        finally:
            # In a context of its own: that of a caller under `async_to_sync` names a thread that works for it no more.
            loop.call_later(self._seconds, self._rested, loop, context=Context())

    def _rested(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._news.pop(loop):
            self._start(loop)


_changed = set[tuple[int, int]]()  # owners and recordings, since they were last told; added to and popped by any thread


async def recording_changed(recording_id: int, owner_id: int) -> None:
    """Tell the owner's pages that this recording changed or is gone, and everyone's that the line moved.

    Never raises: a page that misses a message finds out by polling, and no job may fail over it.
    """
    await text_changed(recording_id, owner_id)
    await _line.note()


async def text_changed(recording_id: int, owner_id: int) -> None:
    """As `recording_changed`, of what does not move the line."""
    _changed.add((owner_id, recording_id))
    await _own.note()


async def _tell_owners() -> None:
    changed = defaultdict[int, set[int]](set)
    while _changed:
        owner_id, recording_id = _changed.pop()
        changed[owner_id].add(recording_id)
    ids = set().union(*changed.values())
    try:
        there = {pk async for pk in Recording.objects.filter(pk__in=ids).values_list("pk", flat=True)}
    except Exception:
        logger.exception("pages could not be told that recordings changed: %s", sorted(ids))
        return
    for owner_id, recordings in changed.items():
        changes = [{"recording": pk, "gone": pk not in there} for pk in sorted(recordings)]
        await _send(owner_group(owner_id), {"type": "recordings.changed", "changes": changes})


async def _tell_line() -> None:
    await _send(QUEUE_GROUP, {"type": "queue.changed"})


_own, _line = Paced(EVERY, _tell_owners), Paced(LINE_EVERY, _tell_line)


async def _send(group: str, message: dict[str, object]) -> None:
    try:
        await get_channel_layer().group_send(group, message)
    except Exception:
        logger.exception("pages could not be told: %s", message)
