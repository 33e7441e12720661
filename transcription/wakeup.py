"""Waking a task of any event loop from any thread."""

import asyncio
from threading import get_ident


def wake(future: asyncio.Future[None], thread: int, error: Exception | None = None) -> bool:
    """Let the task that awaits this future in that thread go on, or raise the error in it.

    False if the future's loop is closed, so that nobody ever will.
    """
    try:
        if thread == get_ident():
            _settle(future, error)
        else:
            future.get_loop().call_soon_threadsafe(_settle, future, error)
    except RuntimeError:
        return False
    return True


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():  # its task was cancelled
        return
    if error:
        future.set_exception(error)
    else:
        future.set_result(None)
