"""What one task awaits in its own event loop, and any thread may bring about."""

import asyncio
from collections.abc import Generator
from threading import get_ident


class Wakeup:
    """Made and awaited by the task that waits: `await wakeup` raises the error that another brought, if any."""

    __slots__ = ("_future", "_thread", "loop")

    def __init__(self) -> None:
        self._future: asyncio.Future[None] = asyncio.Future()
        self._thread = get_ident()
        self.loop = self._future.get_loop()

    def __await__(self) -> Generator[None, None, None]:
        return self._future.__await__()

    def call(self, error: Exception | None = None) -> bool:
        """Wake the task. False if its loop is closed, so that it never will be."""
        try:
            if self._thread == get_ident():
                self._settle(error)
            else:
                self.loop.call_soon_threadsafe(self._settle, error)
        except RuntimeError:
            return False
        return True

    def _settle(self, error: Exception | None) -> None:
        if self._future.done():  # its task was cancelled
            return
        if error:
            self._future.set_exception(error)
        else:
            self._future.set_result(None)
