"""Counts of calls since the start. Any thread may change them."""

import asyncio
import threading
from collections import Counter
from collections.abc import Hashable
from dataclasses import replace
from datetime import UTC, datetime

from .snapshot import Calls


class Tally:
    """`calls`: see `Calls`. `pausing`: calls that wait, and not in line. `oom_errors`: of each server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls = Calls()
        self.pausing = 0
        self.oom_errors = Counter[Hashable]()

    def add(self, **more: int) -> None:
        """Add to the counts of these names."""
        with self._lock:
            self.calls = replace(self.calls, **{name: getattr(self.calls, name) + more[name] for name in more})

    def out_of_memory(self, server: Hashable) -> None:
        with self._lock:
            self.oom_errors[server] += 1
            self.calls = replace(self.calls, oom_errors=self.calls.oom_errors + 1, last_oom_at=datetime.now(UTC))

    async def pause(self, seconds: float) -> None:
        """Sleep, counted as a call that waits, and not in line."""
        self._pausing(1)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._pausing(-1)

    def _pausing(self, step: int) -> None:
        with self._lock:
            self.pausing += step
