"""One sentence in place of a traceback, for a command that fails because of the machine."""

import errno
import os

from django.db import DatabaseError

MACHINES = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EIO}
# SQLite's own words. Nothing else tells these errors from a fault of the product.
DATABASES = ("readonly", "unable to open", "disk is full", "disk I/O", "malformed", "not a database", "locked")


def reason(error: BaseException) -> str | None:
    """The reason, as a sentence, for an error of the machine; None for any other error."""
    if isinstance(error, OSError) and error.errno in MACHINES:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or os.strerror(error.errno)}. Stile must be able to write to its DATA_DIR."
    if isinstance(error, DatabaseError) and any(words in str(error) for words in DATABASES):
        return f"The database cannot be used: {error}. Can its folder be written to? See docs/how-to/backup.md."
    return None
