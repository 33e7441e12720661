"""A backup made while people work is whole and can be restored. A damaged one is refused and changes nothing."""

import fcntl
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import threading
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from django.conf import LazySettings, settings
from django.db import connection

from recordings.backups import BackupError, database, make_backup, restore_backup
from recordings.models import LooseFile, Recording
from recordings.storage.files import backup_lock, discard_put_off
from tests.support.jobs import speech_with_pauses
from tests.support.postgres import postgres
from tests.support.product import NewProduct, Product, transcribed, upload
from tests.support.site import Site
from tests.support.speech import librivox
from tests.support.waiting import wait_for
from tests.support.whisper_stub import WhisperStub

BACKUPS = 10
TUS = {"Tus-Resumable": "1.0.0"}


def whole(path: Path, folder: Path) -> list[tuple[int, str]]:
    """The recordings (id, digest) of a backup. Asserts that its database is sound and every row has its file."""
    with tarfile.open(path) as tar:
        names = {name for name in tar.getnames() if name.startswith("media/")}
        database = tar.extractfile("database.sqlite3")
        assert database
        (folder / "copy.sqlite3").write_bytes(database.read())
        with closing(sqlite3.connect(folder / "copy.sqlite3")) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert copy.execute("PRAGMA foreign_key_check").fetchall() == []
            rows = copy.execute("SELECT id, original, sha256, playable FROM recordings_recording").fetchall()
        for _, original, digest, playable in rows:
            file = tar.extractfile(f"media/{original}")
            assert file
            assert hashlib.sha256(file.read()).hexdigest() == digest
            assert not playable or f"media/{playable}" in names
        assert len(names) == len(rows) + sum(bool(row[3]) for row in rows)
    return [(pk, digest) for pk, _, digest, _ in rows]


def storm(product: Product, stop: threading.Event, made: list[int]) -> None:
    """Upload, rename and delete recordings without a pause, until `stop`. `made`: the ids of those that are left."""
    clip = librivox()[0].path
    with product.client() as api:
        while not stop.is_set():
            pk = upload(api, clip, title="Storm")["id"]
            made.append(pk)
            api.patch(f"/api/recordings/{pk}", json={"title": f"Storm {pk}"}).raise_for_status()
            if len(made) > 6:
                api.delete(f"/api/recordings/{made.pop(0)}").raise_for_status()


def back_up(product: Product, files: list[Path]) -> None:
    """Make the backups one after the other, in one process."""
    script = "from django.core.management import call_command\nfor file in {}:\n call_command('backup', file)"
    product.manage("shell", "-v0", "-c", script.format([str(file) for file in files]))


def restore(product: Product, file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "restore", str(file)]
    return subprocess.run(command, cwd=settings.BASE_DIR, env=product.environment, capture_output=True, text=True)


