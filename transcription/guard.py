"""A lock for an object that the garbage collector may call."""

from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any


class Guard:
    """A lock, used as `with guard:`. Safe to use from any thread; it must not be taken twice by one.

    The garbage collector may end a coroutine at any moment, also while its thread has the lock. What coroutines do at
    their end is therefore given to `soon()`, which never waits.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._due = deque[Callable[[], None]]()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()
        if self._due:
            self._catch_up()

    def soon(self, action: Callable[..., None], *arguments: Any) -> None:
        """Do the action under the lock: now, or when the lock is given back."""
        if self._due or not self._lock.acquire(blocking=False):
            self._due.append(partial(action, *arguments))
            self._catch_up()
            return
        try:
            action(*arguments)
        finally:
            self.__exit__()

    def _catch_up(self) -> None:
        while self._due and self._lock.acquire(blocking=False):
            try:
                while self._due:
                    self._due.popleft()()
            finally:
                self._lock.release()
