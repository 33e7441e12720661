"""The claim: the right of one process to call the Whisper servers.

Two processes have two gates, which together would let in twice the limit. So a process must have the claim before it
makes its gate, and keeps it until it ends. A claim consists of one or more locks.
"""

import fcntl
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

PATIENCE = 2.0  # seconds to wait for another process to end; `manage.py check` holds the locks for less
LOOK_EVERY = 0.1  # seconds


class AlreadyRunning(Exception):
    """Another process has the claim. The message says in one sentence what that process runs on."""


class Lock(Protocol):
    """A lock that one process at a time holds. `subject`: what it protects, to follow “already running on”."""

    @property
    def subject(self) -> str: ...

    @property
    def held(self) -> bool:
        """Whether this process holds the lock now."""

    def take(self) -> bool:
        """Take the lock. Returns False if another process has it."""

    def taken(self) -> bool:
        """Whether another process has the lock. Does not take it."""

    def release(self) -> None: ...


class FileLock:
    """A lock in a file. The kernel releases it when the process ends, in whatever way. The file stays."""

    def __init__(self, path: Path, subject: str) -> None:
        self.path = path
        self.subject = subject
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        return self._fd is not None

    def take(self) -> bool:
        if self._fd is None:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            if not _locked(fd, fcntl.LOCK_EX):
                os.close(fd)
                return False
            self._fd = fd
        return True

    def taken(self) -> bool:
        with suppress(FileNotFoundError):
            fd = os.open(self.path, os.O_RDONLY)
            try:
                return not (self.held or _locked(fd, fcntl.LOCK_SH))
            finally:
                os.close(fd)
        return False

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _locked(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Claim:
    """All locks together. Safe to use from any thread."""

    def __init__(self, locks: Sequence[Lock], clock: Callable[[], float] = time.monotonic) -> None:
        self._locks = locks
        self._clock = clock
        self._owner: int | None = None  # process that took the claim; its forks have this object, but not the right

    @property
    def held(self) -> bool:
        """Whether this process may call a Whisper server now."""
        return self._owner == os.getpid() and all(lock.held for lock in self._locks)

    def take(self) -> None:
        """Take the claim and keep it. Does nothing if this process has it.

        Raises AlreadyRunning if another process has it for longer than PATIENCE.
        """
        if self._owner == os.getpid():
            return
        if self._owner is not None:
            raise _already_running(self._locks[0])
        end = self._clock() + PATIENCE
        while other := next((lock for lock in self._locks if not lock.take()), None):
            self.release()
            if self._clock() >= end:
                raise _already_running(other)
            time.sleep(LOOK_EVERY)
        self._owner = os.getpid()

    def taken_by_another(self) -> str | None:
        """The subject of the lock that another process has, if there is one. Takes nothing."""
        return next((lock.subject for lock in self._locks if lock.taken()), None)

    def release(self) -> None:
        self._owner = None
        for lock in self._locks:
            lock.release()


def _already_running(lock: Lock) -> AlreadyRunning:
    return AlreadyRunning(f"Stile is already running on {lock.subject}.")