def test_each_of_ten_backups_made_in_a_storm_is_whole_and_restores(tmp_path: Path) -> None:
    kept = tmp_path / "kept.wav"
    kept.write_bytes(speech_with_pauses())
    stop, made = threading.Event(), list[int]()
    with WhisperStub() as stub:
        with Product(tmp_path / "data", ASR_API_URL=stub.url) as product, product.client() as api:
            done = transcribed(api, upload(api, kept, title="Kept")["id"])
            begun = api.post("/api/uploads", headers=TUS | {"Upload-Length": "9"}).headers["Location"]
            piece = TUS | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
            api.patch(begun, content=b"half", headers=piece).raise_for_status()
            people = [threading.Thread(target=storm, args=(product, stop, made)) for _ in range(2)]
            for person in people:
                person.start()
            files = [tmp_path / f"{number}.tar" for number in range(BACKUPS)]
            back_up(product, files)
            stop.set()
            for person in people:
                person.join()
            assert restore(product, files[-1]).stderr.startswith("CommandError: Stop the server first")
            held = [whole(file, tmp_path) for file in files]
            assert all((done["id"], hashlib.sha256(kept.read_bytes()).hexdigest()) in rows for rows in held)
            assert len({tuple(rows) for rows in held}) > 1  # the storm went on meanwhile
            assert all(path.stat().st_mode & 0o077 == 0 for path in files)

            def left_behind() -> set[str]:
                stored = {path.name for path in (product.data_dir / "media/originals").iterdir()}
                with closing(sqlite3.connect(product.data_dir / "stile.sqlite3")) as database:
                    rows = database.execute("SELECT original FROM recordings_recording").fetchall()
                return stored - {Path(row[0]).name for row in rows}

            wait_for(lambda: not left_behind(), "the removal of what was deleted during backups")
            assert not (product.data_dir / "backing-up").exists()
            token = product._tokens["mei"]

        other = NewProduct(tmp_path / "other", ASR_API_URL=stub.url)
        other._tokens["mei"] = token  # the database knows its digest
        for file in (files[0], files[-1]):
            other.manage("restore", str(file))
        assert len(list(other.data_dir.glob("before-restore-*/database.sqlite3"))) == 1
        with other, other.client() as api:
            assert {item["id"] for item in api.get("/api/recordings?limit=100").json()["items"]} == {
                pk for pk, _ in held[-1]
            }
            assert api.get(f"/api/recordings/{done['id']}").json()["text"] == done["text"]
            for pk, digest in held[-1]:
                sound = api.get(f"/api/recordings/{pk}/audio?original=true").content
                assert hashlib.sha256(sound).hexdigest() == digest
            assert api.head(begun, headers=TUS).headers["Upload-Offset"] == "4"


# --- PostgreSQL --------------------------------------------------------------------------------


def restored(url: str, data_dir: Path) -> dict[int, str]:
    """The recordings of a database, id to digest. Asserts that every row has its file and every file its row."""
    with psycopg.connect(url) as database:
        rows = database.execute("SELECT id, original, sha256, playable FROM recordings_recording").fetchall()
        assert database.execute("SELECT count(*) FROM recordings_segment").fetchone() != (0,)
    files = {str(path.relative_to(data_dir / "media")) for path in (data_dir / "media").rglob("*.*")}
    assert files == {name for _, original, _, playable in rows for name in (original, playable) if name}
    for _, original, digest, _ in rows:
        assert hashlib.sha256((data_dir / "media" / original).read_bytes()).hexdigest() == digest
    return {pk: digest for pk, _, digest, _ in rows}


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as database:
        database.execute(statement.encode())


def test_backups_of_postgresql_made_in_a_storm_are_whole_and_restore_into_an_empty_database(tmp_path: Path) -> None:
    kept = tmp_path / "kept.wav"
    kept.write_bytes(speech_with_pauses())
    files = [tmp_path / f"{number}.tar" for number in range(3)]
    stop, made = threading.Event(), list[int]()
    with postgres() as server, WhisperStub() as stub:
        busy, url = server.create("busy"), server.create("idle")
        product = NewProduct(tmp_path / "data", ASR_API_URL=stub.url, DATABASE_URL=busy)
        product.data_dir.mkdir()
        with product, product.client() as api:
            done = transcribed(api, upload(api, kept, title="Kept")["id"])
            execute(busy, "CREATE ROLE reader; GRANT SELECT ON recordings_recording TO reader")
            person = threading.Thread(target=storm, args=(product, stop, made))
            person.start()
            wait_for(lambda: made, "the storm")
            back_up(product, files[:2])
            seen = made[-1]
            wait_for(lambda: made[-1] > seen, "more of the storm")
            back_up(product, files[2:])
            stop.set()
            person.join()

        execute(busy, "DROP OWNED BY reader; DROP ROLE reader")  # another database server does not have this role
        other = NewProduct(tmp_path / "other", ASR_API_URL=stub.url, DATABASE_URL=url)
        other._tokens["mei"] = product._tokens["mei"]  # the database knows its digest
        other.data_dir.mkdir()
        held = []
        for file in (files[0], files[-1]):
            assert "Everything of the backup is in place" in (ran := restore(other, file)).stdout, ran.stderr
            held.append(restored(url, other.data_dir))
            # A table of a newer version refers to a table that the next restore replaces.
            execute(url, "CREATE TABLE recordings_later (id int REFERENCES recordings_recording)")
        assert held[0] != held[1]
        assert all(rows[done["id"]] == hashlib.sha256(kept.read_bytes()).hexdigest() for rows in held)

        execute(url, "CREATE VIEW mine AS SELECT id FROM recordings_recording")
        mark = other.data_dir / "restoring"
        for cut_off in (True, False):
            if cut_off:
                mark.mkdir()
            refused = restore(other, files[0])
            assert "CommandError: psql: " in refused.stderr
            assert "view mine depends on table recordings_recording" in refused.stderr
            assert mark.exists() is cut_off
            shutil.rmtree(mark, ignore_errors=True)
        assert restored(url, other.data_dir) == held[1]
        with other, other.client() as api:
            assert {item["id"] for item in api.get("/api/recordings?limit=100").json()["items"]} == held[1].keys()
            assert api.get(f"/api/recordings/{done['id']}").json()["text"] == done["text"]
            assert upload(api, kept)["id"] > max(held[1])  # new ids follow those that were restored


