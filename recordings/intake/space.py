"""Room to keep things in: on the disk, of which a reserve stays free, and for each person.

The reserve is for the database, for live sessions under way and for the rest of the machine: uploads are refused
before it begins (507). Deleting needs room too, since SQLite writes before it frees: a file of our own is given up for
that when the disk is full in spite of the reserve.
"""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db.models import Sum
from django.template.defaultfilters import filesizeformat
from django.utils.functional import lazy

from recordings.live.journal import sessions_on_disk
from recordings.models import LiveSession, Recording, Upload
from web.problems import Problem

SHARE = 20  # the reserve is a twentieth of the disk, as most file systems keep for root
MOST = 256 * 1024**2  # bytes of the reserve: two hours of a live session, or many days of text
SPARE = 16 * 1024**2  # bytes given up for deleting: a recording of 12 hours has 9 MB of words


# --- On the disk -------------------------------------------------------------------------------


def reserve() -> int:
    """Bytes of the disk that stay free: DISK_RESERVE, where it is set."""
    if settings.DISK_RESERVE is not None:
        return int(settings.DISK_RESERVE)
    return min(MOST, shutil.disk_usage(settings.FILE_UPLOAD_TEMP_DIR).total // SHARE)


def left() -> int:
    """Bytes that can be written before the reserve begins; below 0 inside of it."""
    return shutil.disk_usage(settings.FILE_UPLOAD_TEMP_DIR).free - reserve()


def require_room(more: int = 0) -> None:
    """Raises Problem 507 where `more` bytes would not fit in front of the reserve."""
    if left() < more:
        raise Problem("disk_full")
    keep_spare()


def require_some_reserve() -> None:
    """For what was begun and cannot be asked for again: it may use up half of the reserve. Raises OSError."""
    if left() < -reserve() // 2:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def keep_spare() -> None:
    """Make sure that there is a file to give up. No more is asked of a disk than its reserve."""
    size = min(SPARE, reserve())
    if not size or _spare().exists():
        return
    with suppress(OSError), _spare().open("xb") as file:  # another process makes it, or there is no room just now
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            _spare().unlink(missing_ok=True)


def give_up_spare() -> bool:
    """Whether there was a file to give up, so that what failed for a full disk may be tried again."""
    try:
        _spare().unlink()
    except FileNotFoundError:
        return False
    return True


def _spare() -> Path:
    return Path(settings.DATA_DIR) / "room-for-deleting"


# --- For each person ---------------------------------------------------------------------------


def used(owner_id: int, besides: Upload | None = None) -> int:
    """Bytes that somebody's recordings take: files as they were given, uploads under way as announced (but for one,
    `besides`), and the sound of live sessions so far. The copies that the product makes for browsers do not count."""
    recordings = Recording.objects.filter(owner=owner_id).aggregate(bytes=Sum("bytes", default=0))["bytes"]
    uploads = Upload.objects.filter(owner=owner_id, recording=None)
    if besides:
        uploads = uploads.exclude(pk=besides.pk)
    return int(recordings + uploads.aggregate(bytes=Sum("bytes", default=0))["bytes"]) + _spoken(owner_id)


def _spoken(owner_id: int) -> int:
    going_on = set(LiveSession.objects.filter(owner=owner_id, recording=None).values_list("pk", flat=True))
    if not going_on:
        return 0
    files = sessions_on_disk(Path(settings.LIVE_ROOT))
    sizes = 0
    for path in (path for session in going_on for path in files.get(session, ())):
        with suppress(FileNotFoundError):  # it became a recording meanwhile
            sizes += path.stat().st_size
    return sizes


def room_of(owner_id: int, besides: Upload | None = None) -> float:
    """Bytes that somebody may still store; infinity where USER_MAX_BYTES is 0."""
    return settings.USER_MAX_BYTES - used(owner_id, besides) if settings.USER_MAX_BYTES else float("inf")


def require_quota(owner_id: int, more: int, besides: Upload | None = None) -> None:
    """Raises Problem 413 where somebody may not store `more` bytes besides what they have."""
    if not settings.USER_MAX_BYTES:
        return
    taken = used(owner_id, besides)
    if taken + more > settings.USER_MAX_BYTES:
        raise Problem("quota_exceeded", used=size_words(taken), most=size_words(settings.USER_MAX_BYTES))


size_words = lazy(filesizeformat, str)  # “1.5 GB”, in the language of the person that reads it
