"""All files of the product are private to its user, from the first on, also where an older version left them open."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.utils.module_loading import import_string

from tests.support.jobs import speech_with_pauses
from tests.support.product import NewProduct, upload
from tests.support.whisper_stub import WhisperStub
from web.private import keep_to_oneself, make_private


@pytest.fixture(autouse=True)
def _careless() -> Iterator[None]:
    """Set the usual umask of shells, with which everybody may read new files."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_files(folder: Path) -> list[str]:
    paths = [path for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
    return [f"{path} {stat.filemode(path.stat().st_mode)}" for path in paths if path.stat().st_mode & 0o077]


def opened(folder: Path) -> None:
    """Let everybody read the folder, as an older version left it."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def manage(*arguments: str, data_dir: Path, **environment: str) -> str:
    bare = {"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir), "ASR_API_URL": "http://127.0.0.1:9/v1"}
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env=bare | environment,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_all_that_is_written_is_private_from_the_first_and_an_open_installation_is_mended(tmp_path: Path) -> None:
    data = tmp_path / "new/data"  # the parent is made as well
    sound = tmp_path / "five.wav"
    sound.write_bytes(speech_with_pauses())
    with WhisperStub() as stub:
        product = NewProduct(data, ASR_API_URL=stub.url)
        for start in ("the first", "after an open one"):
            with product:
                with product.client() as api:
                    upload(api, sound)
                    began = api.post("/api/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "10"})
                    assert began.status_code == 201
                (data / "server.log").chmod(0o600)  # a file of the test
                assert open_files(data) == [], start
                written = {path.relative_to(data).parts[0] for path in data.rglob("*") if path.is_file()}
                assert {"stile.sqlite3", "stile.sqlite3-wal", "secret-key", "media", "incoming"} <= written
            opened(data)
    assert f"rights to {data}" in manage("check", data_dir=data)


def test_a_bare_asgi_server_writes_as_privately(tmp_path: Path) -> None:
    data = tmp_path / "data"
    manage("migrate", "-v0", data_dir=data)
    opened(data)
    script = "import asrsite.asgi"
    environment = {"DATA_DIR": str(data), "ASR_API_URL": "http://127.0.0.1:9/v1", "PATH": ""}
    subprocess.run([sys.executable, "-c", script], cwd=settings.BASE_DIR, env=environment, check=True)
    assert open_files(data) == []


def test_what_is_installed_stays_readable_by_everyone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the image root runs `make install`, and another user runs `serve`."""
    for command, rights in (("collectstatic", 0o004), ("fetch_weights", 0o004), ("serve", 0)):
        os.umask(0o022)
        monkeypatch.setattr(sys, "argv", ["manage.py", command])
        keep_to_oneself()
        written = tmp_path / command
        written.touch()
        assert written.stat().st_mode & 0o077 == rights * 9, command  # rights of the group and of others
    kind: Any = settings.STORAGES["staticfiles"]
    storage = import_string(kind["BACKEND"])(location=tmp_path / "static", base_url="/static/", **kind["OPTIONS"])
    storage.save("css/a.css", ContentFile(b"body { color: red }"))
    for path in (tmp_path / "static").rglob("*"):
        assert path.stat().st_mode & 0o005 == (0o005 if path.is_dir() else 0o004), path


def test_what_cannot_be_made_private_is_told(tmp_path: Path) -> None:
    """Nobody can change the rights of the file `fixed`, root included: it is immutable, or mounted to be read only."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    for name in ("own", "fixed"):
        (folder / name).touch(mode=0o644)
    (folder / "link").symlink_to("/etc/passwd")
    if subprocess.run(["chattr", "+i", folder / "fixed"], capture_output=True).returncode:
        subprocess.run(["mount", "--bind", "-o", "ro", folder / "fixed", folder / "fixed"], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder / "fixed"], check=True)
    try:
        assert make_private(folder) == [str(folder / "fixed")]
        assert open_files(folder) == [f"{folder / 'fixed'} -rw-r--r--"]
    finally:
        subprocess.run(["chattr", "-i", folder / "fixed"], capture_output=True)
        subprocess.run(["umount", folder / "fixed"], capture_output=True)
