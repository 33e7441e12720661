"""The database as a whole: copied at one moment, replaced, and judged before it is used."""

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

DATABASES = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}  # the name of a copy in a backup, by engine
RESTORING = "restoring"  # a folder in DATA_DIR for as long as a restore goes on


class BackupError(Exception):
    """What is wrong with a backup or a database, as a sentence for a person."""


def copy_database(copy: Path) -> tuple[list[str], list[str]]:
    """Copy the database as it is at one moment. Returns the storage names in its rows, and its migrations."""
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


def replace_tables(copy: Path) -> None:
    """Replace all tables of a PostgreSQL database by those of a copy.

    All in one transaction: where it raises BackupError, nothing was changed. Tables that the dump does not have go as
    well: a newer version made them, and could not make them again.
    """
    script = copy.with_name("restore.sql")
    options = ("--clean", "--if-exists", "--no-owner", "--no-privileges")
    ours = tuple(f"{label}_" for label in ("django", *apps.app_configs))
    with connection.cursor() as cursor:
        tables = [table for table in connection.introspection.table_names(cursor) if table.startswith(ours)]
    drop = f"DROP TABLE {', '.join(map(connection.ops.quote_name, tables))}" if tables else "SELECT 1"
    psql = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1")
    _postgres("pg_restore", *options, f"--file={script}", str(copy))
    _postgres("psql", *psql, f"--command={drop}", f"--file={script}")
    script.unlink()


def _postgres(program: str, *arguments: str) -> None:
    """Run a client program of PostgreSQL. Raises BackupError with the program's own words."""
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
    """PGHOST, PGPASSWORD, PGSSLMODE and so on, so that the programs connect to the same place as Django, as safely."""
    from psycopg.pq import Conninfo  # noqa: PLC0415 the driver is loaded only where it is used

    options = [(option.keyword.decode(), option.envvar) for option in Conninfo.get_defaults()]
    return {variable.decode(): str(where[key]) for key, variable in options if variable and where.get(key)}


def require_fitting(manifest: dict[str, Any], folder: Path) -> None:
    """Raise BackupError where this product cannot run on the unpacked copy of the database."""
    if manifest["engine"] != connection.vendor:
        raise BackupError(f"The backup is of {manifest['engine']}, and DATABASE_URL names {connection.vendor}.")
    if newer := unknown_migrations(manifest["migrations"]):
        raise BackupError(f"The backup was made by a newer version ({newer[0]}). Install that version, then restore.")
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(folder / DATABASES["sqlite"])) as copy:
            if (said := copy.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
                raise BackupError(f"The database in the backup is damaged: {said}.")


def unknown_migrations(applied: list[str]) -> list[str]:
    """The migrations of our applications that this version of the code does not have: a newer version applied them."""
    loader = MigrationLoader(None)
    known = {f"{app}.{name}" for app, name in loader.disk_migrations}
    return [name for name in applied if name not in known and name.partition(".")[0] in loader.migrated_apps]


def require_usable_database() -> None:
    """Raise BackupError where the database is of a newer version, damaged, or half-way restored."""
    if (Path(settings.DATA_DIR) / RESTORING).exists():
        raise BackupError("A restore was cut off. Run manage.py restore with the same file again.")
    try:
        with connection.cursor() as cursor:
            if "django_migrations" not in connection.introspection.table_names(cursor):
                return  # a new one
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = [f"{app}.{name}" for app, name in cursor.fetchall()]
    except DatabaseError as error:
        raise BackupError(f"The database cannot be used ({error}). Is it damaged? See docs/how-to/backup.md.") from None
    if newer := unknown_migrations(applied):
        raise BackupError(f"The database was made by a newer version ({newer[0]}). Install that version again.")
