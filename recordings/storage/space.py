"""Bytes on the disk, of which a reserve stays free.

The reserve is for the database, for live sessions under way and for the rest of the machine: uploads are refused
before it begins (507). Deleting needs bytes too, since SQLite writes before it frees. Where the disk is full in spite
of the reserve, a file of our own, the spare, is given up for a deletion.
"""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from web.problems import Problem

SHARE = 20  # the reserve is a twentieth of the disk, as most file systems keep for root
MOST = 256 * 1024**2  # bytes of the reserve: two hours of a live session, or many days of text
SPARE = 16 * 1024**2  # bytes of the spare: a recording of 12 hours has 9 MB of words


def reserve() -> int:
    """Bytes of the disk that stay free: DISK_RESERVE, where it is set."""
    if settings.DISK_RESERVE is not None:
        return int(settings.DISK_RESERVE)
    return min(MOST, shutil.disk_usage(settings.FILE_UPLOAD_TEMP_DIR).total // SHARE)


def left() -> int:
    """Bytes that can be written before the reserve begins; below 0 inside of it."""
    return shutil.disk_usage(settings.FILE_UPLOAD_TEMP_DIR).free - reserve()


def require(more: int = 0) -> None:
    """Raise Problem 507 where `more` bytes do not fit before the reserve begins."""
    if left() < more:
        raise Problem("disk_full")
    keep_spare()


def require_some_reserve() -> None:
    """Raise OSError where half of the reserve is used up: for work that has begun and cannot be asked for again."""
    if left() < -reserve() // 2:
        raise no_space()


def no_space() -> OSError:
    """The error of a full disk."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def keep_spare() -> None:
    """Make sure that the spare is there. It is no larger than the reserve."""
    size = min(SPARE, reserve())
    if not size or _spare().exists():
        return
    with suppress(OSError), _spare().open("xb") as file:  # another process makes it, or the disk is full just now
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            _spare().unlink(missing_ok=True)


def give_up_spare() -> bool:
    """Remove the spare. Returns whether it was there, so that what failed for a full disk may be tried again."""
    try:
        _spare().unlink()
    except FileNotFoundError:
        return False
    return True


def _spare() -> Path:
    return Path(settings.DATA_DIR) / "room-for-deleting"