@pytest.mark.parametrize(
    ("where", "variables"),
    [
        ({"dbname": "stile"}, {"PGDATABASE": "stile"}),
        ({"host": "db", "port": 5433, "user": "me"}, {"PGHOST": "db", "PGPORT": "5433", "PGUSER": "me"}),
        ({"password": "secret", "user": ""}, {"PGPASSWORD": "secret"}),
        ({"sslmode": "verify-full", "sslrootcert": "/ca"}, {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/ca"}),
        ({"service": "stile", "passfile": "/pass"}, {"PGSERVICE": "stile", "PGPASSFILE": "/pass"}),
        ({"dbname": "stile", "context": object(), "prepare_threshold": 5}, {"PGDATABASE": "stile"}),
    ],
)
def test_the_programs_of_postgresql_connect_as_django_does(where: dict[str, Any], variables: dict[str, str]) -> None:
    assert database._libpq_variables(where) == variables


# --- A database that cannot be used ------------------------------------------------------------


def serve(product: Product) -> str:
    """Run `serve`, which has to fail, and return what it says."""
    command = [sys.executable, "manage.py", "serve"]
    done = subprocess.run(command, cwd=settings.BASE_DIR, env=product.environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_damaged_database_is_seen_and_a_newer_or_half_restored_one_is_refused(tmp_path: Path) -> None:
    with WhisperStub() as stub:
        product = Product(tmp_path / "data", ASR_API_URL=stub.url)
        file = product.data_dir / "stile.sqlite3"
        with product:
            ready = httpx.get(f"{product.url}/readyz").json()["parts"]["database"]
            assert ready["ok"]
        with closing(sqlite3.connect(file)) as database, database:
            database.execute(
                "INSERT INTO django_migrations (app, name, applied) VALUES ('recordings', '9999_later', '2030-01-01')"
            )
        assert "made by a newer version (recordings.9999_later)" in serve(product)
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("DELETE FROM django_migrations WHERE name = '9999_later'")
        (product.data_dir / "restoring").mkdir()
        assert "A restore was cut off" in serve(product)
        (product.data_dir / "restoring").rmdir()
        with product:
            with closing(sqlite3.connect(file)) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            damage(file)

            def seen() -> bool:
                answer = httpx.get(f"{product.url}/readyz")
                return answer.status_code == 503 and not answer.json()["parts"]["database"]["ok"]

            wait_for(seen, "the damage", every=0.2)
        assert "The database cannot be used" in serve(product)


def damage(file: Path) -> None:
    """Overwrite all pages of the database but the first, which holds the size of a page."""
    with file.open("r+b") as pages:
        pages.seek(4096)
        pages.write(b"\xa5" * (file.stat().st_size - 4096))


# --- Files that are no backups -----------------------------------------------------------------


@pytest.fixture
def backup(site: Site, settings: LazySettings) -> Path:
    """A backup of one recording, made in this process."""
    settings.DATA_DIR, settings.LIVE_ROOT = site.folder, site.folder / "live"
    clip = librivox()[0].path
    with clip.open("rb") as file:
        assert site.program().post("/api/recordings", files={"file": file}).status_code == 201
    path = site.folder / "backup.tar"
    make_backup(path)
    return path


def rewritten(path: Path, change: Any) -> None:
    """Rewrite the tar: `change(name, content)` is the new content of a member, or None to leave it out."""
    with tarfile.open(path) as tar:
        members = [(entry.name, tar.extractfile(entry).read()) for entry in tar]  # type: ignore[union-attr]
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            if (content := change(name, content)) is not None:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, BytesIO(content))


def manifest(**changes: Any) -> Any:
    def change(name: str, content: bytes) -> bytes:
        return json.dumps(json.loads(content) | changes).encode() if name == "manifest.json" else content

    return change


def other_sound(name: str, content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1]) if name.startswith("media/") else content


def no_sound(name: str, content: bytes) -> bytes | None:
    return None if name.startswith("media/") else content


CHANGES = {
    "a file that is not the one saved": (other_sound, "is damaged: media/originals/"),
    "a file that is missing": (no_sound, "is damaged: media/originals/"),
    "no manifest": (lambda name, content: None if name == "manifest.json" else content, "cut off"),
    "a newer format": (manifest(format=2), "a newer version"),
    "a newer schema": (manifest(migrations=["recordings.9999_later"]), "a newer version (recordings.9999_later)"),
    "another database": (manifest(engine="postgresql"), "DATABASE_URL names sqlite"),
}


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_what_is_no_whole_backup_is_refused_and_replaces_nothing(site: Site, backup: Path, what: str) -> None:
    change, words = CHANGES[what]
    rewritten(backup, change)
    refused(site, backup, words)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is damaged or not a backup"), (b"no tar" * 1000, "is damaged or not a backup")],
)
def test_what_is_no_tar_is_refused(site: Site, backup: Path, content: bytes, words: str) -> None:
    backup.write_bytes(content)
    refused(site, backup, words)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1])
