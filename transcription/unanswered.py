"""Notes of the exchanges that are sent and not answered yet, in a file that outlives this process.

A server goes on computing when the process that asked it is killed. The next process reads the notes, and lets in so
many calls fewer until the server can be computing them no more.

The file is a row of slots, one for each exchange. A slot is written before anything is sent, in one piece, without
waiting for the disk: the kernel keeps what was written, in whatever way the process ends. After a power cut the latest
notes may be missing.
"""

import hashlib
import heapq
import math
import os
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

SLOT = struct.Struct(
    "<B16s16sddd7x"
)  # in use, server, boot, since boot, wall clock, seconds: 64 bytes, within a sector
PREPARED = 64  # slots of a new file, one block of a disk: then notes can be written on a full disk too
FREE, USED = 0, 1


class Moment(NamedTuple):
    """A moment by two clocks.

    boot: identifies the start of the machine. since_boot: seconds since then, sleep included.
    wall: seconds of the wall clock, which can be set.
    """

    boot: bytes
    since_boot: float
    wall: float


def _boot() -> bytes:
    """16 bytes that identify this start of the machine; zeros if the system does not tell."""
    try:
        return bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", ""))[:16]
    except (OSError, ValueError):
        return bytes(16)


BOOT = _boot()
SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def moment() -> Moment:
    return Moment(BOOT, time.clock_gettime(SINCE_BOOT), time.time())


@dataclass(frozen=True, slots=True)
class Leftover:
    """An exchange of an earlier process, which the server may still compute for `seconds` from now."""

    slot: int
    seconds: float


class Unanswered:
    """The notes of the process that has the claim (see `claim`). Safe to use from any thread.

    seconds: how long a server may compute an exchange: the request time-out and the grace.
    """

    def __init__(self, path: Path, seconds: float, now: Callable[[], Moment] = moment) -> None:
        self._seconds = seconds
        self._now = now
        self._lock = threading.Lock()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._slots = os.fstat(self._fd).st_size // SLOT.size
        self._leftovers: dict[bytes, list[Leftover]] = {}
        self._free = [slot for slot in range(self._slots) if not self._read(slot)]
        if not self._slots:
            with suppress(OSError):  # the disk is full; `note()` will say so
                self._grow()

    def _read(self, slot: int) -> bool:
        """Whether the slot holds an exchange that a server may still compute. Such an exchange becomes a leftover."""
        use, server, *sent, seconds = SLOT.unpack(os.pread(self._fd, SLOT.size, slot * SLOT.size))
        left = seconds - elapsed(Moment(*sent), self._now())
        if use != USED or not 0 < left < math.inf:
            return False
        self._leftovers.setdefault(server, []).append(Leftover(slot, min(left, seconds)))
        return True

    def _grow(self) -> None:
        os.pwrite(self._fd, bytes(PREPARED * SLOT.size), self._slots * SLOT.size)
        self._free.extend(range(self._slots, self._slots + PREPARED))
        self._slots += PREPARED

    def leftovers(self, url: str) -> list[Leftover]:
        """The exchanges that earlier processes had sent to this server. Each is returned once; see `when_over`."""
        return self._leftovers.pop(_digest(url), [])

    def when_over(self, leftover: Leftover, then: Callable[[], None]) -> None:
        """Forget the leftover when no server can compute it any more, and then call `then` in a thread."""

        def end() -> None:
            self.forget(leftover.slot)
            then()

        timer = threading.Timer(leftover.seconds, end)
        timer.daemon = True
        timer.start()

    def note(self, url: str) -> int:
        """Note an exchange that is about to be sent to this server. Returns its slot, for `forget()` after the answer.

        Raises OSError if the note cannot be written.
        """
        with self._lock:
            if not self._free:
                self._grow()
            slot = heapq.heappop(self._free)
            try:
                os.pwrite(self._fd, SLOT.pack(USED, _digest(url), *self._now(), self._seconds), slot * SLOT.size)
            except OSError:
                heapq.heappush(self._free, slot)
                raise
        return slot

    def forget(self, slot: int) -> None:
        """Free the slot of an exchange that was answered."""
        with self._lock:
            os.pwrite(self._fd, bytes([FREE]), slot * SLOT.size)
            heapq.heappush(self._free, slot)

    def close(self) -> None:
        os.close(self._fd)


def elapsed(sent: Moment, now: Moment) -> float:
    """Seconds from `sent` to `now`, at least 0. Between two starts of the machine the wall clock must do."""
    same = sent.boot == now.boot != bytes(16)
    seconds = now.since_boot - sent.since_boot if same else now.wall - sent.wall
    return seconds if seconds >= 0 else 0.0  # the wall clock was set back, or NaN: take it for just sent


@cache
def _digest(url: str) -> bytes:
    return hashlib.blake2b(url.encode(), digest_size=16).digest()
