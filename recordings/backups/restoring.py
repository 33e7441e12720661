"""Putting a backup in place of what is there."""

import shutil
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils import timezone

from recordings.backups.archive import FOLDERS, unpack
from recordings.backups.database import DATABASES, RESTORING, BackupError, replace_tables, require_fitting


def restore_backup(source: Path) -> Path | None:
    """Put everything of a backup in place of what is there. Returns the folder that what was there is kept in, if
    something was.

    No server may run. A restore that is killed is done again from the beginning. Raises BackupError, OSError.
    """
    data_dir = Path(settings.DATA_DIR)
    fresh = data_dir / "unpacking"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(mode=0o700)
        require_fitting(unpack(source, fresh), fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    connection.close()
    cut_off = (data_dir / RESTORING).exists()
    shutil.rmtree(data_dir / RESTORING, ignore_errors=True)
    fresh = fresh.rename(data_dir / RESTORING)
    if connection.vendor == "postgresql":
        try:
            replace_tables(fresh / DATABASES["postgresql"])
        except BackupError:
            if not cut_off:  # by another restore, which did change something
                shutil.rmtree(fresh)
            raise
    before = _keep_what_is_there(data_dir / f"before-restore-{timezone.now():%Y%m%d-%H%M%S}")
    _put_in_place(fresh)
    shutil.rmtree(fresh)
    return before


def _keep_what_is_there(before: Path) -> Path | None:
    for place, name in _places():
        if place.exists():
            before.mkdir(mode=0o700, exist_ok=True)
            shutil.move(place, before / name)
    return before if before.exists() else None


def _put_in_place(fresh: Path) -> None:
    for place, name in _places():
        if name in FOLDERS:
            (fresh / name).mkdir(exist_ok=True)
        if (fresh / name).exists():
            shutil.move(fresh / name, place)


def _places() -> list[tuple[Path, str]]:
    """The files and folders that a restore replaces, each with its name where the old ones are kept."""
    folders = (settings.MEDIA_ROOT, settings.LIVE_ROOT, settings.FILE_UPLOAD_TEMP_DIR)
    kept = [(Path(place), name) for place, name in zip(folders, FOLDERS, strict=True)]
    if connection.vendor == "sqlite":
        database = str(settings.DATABASES["default"]["NAME"])
        kept += [(Path(f"{database}{end}"), f"{DATABASES['sqlite']}{end}") for end in ("", "-wal", "-shm")]
    return kept
