"""Work on the disk: in threads, and again and again while the disk is full or away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from web.patience import to_its_end
from web.problems import DISK_FULL

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

TRY_AGAIN = 1.0  # seconds until the disk may have room again

# Threads of their own: a disk that hangs must not take the threads of everything else.
_threads = ThreadPoolExecutor(8, thread_name_prefix="live")


async def on_disk(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work in a thread, to its end even if canceled: no file is closed while a thread works on it."""
    return await to_its_end(asyncio.get_running_loop().run_in_executor(_threads, partial(work, *args, **kwargs)))


class Disk:
    """The disk as one session sees it.

    trouble  the code of the error that it has now, or "": `disk_full`, `storage_failed`
    tell     is called with the code when trouble begins
    """

    def __init__(self, session: str, tell: Callable[[str], None]) -> None:
        self._session = session
        self._tell = tell
        self.trouble = ""

    async def surely(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns. While it raises OSError, it is tried again."""
        while True:
            try:
                result = await work()
            except OSError as error:
                if not self.trouble:
                    log.exception("The disk failed live session %s; trying again", self._session)
                    self.trouble = "disk_full" if error.errno in DISK_FULL else "storage_failed"
                    self._tell(self.trouble)
                await asyncio.sleep(TRY_AGAIN)
            else:
                self.trouble = ""
                return result
