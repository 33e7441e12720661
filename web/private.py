"""File modes: only the service's own user may read what the product keeps. A umask for new files, and a repair of the
modes of files that are there already.
"""

import logging
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from django.conf import settings

log = logging.getLogger(__name__)

OTHERS = 0o077  # mode bits: rights of the group and of all others
# Commands whose files every user of the machine may read: root may run `make install`.
FOR_EVERYONE = {"collectstatic", "fetch_weights", "makemigrations", "makemessages", "compilemessages"}


def keep_to_oneself() -> None:
    """Set the umask: only the user of this process may read the files that it makes from now on."""
    if FOR_EVERYONE.isdisjoint(sys.argv[1:2]):
        os.umask(OTHERS)


def private_folder(path: Path) -> Path:
    """Return the folder, after making it and its parents where they are missing."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def places() -> list[Path]:
    """Folders in which the product keeps files, and the database's files where they lie elsewhere."""
    folders = [settings.DATA_DIR, settings.MEDIA_ROOT, settings.FILE_UPLOAD_TEMP_DIR, settings.LIVE_ROOT]
    database = settings.DATABASES["default"]
    ends = ("", "-wal", "-shm") if database["ENGINE"] == "django.db.backends.sqlite3" else ()
    kept = [*map(Path, folders), *(Path(f"{database['NAME']}{end}") for end in ends)]
    found = {path.resolve() for path in kept if path.exists()}
    return sorted(path for path in found if found.isdisjoint(path.parents))


@cache
def look_after() -> None:
    """Repair the modes of everything in `places`, once in a process. The log names what cannot be repaired."""
    left = [path for place in places() for path in make_private(place)]
    if left:
        words = "Other users of this machine have rights to %s and %d more, whose modes cannot be changed."
        log.warning(words, left[0], len(left) - 1)


def make_private(folder: Path) -> list[str]:
    """Remove all rights of other users to the folder and its content, without following links. Returns the paths to
    which others keep rights: paths of another user, or on a file system without rights.
    """
    return [path for path in open_to_others(folder) if not _made_private(path)]


def open_to_others(folder: Path) -> Iterator[str]:
    """Paths of the folder and its content to which others have rights. Takes 1 s for 200,000 files."""
    if is_open(folder.stat().st_mode):
        yield str(folder)
    for entry in _entries(str(folder)):
        with suppress(FileNotFoundError):  # removed meanwhile
            if not entry.is_symlink() and is_open(entry.stat(follow_symlinks=False).st_mode):
                yield entry.path


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with suppress(FileNotFoundError, PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)


def _made_private(path: str) -> bool:
    try:
        os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) & ~OTHERS)
        return not is_open(os.stat(path).st_mode)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def is_open(mode: int) -> bool:
    return bool(mode & OTHERS)