def test_a_backup_that_is_cut_off_anywhere_is_refused(site: Site, backup: Path, share: float) -> None:
    content = backup.read_bytes()
    end = content.rindex(b"}")  # of the manifest; behind it are only zeros
    backup.write_bytes(content[: int(end * share)])
    refused(site, backup, "")


@pytest.mark.parametrize("name", ["../evil", "media/../../evil", "/etc/evil", "secret-key", "media"])
def test_a_name_that_leads_elsewhere_is_refused(site: Site, backup: Path, name: str) -> None:
    with tarfile.open(backup, "a") as tar:
        tar.addfile(tarfile.TarInfo(name))
    refused(site, backup, "is not a backup of this product")


def refused(site: Site, backup: Path, words: str) -> None:
    before = site.files()
    with pytest.raises(BackupError) as error:
        restore_backup(backup)
    assert words in str(error.value)
    assert site.files() == before


def test_a_backup_overwrites_no_file_and_a_failed_one_leaves_nothing(site: Site, backup: Path) -> None:
    with pytest.raises(BackupError, match="is there already"):
        make_backup(backup)
    (site.folder / "media" / str(Recording.objects.get().original)).unlink()
    with pytest.raises(BackupError, match="has lost the file"):
        make_backup(site.folder / "second.tar")
    assert [name for name in site.files() if "second" in name or "backing-up" in name] == []


def test_what_is_deleted_while_a_backup_is_made_stays_until_it_is_done(site: Site, backup: Path) -> None:
    made = Recording.objects.get()
    file = site.folder / "media" / str(made.original)
    with backup_lock(fcntl.LOCK_EX):
        assert site.program().delete(f"/api/recordings/{made.pk}").status_code == 204
        assert file.exists()
        discard_put_off()
        assert file.exists()
    discard_put_off()
    assert not file.exists()
    assert not LooseFile.objects.exists()
    assert connection.vendor == "sqlite"


def test_a_backup_has_the_sound_of_a_live_session(site: Site, backup: Path) -> None:
    (site.folder / "live").mkdir()
    for name in ("abc.wav", "abc.acks", "abc.given"):
        (site.folder / "live" / name).write_text(name)
    make_backup(site.folder / "second.tar")
    with tarfile.open(site.folder / "second.tar") as tar:
        assert {name for name in tar.getnames() if name.startswith("live/")} == {"live/abc.wav", "live/abc.acks"}
