"""Making a backup while the server works."""

import fcntl
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils import timezone

from recordings.backups.archive import Archive
from recordings.backups.database import DATABASES, BackupError, copy_database
from recordings.storage.files import backup_lock


def make_backup(target: Path) -> int:
    """Write a backup to a new file, and return its size in bytes. A file of this name is whole.

    Raises BackupError, OSError.
    """
    if target.exists():
        raise BackupError(f"{target} is there already. Name another file.")
    part = target.with_name(f".{target.name}.part")
    try:
        with (
            backup_lock(fcntl.LOCK_EX),
            _work_folder() as work,
            os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file,
        ):
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                _write(Archive(tar), work)
            file.flush()
            os.fsync(file.fileno())
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


@contextmanager
def _work_folder() -> Iterator[Path]:
    """An empty folder on the disk of the data, where the sound of live sessions can get second names."""
    folder = Path(settings.DATA_DIR) / "backing-up"
    shutil.rmtree(folder, ignore_errors=True)  # left by a backup that was killed
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(archive: Archive, work: Path) -> None:
    _keep_live_sound(work / "live")
    copy = work / DATABASES[connection.vendor]
    names, migrations = copy_database(copy)
    _keep_live_sound(work / "live")  # of sessions that began meanwhile
    archive.add(copy.name, copy)
    for name in names:
        try:
            archive.add(f"media/{name}", Path(settings.MEDIA_ROOT) / name)
        except FileNotFoundError:
            raise BackupError(f"The storage has lost the file {name}. manage.py prune finds more.") from None
    for folder, files in (("live", work / "live"), ("incoming", Path(settings.FILE_UPLOAD_TEMP_DIR))):
        for path in sorted(files.glob("*.part" if folder == "incoming" else "*")):
            with suppress(FileNotFoundError):  # an upload that is whole now: it begins anew after a restore
                archive.add(f"{folder}/{path.name}", path)
    archive.finish(made_at=timezone.now().isoformat(), engine=connection.vendor, migrations=migrations)


def _keep_live_sound(folder: Path) -> None:
    """Give the sound of each open session a second name in the folder: when the session ends, the first name goes."""
    folder.mkdir(exist_ok=True)
    for path in Path(settings.LIVE_ROOT).glob("*.*"):
        if path.suffix in (".wav", ".acks"):
            with suppress(FileNotFoundError, FileExistsError):
                (folder / path.name).hardlink_to(path)
