"""A backup of everything in one file, made while the server works, and the way back.

making      writes the file: the database, then the files that its rows name, then a manifest (`archive`)
restoring   puts a backup in place of what is there
database    copies, replaces and judges the database

Files fit the rows because of an order. A file lies in the storage before its row is made, so every row in the copy of
the database has its file. While a backup holds its lock, no file is removed (`storage.files.discard` puts that off), so
the file is still there when its turn comes. The sound of live sessions gets a second name meanwhile.
"""

from recordings.backups.database import BackupError, require_usable_database
from recordings.backups.making import make_backup
from recordings.backups.restoring import restore_backup

__all__ = ["BackupError", "make_backup", "require_usable_database", "restore_backup"]
