"""Notices: messages that tell open pages that a recording changed.

A notice has ids and no content. The page then asks for the rest, as the person that it belongs to, in the language and
with the rights of that person. The first change is told at once. Those that follow are told together, about once a
second: twenty uploads before five hundred pages cost 60,000 messages when each change was one.

The functions here are called where rows change, inside the transaction. A notice goes out once, after the commit; a
transaction that is rolled back tells nobody.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

logger = logging.getLogger(__name__)

QUEUE_GROUP = "recordings.queue"  # channel-layer group of every open page: positions in line may have moved
# Seconds between two messages. `events.js` asks for a recording every second at most, for the line every four.
EVERY, LINE_EVERY = 1.0, 2.0


def owner_group(owner_id: int) -> str:
    """Channel-layer group of the pages that one person has open."""
    return f"recordings.owner.{owner_id}"


def recording_changed(recording_id: int, owner_id: int) -> None:
    """After the commit, tell the owner's pages that this recording changed, and all pages that the line moved."""
    _after_commit(recording_id, owner_id, line=True)


def recording_gone(recording_id: int, owner_id: int) -> None:
    """After the commit, tell the owner's pages that this recording was deleted, and all pages that the line moved."""
    _after_commit(recording_id, owner_id, gone=True, line=True)


def text_changed(recording_id: int, owner_id: int) -> None:
    """After the commit, tell the owner's pages that this recording changed. The line did not move."""
    _after_commit(recording_id, owner_id)


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
            await asyncio.shield(self._start(loop))  # a caller that is canceled here has changed something all the same

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


# (owner, recording). Any thread adds; the loop that tells removes. A deleted recording is in both.
_changed, _gone = set[tuple[int, int]](), set[tuple[int, int]]()


_loop: asyncio.AbstractEventLoop | None = None  # in which pages listen: the channel layer in memory works in no other


def listen() -> None:
    """Send the notices of this process from the running event loop from now on. A page calls this when it connects."""
    global _loop
    _loop = asyncio.get_running_loop()


def _after_commit(recording_id: int, owner_id: int, *, gone: bool = False, line: bool = False) -> None:
    """Never fails the change: a page that misses a notice finds out by polling."""
    transaction.on_commit(partial(_note, (owner_id, recording_id), gone, line), robust=True)


def _note(changed: tuple[int, int], gone: bool, line: bool) -> None:
    """Hand a notice over to the loop that tells, without waiting for it: the thread may hold what the loop waits for.

    Where no page has listened, this is a command beside the server, which reaches the pages through Redis alone.
    """
    if gone:
        _gone.add(changed)
    _changed.add(changed)
    if _loop and not _loop.is_closed():
        asyncio.run_coroutine_threadsafe(_tell(line), _loop)
    else:
        async_to_sync(_tell)(line)


async def _tell(line: bool) -> None:
    await _own.note()
    if line:
        await _line.note()


async def _tell_owners() -> None:
    changes = defaultdict[int, dict[int, bool]](dict)
    while _changed:
        owner_id, recording_id = _changed.pop()
        gone = (owner_id, recording_id) in _gone
        _gone.discard((owner_id, recording_id))
        changes[owner_id][recording_id] = gone
    for owner_id, recordings in changes.items():
        told = [{"recording": pk, "gone": gone} for pk, gone in sorted(recordings.items())]
        await _send(owner_group(owner_id), {"type": "recordings.changed", "changes": told})


async def _tell_line() -> None:
    await _send(QUEUE_GROUP, {"type": "queue.changed"})


async def _tell_of_whisper() -> None:
    await _send(QUEUE_GROUP, {"type": "whisper.changed"})


_own, _line, _whisper = Paced(EVERY, _tell_owners), Paced(LINE_EVERY, _tell_line), Paced(EVERY, _tell_of_whisper)


async def whisper_changed() -> None:
    """Tell all pages that Whisper is away, or is back. They ask sooner than when the line has moved."""
    await _whisper.note()


async def _send(group: str, message: dict[str, object]) -> None:
    try:
        await get_channel_layer().group_send(group, message)
    except Exception:
        logger.exception("pages could not be told: %s", message)
