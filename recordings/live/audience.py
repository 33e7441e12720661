"""The number of viewers of a live session.

Each process counts its own viewers and tells the number once a second, while there are any. The process of the speaker
adds the numbers up. So the sum is right again soon after viewers, or whole processes, are gone.
"""

import asyncio
import time
from secrets import token_hex

from recordings.live.messages import tell_count

OFTEN = 1.0  # seconds from one message to the next
SILENT = 5.0  # seconds after which a process without messages counts as gone

PROCESS = token_hex(8)


class Viewers:
    """The viewers in this process, by session."""

    def __init__(self) -> None:
        self._there: dict[str, set[object]] = {}
        self._telling: dict[str, asyncio.Task[None]] = {}

    def come(self, session: str, viewer: object) -> None:
        self._there.setdefault(session, set()).add(viewer)
        if session not in self._telling:
            self._telling[session] = asyncio.create_task(self._tell(session))

    def go(self, session: str, viewer: object) -> None:
        """May be called for a viewer that never came."""
        self._there.get(session, set()).discard(viewer)

    async def _tell(self, session: str) -> None:
        there, told = self._there[session], 0
        try:
            while there or told:
                told = len(there)
                await tell_count(session, PROCESS, told)
                await asyncio.sleep(OFTEN)
        finally:
            del self._there[session], self._telling[session]


class Audience:
    """The viewers of one session in all processes."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int]] = {}  # process -> time and number of its last message

    def note(self, process: str, count: int) -> None:
        self._told[process] = (time.monotonic(), count)

    def count(self) -> int:
        now = time.monotonic()
        self._told = {process: told for process, told in self._told.items() if now - told[0] < SILENT}
        return sum(count for _, count in self._told.values())


viewers = Viewers()
