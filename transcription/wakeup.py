"""Waking a task of any event loop from any thread."""

import asyncio


def wake(future: asyncio.Future[None], error: Exception | None = None) -> bool:
    """Let the task that awaits this future go on, or raise the error in it. Called from any thread.

    Returns False if the future's event loop is closed, so that the task never goes on.
    """
    loop = future.get_loop()
    try:
        if loop is asyncio._get_running_loop():  # None where no loop runs
            _settle(future, error)
        else:
            loop.call_soon_threadsafe(_settle, future, error)
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
