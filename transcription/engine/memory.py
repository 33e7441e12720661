"""The memory of the engine: how many windows fit into it at once, and that it is kept."""

import ctypes
import logging
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

CONTROL_GROUP = Path("/sys/fs/cgroup")  # of a container, seen from inside
KB = 1024
# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def fitting(most: int, weights: int) -> int:
    """The number of windows that fit into the free memory of this machine: 1 to `most`.

    weights: bytes of the model's file. A window takes as many at most, of which a quarter are the decoder's keys and
    values: 37 MB with `base`, whose file has 145 MB, and 0.5 GB with `large-v3`, whose file has 3.1 GB.
    """
    return max(1, min(most, free_memory() // max(1, weights)))


def free_memory() -> int:
    """Bytes that this process may still take: of the machine's, and of its control group's. Not known: any number."""
    told = re.search(r"^MemAvailable: +(\d+) kB", _read(Path("/proc/meminfo")), re.MULTILINE)
    machine = int(told[1]) * KB if told else sys.maxsize
    most, taken = (_read(CONTROL_GROUP / name).strip() for name in ("memory.max", "memory.current"))
    return min(machine, int(most) - int(taken)) if most.isdecimal() and taken.isdecimal() else machine


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""


def trying(most: int, attempt: Callable[[int], object]) -> int:
    """The largest of `most`, its half, and so on, with which `attempt` does not run out of memory. At least 1."""
    while most > 1:
        try:
            attempt(most)
        except RuntimeError as error:
            logger.warning("%d windows at once do not fit: %s", most, error)
            most //= 2
        else:
            break
    return most


def keep() -> None:
    """Keep freed memory for later, with glibc.

    The encoder takes and frees 72 MB for each layer of a window. By default the system gives and takes back each of
    these, page by page, which is a third of the encoder's time (1.3 s of the processor instead of 0.8 s with `base`).
    The process stays larger for it: 0.9 GB with `base` after 120 batches, instead of 0.55 GB.
    """
    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_ARENA_MAX, 1)  # only the first arena can grow without mmap
