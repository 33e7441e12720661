"""What was sent to the Whisper servers and is not answered yet, in a file that outlives this process.

A server goes on computing when the process that asked it is killed. The next process reads here what that may be, and
lets in so many fewer until it is over.

The file is a row of slots, one for each exchange. A slot is written before anything is sent, in one piece, without
waiting for the disk: the kernel keeps what was written however the process ends. After a power cut the latest notes
may be missing.
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
PREPARED = 64  # slots that a new file has, one block of a disk: noting then works on a full disk too
FREE, USED = 0, 1


class Moment(NamedTuple):
    """`boot`: which start of the machine; `since_boot`: seconds, sleep included; `wall`: seconds of the wall clock."""

    boot: bytes
    since_boot: float
    wall: float


def _boot() -> bytes:
    """16 bytes; zeros where the system does not tell, and the wall clock has to do."""
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
    """The notes of one process, which has the claim (see `claim`). Safe to use from any thread.

    seconds: how long after it was sent an exchange may still be computed: the request time-out and the grace.
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
            with suppress(OSError):  # the disk is full, so it is said when something is to be noted
                self._grow()

    def _read(self, slot: int) -> bool:
        """Whether it holds an exchange that a server may still compute."""
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
        """What earlier processes had sent to this server. Each is told once; see `when_over`."""
        return self._leftovers.pop(_digest(url), [])

    def when_over(self, leftover: Leftover, then: Callable[[], None]) -> None:
        """Forget it when no server can compute it any more, and call `then`, in a thread."""

        def end() -> None:
            self.forget(leftover.slot)
            then()

        timer = threading.Timer(leftover.seconds, end)
        timer.daemon = True
        timer.start()

    def note(self, url: str) -> int:
        """Something is about to be sent to this server. `forget()` the slot when it has answered.

        Raises OSError where it cannot be written.
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
        with self._lock:
            os.pwrite(self._fd, bytes([FREE]), slot * SLOT.size)
            heapq.heappush(self._free, slot)

    def close(self) -> None:
        os.close(self._fd)


def elapsed(sent: Moment, now: Moment) -> float:
    """Seconds from `sent` to `now`, at least 0. Within one start of the machine no change of the clock matters."""
    same = sent.boot == now.boot != bytes(16)
    seconds = now.since_boot - sent.since_boot if same else now.wall - sent.wall
    return seconds if seconds >= 0 else 0.0  # a wall clock that was set back, or no number: it may just have been sent


@cache
def _digest(url: str) -> bytes:
    return hashlib.blake2b(url.encode(), digest_size=16).digest()
