"""How many watch a live session. Each process counts its own and says so while anybody watches there; the process in
which somebody speaks adds them up. So the number is true again a moment after viewers, or whole processes, are gone.
"""

import asyncio
import time
from secrets import token_hex

from recordings.live.telling import tell_count

OFTEN = 1.0  # seconds between two tellings
SILENT = 5.0  # seconds after which nobody watches any more in a process that says nothing

PROCESS = token_hex(8)


class Viewers:
    """Those of this process, by session."""

    def __init__(self) -> None:
        self._there: dict[str, set[object]] = {}
        self._telling: dict[str, asyncio.Task[None]] = {}

    def come(self, session: str, viewer: object) -> None:
        self._there.setdefault(session, set()).add(viewer)
        if session not in self._telling:
            self._telling[session] = asyncio.create_task(self._tell(session))

    def go(self, session: str, viewer: object) -> None:
        """May be called for one that never came."""
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
    """Of one session, as its processes tell it."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int]] = {}  # process -> when, how many

    def note(self, process: str, count: int) -> None:
        self._told[process] = (time.monotonic(), count)

    def count(self) -> int:
        now = time.monotonic()
        self._told = {process: told for process, told in self._told.items() if now - told[0] < SILENT}
        return sum(count for _, count in self._told.values())


viewers = Viewers()
