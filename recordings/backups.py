"""A backup of everything in one file, made while the server works, and the way back.

The file is a tar: the database, then the files that its rows name, then `manifest.json` with the size and the digest of
each. The manifest comes last, so a backup that was cut off has none.

Files fit the rows because of an order. A file lies in the storage before its row is made, so every row in the copy of
the database has its file. And while a backup holds its lock, no file is removed (`LooseFile.discard` puts that off), so
the file is still there when its turn comes. Sound of live sessions that go on is kept under a second name meanwhile.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

FORMAT = 1
MANIFEST = "manifest.json"
DATABASES = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}
FOLDERS = ("media", "live", "incoming")  # as they are called in a backup
BLOCK = 1024**2  # bytes in memory
UNFINISHED = "restoring"  # a folder in DATA_DIR for as long as a restore goes on


class BackupError(Exception):
    """In a sentence for a person."""


@contextmanager
def _lock(how: int) -> Iterator[bool]:
    """Whether the lock between a backup and those that remove files was got."""
    folder = os.open(settings.DATA_DIR, os.O_RDONLY)  # the lock goes with it, also where the process is killed
    try:
        fcntl.flock(folder, how)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(folder)


def removing() -> AbstractContextManager[bool]:
    """`with removing() as may:` files may be removed unless a backup is made."""
    return _lock(fcntl.LOCK_SH | fcntl.LOCK_NB)


# --- Making one --------------------------------------------------------------------------------


def make_backup(target: Path) -> int:
    """Write a backup to a file that is not there yet; returns its size in bytes. A file of this name is whole.

    Raises BackupError, OSError.
    """
    if target.exists():
        raise BackupError(f"{target} is there already. Name another file.")
    part = target.with_name(f".{target.name}.part")
    try:
        with (
            _lock(fcntl.LOCK_EX),
            _work_folder() as work,
            os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file,
        ):
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                _write(_Archive(tar), work)
            file.flush()
            os.fsync(file.fileno())
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


@contextmanager
def _work_folder() -> Iterator[Path]:
    """On the disk of the data, so that live sounds can get second names there. A killed backup left its folder."""
    folder = Path(settings.DATA_DIR) / "backing-up"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Archive:
    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._files: dict[str, tuple[int, str]] = {}

    def add(self, name: str, path: Path) -> None:
        """The file as far as it reaches now: it may grow. Raises FileNotFoundError."""
        with path.open("rb") as file:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = os.fstat(file.fileno()).st_size, int(path.stat().st_mtime), 0o600
            digested = _Digested(file)
            self._tar.addfile(entry, digested)
        self._files[name] = entry.size, digested.sha256.hexdigest()

    def finish(self, **about: Any) -> None:
        content = json.dumps({"format": FORMAT, **about, "files": self._files}).encode()
        entry = tarfile.TarInfo(MANIFEST)
        entry.size, entry.mode = len(content), 0o600
        self._tar.addfile(entry, BytesIO(content))


class _Digested:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self.sha256.update(block)
        return block


def _write(archive: _Archive, work: Path) -> None:
    _keep_live_sound(work / "live")
    copy = work / DATABASES[connection.vendor]
    names, migrations = _copy_database(copy)
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
    """A second name for the sound of each session that goes on: when it ends, the first one goes."""
    folder.mkdir(exist_ok=True)
    for path in Path(settings.LIVE_ROOT).glob("*.*"):
        if path.suffix in (".wav", ".acks"):
            with suppress(FileNotFoundError, FileExistsError):
                (folder / path.name).hardlink_to(path)


def _copy_database(copy: Path) -> tuple[list[str], list[str]]:
    """The database as it is at one moment; the storage names in its rows, and its migrations."""
    named = "SELECT original FROM recordings_recording UNION SELECT playable FROM recordings_recording"
    applied = "SELECT app || '.' || name FROM django_migrations ORDER BY id"
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        with closing(sqlite3.connect(copy)) as target:
            connection.connection.backup(target)
            names = [row[0] for row in target.execute(named) if row[0]]  # '' is no copy for browsers
            return names, [row[0] for row in target.execute(applied)]
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute("SELECT pg_export_snapshot()")
        snapshot = cursor.fetchone()[0]
        _postgres("pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={copy}")
        cursor.execute(named)
        names = [row[0] for row in cursor.fetchall() if row[0]]
        cursor.execute(applied)
        migrations = [row[0] for row in cursor.fetchall()]
        cursor.execute("COMMIT")
    return names, migrations


def _postgres(program: str, *arguments: str) -> None:
    """Raises BackupError with the program's own words."""
    try:
        subprocess.run(  # noqa: S603
            [program, *arguments],
            env=os.environ | _libpq_variables(connection.get_connection_params()),
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise BackupError(f"{program} is not installed: it comes with PostgreSQL's client programs.") from None
    except subprocess.CalledProcessError as error:
        raise BackupError(f"{program}: {error.stderr.strip()}") from None


def _libpq_variables(where: dict[str, Any]) -> dict[str, str]:
    """PGHOST, PGPASSWORD, PGSSLMODE and so on: the programs then connect to where, and as safely as, Django does."""
    from psycopg.pq import Conninfo  # noqa: PLC0415 the driver is loaded only where it is used

    options = [(option.keyword.decode(), option.envvar) for option in Conninfo.get_defaults()]
    return {variable.decode(): str(where[key]) for key, variable in options if variable and where.get(key)}


# --- The way back ------------------------------------------------------------------------------


def restore_backup(source: Path) -> Path | None:
    """Put everything in place of what is there. What was there is kept: the folder with it, if there was something.

    No server may run. A restore that is killed is done again from the beginning. Raises BackupError, OSError.
    """
    data_dir = Path(settings.DATA_DIR)
    fresh = data_dir / "unpacking"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(mode=0o700)
        _judge(_unpack(source, fresh), fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    connection.close()
    cut_off = (data_dir / UNFINISHED).exists()
    shutil.rmtree(data_dir / UNFINISHED, ignore_errors=True)
    fresh = fresh.rename(data_dir / UNFINISHED)
    if connection.vendor == "postgresql":
        try:
            _replace_tables(fresh)
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


def _replace_tables(fresh: Path) -> None:
    """All in one transaction: where it raises BackupError, nothing was changed.

    Tables that the dump does not have go as well: a newer version made them, and could not make them again.
    """
    script = fresh / "restore.sql"
    options = ("--clean", "--if-exists", "--no-owner", "--no-privileges")
    ours = tuple(f"{label}_" for label in ("django", *apps.app_configs))
    with connection.cursor() as cursor:
        tables = [table for table in connection.introspection.table_names(cursor) if table.startswith(ours)]
    drop = f"DROP TABLE {', '.join(map(connection.ops.quote_name, tables))}" if tables else "SELECT 1"
    psql = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1")
    _postgres("pg_restore", *options, f"--file={script}", str(fresh / DATABASES["postgresql"]))
    _postgres("psql", *psql, f"--command={drop}", f"--file={script}")
    script.unlink()


def _places() -> list[tuple[Path, str]]:
    """What a restore replaces, and how it is called where it is kept."""
    folders = (settings.MEDIA_ROOT, settings.LIVE_ROOT, settings.FILE_UPLOAD_TEMP_DIR)
    kept = [(Path(place), name) for place, name in zip(folders, FOLDERS, strict=True)]
    if connection.vendor == "sqlite":
        database = str(settings.DATABASES["default"]["NAME"])
        kept += [(Path(f"{database}{end}"), f"{DATABASES['sqlite']}{end}") for end in ("", "-wal", "-shm")]
    return kept


def _unpack(source: Path, into: Path) -> dict[str, Any]:
    """The files of a backup, each proved by its digest; returns its manifest."""
    found: dict[str, list[int | str]] = {}
    manifest: dict[str, Any] | None = None
    try:
        with tarfile.open(source, mode="r:") as tar:
            for entry in tar:
                file = tar.extractfile(entry) if entry.isreg() else None
                if file is None or not _is_ours(entry.name):
                    raise BackupError(f"{source} is not a backup of this product: {entry.name!r} is in it.")
                if entry.name == MANIFEST:
                    manifest = json.load(file)
                    continue
                (into / entry.name).parent.mkdir(parents=True, exist_ok=True)
                digested = _Digested(file)
                with (into / entry.name).open("wb") as target:
                    shutil.copyfileobj(digested, target, BLOCK)
                found[entry.name] = [entry.size, digested.sha256.hexdigest()]
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise BackupError(f"{source} is damaged or not a backup: {error}.") from None
    if manifest is None:
        raise BackupError(f"{source} is cut off: its end is missing.")
    if manifest.get("format") != FORMAT:
        raise BackupError(f"{source} was made by a newer version. Install that version, then restore.")
    if manifest["files"] != found:
        wrong = next(name for name in {**manifest["files"], **found} if manifest["files"].get(name) != found.get(name))
        raise BackupError(f"{source} is damaged: {wrong} in it is not what was saved.")
    return manifest


def _is_ours(name: str) -> bool:
    parts = PurePosixPath(name).parts
    inside = len(parts) > 1 and parts[0] in FOLDERS and ".." not in parts
    return inside or name in (MANIFEST, *DATABASES.values())


def _judge(manifest: dict[str, Any], folder: Path) -> None:
    """Raises BackupError where this product cannot run on what was unpacked."""
    if manifest["engine"] != connection.vendor:
        raise BackupError(f"The backup is of {manifest['engine']}, and DATABASE_URL names {connection.vendor}.")
    if newer := unknown_migrations(manifest["migrations"]):
        raise BackupError(f"The backup was made by a newer version ({newer[0]}). Install that version, then restore.")
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(folder / DATABASES["sqlite"])) as copy:
            if (said := copy.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
                raise BackupError(f"The database in the backup is damaged: {said}.")


# --- What the database is like -----------------------------------------------------------------


def unknown_migrations(applied: list[str]) -> list[str]:
    """Those of our applications that this version of the code does not have: a newer one made them."""
    loader = MigrationLoader(None)
    known = {f"{app}.{name}" for app, name in loader.disk_migrations}
    return [name for name in applied if name not in known and name.partition(".")[0] in loader.migrated_apps]


def require_usable_database() -> None:
    """Raises BackupError where the database is of a newer version, damaged, or half-way restored."""
    if (Path(settings.DATA_DIR) / UNFINISHED).exists():
        raise BackupError("A restore was cut off. Run manage.py restore with the same file again.")
    try:
        with connection.cursor() as cursor:
            if "django_migrations" not in connection.introspection.table_names(cursor):
                return  # a new one
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = [f"{app}.{name}" for app, name in cursor.fetchall()]
    except DatabaseError as error:
        raise BackupError(f"The database cannot be used ({error}). Is it damaged? See docs/operations.md.") from None
    if newer := unknown_migrations(applied):
        raise BackupError(f"The database was made by a newer version ({newer[0]}). Install that version again.")
