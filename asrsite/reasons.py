"""What a command says where the machine does not let it work: a sentence, and no traceback."""

import errno
import os

from django.db import DatabaseError

MACHINES = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EIO}
# SQLite's words: nothing else tells them from a fault of ours.
DATABASES = ("readonly", "unable to open", "disk is full", "disk I/O", "malformed", "not a database", "locked")


def reason(error: BaseException) -> str | None:
    """Why the machine is to blame; None where it is not."""
    if isinstance(error, OSError) and error.errno in MACHINES:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or os.strerror(error.errno)}. Stile must be able to write to its DATA_DIR."
    if isinstance(error, DatabaseError) and any(words in str(error) for words in DATABASES):
        return f"The database cannot be used: {error}. Can its folder be written to? See docs/how-to/backup.md."
    return None
