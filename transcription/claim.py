"""The claim: the right of one process to call the Whisper servers. Of two, each would let in as many as the limit.

A claim is one or more locks, held together. The process that makes the gates holds it from then on until its end.
"""

import fcntl
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

PATIENCE = 2.0  # seconds: a process that was told to stop may need a moment to end; `manage.py check` holds for less
LOOK_EVERY = 0.1  # seconds


class AlreadyRunning(Exception):
    """Another process has the claim; the message is one sentence that says on what."""


class Lock(Protocol):
    """A lock of which one process at a time has hold. `subject`: what it stands for, after “already running on”."""

    @property
    def subject(self) -> str: ...

    @property
    def held(self) -> bool:
        """Whether this process has hold of it, at this moment."""

    def take(self) -> bool:
        """False: another process has it."""

    def taken(self) -> bool:
        """Whether another process has it. Takes nothing."""

    def release(self) -> None: ...


class FileLock:
    """Taken in a file, which stays. The kernel lets go of it when the process ends, however it ends."""

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
    """All the locks together. Safe to ask from any thread."""

    def __init__(self, locks: Sequence[Lock], clock: Callable[[], float] = time.monotonic) -> None:
        self._locks = locks
        self._clock = clock
        self._owner: int | None = None  # the process that took it: a fork of it has these objects too, and no right

    @property
    def held(self) -> bool:
        """Whether this process may call a Whisper server now."""
        return self._owner == os.getpid() and all(lock.held for lock in self._locks)

    def take(self) -> None:
        """Take it, and keep it. Does nothing where this process took it before.

        Raises AlreadyRunning where another process has it, after PATIENCE.
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
        """What another process runs on, if one does. Takes nothing."""
        return next((lock.subject for lock in self._locks if lock.taken()), None)

    def release(self) -> None:
        self._owner = None
        for lock in self._locks:
            lock.release()


def _already_running(lock: Lock) -> AlreadyRunning:
    return AlreadyRunning(f"Stile is already running on {lock.subject}.")
