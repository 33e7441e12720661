"""The sound of a live session, from the frames to the journal."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from django.conf import settings

from recordings.live.disk import Disk, on_disk
from recordings.live.journal import LARGEST, SECOND, Journal
from recordings.storage import space

ACK_EVERY = 0.8  # seconds, so that frames are acknowledged at least once a second
MOST_WAITING = 2 * SECOND  # bytes of sound in memory while the disk is slow or full; then the socket has to wait
AWAY = 3.0  # seconds without a frame after which the speaker counts as away; clients send one every half second
TAKING_OVER = 2.0  # seconds that the disk gets for the sound of the speaker before


def longest() -> float:
    """The largest number of bytes of sound in one session."""
    hours: float = settings.MAX_AUDIO_HOURS
    return min(hours * 3600 * SECOND, LARGEST)


class IncomingSound:
    """Takes frames, writes them to the journal together, and acknowledges them about once a second.

    acknowledged  is called with the number of the last frame on disk
    next_seq      the number of the next frame; all before it were taken, though perhaps not written yet
    complete      all sound is on disk, and no more comes
    news          is set when sound was written, and when there is rest: for the captions
    """

    def __init__(self, journal: Journal, disk: Disk, acknowledged: Callable[[int], None]) -> None:
        self._journal = journal
        self._disk = disk
        self._acknowledged = acknowledged
        self._frames: list[bytes] = []  # the sound of frames that wait to be written
        self._unwritten = 0  # bytes
        self._taken = 0  # bytes of the whole session
        self._quota = float("inf")  # bytes of this session that the quota of its owner allows
        self._came, self._written, self._synced = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._at_once = False  # acknowledge without waiting for the second to end
        self._paused = self._closed = False
        self._came_at = time.monotonic()  # when the last frame came, or the session was opened
        self.next_seq = 0
        self.complete = False
        self.news = asyncio.Event()

    def begin(self, left: float) -> None:
        """Go on behind the sound in the journal. `left`: the bytes that the owner may still store."""
        self.next_seq = self._journal.last + 1
        self._taken = self._journal.size
        self._quota = self._journal.size + left
        self._came_at = time.monotonic()

    def excess(self, sound: bytes) -> str:
        """The code of the limit that this sound would pass, or ""."""
        if self._taken + len(sound) <= min(longest(), self._quota):
            return ""
        return "too_long" if self._quota > longest() else "quota_exceeded"

    def take(self, sound: bytes) -> None:
        """The sound of the next frame."""
        self._frames.append(sound)
        self._taken += len(sound)
        self._unwritten += len(sound)
        self.next_seq += 1
        self._paused = False
        self._came_at = time.monotonic()
        self._came.set()

    def pause(self) -> None:
        """The speaker sends nothing for a while: all speech before this becomes final."""
        self._paused = True
        self.news.set()

    def close(self) -> None:
        """No more sound is taken."""
        self._closed = True
        self._came.set()

    @property
    def speaker(self) -> str:
        """Where the speaker is: “here”, “paused”, or “away” while frames should come and none does.

        A socket may look alive for long after its network is gone, so only the frames tell. None is taken while the
        disk is behind.
        """
        if self._paused:
            return "paused"
        return "away" if not self._closed and not self.full and time.monotonic() - self._came_at > AWAY else "here"

    @property
    def resting(self) -> bool:
        """All sound is on disk, and no more comes: ever, or until a pause ends."""
        return self.complete or (self._paused and not self._unwritten)

    @property
    def full(self) -> bool:
        """So much sound waits for the disk that no more should be taken."""
        return self._unwritten >= MOST_WAITING

    async def drained(self) -> None:
        """Wait until sound was written, or `release` is called."""
        self._written.clear()
        await self._written.wait()

    def release(self) -> None:
        self._written.set()

    async def all_acknowledged(self) -> None:
        """Acknowledge now, and wait until it is done; TAKING_OVER seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TAKING_OVER):
                while self._journal.acked + 1 < self.next_seq:
                    self._at_once = True
                    self._came.set()
                    self._synced.clear()
                    await self._synced.wait()

    async def keep(self) -> None:
        """Write and acknowledge sound, until it is closed and all of it is on disk."""
        due: float | None = None
        while self._frames or not self._closed:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._came.wait()
            self._came.clear()
            now = asyncio.get_running_loop().time()
            if self._frames:
                await self._write()
                due = due or now + ACK_EVERY
            if due and (now >= due or self._at_once):
                await self._acknowledge()
                due, self._at_once = None, False
        if self._journal.acked != self._journal.last:
            await self._acknowledge()
        self.complete = True
        self.news.set()

    async def _write(self) -> None:
        sound, self._frames = b"".join(self._frames), []
        last = self.next_seq - 1
        await self._disk.surely(lambda: on_disk(self._put, sound, last))
        self._unwritten -= len(sound)
        self._written.set()
        self.news.set()

    def _put(self, sound: bytes, last: int) -> None:
        """Raises OSError, also before the disk is quite full: the database needs some room for the captions."""
        space.require_some_reserve()
        self._journal.write(sound, last)

    async def _acknowledge(self) -> None:
        number = await self._disk.surely(lambda: on_disk(self._journal.sync))
        self._synced.set()
        self._acknowledged(number)
