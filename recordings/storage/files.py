"""Files in Django's storage, kept so that a crash at any moment leaves neither a file nor a row without the other.

A file and its row cannot be written in one step. So the row of a `LooseFile` with the name is committed before the file
is written, and goes in the transaction that gives the file to a recording. A loose file that is found at a start was
left by a process that was killed, and is removed.
"""

import fcntl
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction

from recordings.models import LooseFile, Recording

_put_off: deque[str] = deque()  # names of files to discard when no backup is made


@contextmanager
def keeping(recording: Recording, content: "File[Any]") -> Iterator[None]:
    """Store `content` as the original of a new recording. The block saves the recording, and whatever belongs to it, in
    one transaction. Where the block raises, or the commit fails, the file is gone and no row was changed."""
    name = recording.original.field.generate_filename(recording, recording.original_name)
    LooseFile.objects.create(name=name)
    try:
        recording.original = default_storage.save(name, content)
        with transaction.atomic():
            yield
            LooseFile.objects.filter(name=name).delete()
    except BaseException:
        discard(name)
        raise


def discard(name: str) -> None:
    """Remove a file, if it is there, and its `LooseFile`. While a backup is made, the file stays until later: rows that
    were there when the backup began name it."""
    with backup_lock(fcntl.LOCK_SH | fcntl.LOCK_NB) as held:
        if held:
            default_storage.delete(name)
            LooseFile.objects.filter(name=name).delete()
        else:
            _put_off.append(name)


def discard_put_off() -> None:
    """Discard the files that had to stay while a backup was made. After a kill, the next start does it."""
    for _again in range(len(_put_off)):
        discard(_put_off.popleft())


@contextmanager
def backup_lock(how: int) -> Iterator[bool]:
    """The lock between a backup (exclusive) and all that remove files (shared); yields whether it is held.

    how: as for `fcntl.flock`.
    """
    folder = os.open(settings.DATA_DIR, os.O_RDONLY)  # the lock ends with it, also where the process is killed
    try:
        fcntl.flock(folder, how)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(folder)


def second_name(path: Path, suffix: str) -> Path:
    """Give the file a second name beside the first (a hard link), which the storage may move away. Returns it."""
    second = path.with_suffix(suffix)
    second.unlink(missing_ok=True)  # of a process that was killed
    second.hardlink_to(path)
    return second
