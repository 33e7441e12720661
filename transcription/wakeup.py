"""What one task awaits in its own event loop, and any thread may bring about."""

import asyncio
from threading import get_ident


class Wakeup:
    """Made by the task that waits. It awaits the `future`, which raises the error that another brought, if any."""

    __slots__ = ("_thread", "future", "loop")

    def __init__(self) -> None:
        self.future: asyncio.Future[None] = asyncio.Future()
        self.loop = self.future.get_loop()
        self._thread = get_ident()

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
        if self.future.done():  # its task was cancelled
            return
        if error:
            self.future.set_exception(error)
        else:
            self.future.set_result(None)
