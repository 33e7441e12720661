"""The product as people run it: `manage.py serve` in its own process, asked over HTTP."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar

import httpx
from django.conf import settings

from tests.support.waiting import PATIENCE, wait_for

T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Product:
    """The product on a data directory. `with Product(folder) as product:` stops it at the end of the block.

    Keyword arguments become environment variables."""

    command: tuple[str, ...] = (sys.executable, "manage.py", "serve")

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.log = data_dir / "server.log"
        bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._tokens: dict[str, str] = {}
        self.environment = bare | {"DATA_DIR": str(data_dir), "PORT": str(self.port)} | environment

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start, and wait until it is ready."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if not any(self.data_dir.iterdir()):
            self._fill_folder()
        with self.log.open("a") as log:
            log.truncate(0)
            self.process = subprocess.Popen(
                self.command,
                cwd=settings.BASE_DIR,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_for(self._is_ready, "the start")

    def _fill_folder(self) -> None:
        folder, self._tokens["mei"] = _after_first_start()
        shutil.copytree(folder.name, self.data_dir, dirs_exist_ok=True)

    def _is_ready(self) -> bool:
        """The log of a service says `is ready`. It never holds the sign-in link."""
        assert self.process.poll() is None, self.log.read_text()
        return "is ready" in self.log.read_text()

    def link(self) -> str:
        """The sign-in link, from the file where scripts find it."""
        return (self.data_dir / "first-login-url").read_text().strip()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)

    def kill(self) -> None:
        """Kill the process with SIGKILL, as the kernel does when memory runs out."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def manage(self, *arguments: str) -> str:
        """Run `manage.py …`, and return its standard output."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=settings.BASE_DIR,
            env=self.environment,
            stdout=subprocess.PIPE,  # its errors go to the test's report
            text=True,
            check=True,
        ).stdout

    def client(self, user: str = "mei") -> httpx.Client:
        """An HTTP client with a token of this user's. The token is made once, since that takes a second or two."""
        if user not in self._tokens:
            self._tokens[user] = self.manage("create_token", user, "--create").strip()
        headers = {"Authorization": f"Bearer {self._tokens[user]}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE)


def started_before() -> Path:
    """A data directory with an empty library, to be copied."""
    return Path(_after_first_start()[0].name)


class NewProduct(Product):
    """A product whose data directory is empty at first, as on a new machine."""

    def _fill_folder(self) -> None:
        pass


@cache
def _after_first_start() -> tuple[TemporaryDirectory[str], str]:
    """A data directory with an empty library, and a token of mei's. Both are made once: they take seconds of CPU."""
    folder = TemporaryDirectory()
    product = NewProduct(Path(folder.name))
    product.manage("migrate", "--verbosity=0")
    return folder, product.manage("create_token", "mei", "--create").strip()


def upload(api: httpx.Client, path: Path, **fields: str) -> dict[str, Any]:
    """Upload the file, and return the recording as the API describes it."""
    with path.open("rb") as file:
        response = api.post("/api/recordings", files={"file": (path.name, file)}, data=fields)
    assert response.status_code == 201, response.text
    return dict(response.json())


def transcribed(api: httpx.Client, pk: int, seconds: float = PATIENCE) -> dict[str, Any]:
    """Wait until the transcription is finished, and return the recording as the API describes it."""

    def look() -> dict[str, Any] | None:
        recording = dict(api.get(f"/api/recordings/{pk}").json())
        return recording if recording["status"] in ("done", "failed", "canceled") else None

    return wait_for(look, f"recording {pk} finished", seconds=seconds, every=0.25)


def query(folder: Path, sql: str, *parameters: object) -> list[Any]:
    """The rows of a query to the product's SQLite database in this data directory."""
    with closing(sqlite3.connect(folder / "stile.sqlite3", timeout=PATIENCE)) as database:
        return database.execute(sql, parameters).fetchall()
