"""A PostgreSQL server for the tests, on a free port of this machine."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.support.product import free_port
from tests.support.waiting import PATIENCE, wait_for

# Debian keeps the server's programs out of the path, by version; elsewhere they are in it.
PROGRAMS = os.pathsep.join([*map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"))), os.environ["PATH"]])
FAST = ["-c", "fsync=off", "-c", "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1"]


class Postgres:
    """A running server. Its database `postgres` belongs to the user `stile`, who has no password."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        # PostgreSQL refuses to run as root.
        self._user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
        self._run("initdb", "--no-sync", "--auth=trust", "--username=stile", "--encoding=UTF8", "--locale=C")
        self.start()

    @property
    def url(self) -> str:
        """The value for DATABASE_URL."""
        return f"postgres://stile@127.0.0.1:{self.port}/postgres"

    def create(self, name: str) -> str:
        """Create a database, and return the value for DATABASE_URL."""
        self.execute(f"CREATE DATABASE {name}")
        return f"postgres://stile@127.0.0.1:{self.port}/{name}"

    @property
    def parameters(self) -> dict[str, Any]:
        """Arguments for `psycopg.connect`."""
        return {"host": "127.0.0.1", "port": self.port, "user": "stile", "dbname": "postgres"}

    def _program(self, name: str) -> str:
        found = shutil.which(name, path=PROGRAMS)
        assert found, f"The tests need PostgreSQL's {name}: see tests/system.sh."
        return found

    def _run(self, name: str, *arguments: str) -> None:
        command = [self._program(name), "--pgdata", str(self._folder), *arguments]
        subprocess.run(command, cwd=self._folder, stdout=subprocess.DEVNULL, check=True, **self._user)  # type: ignore[call-overload]

    def start(self) -> None:
        command = [self._program("postgres"), "-D", str(self._folder), "-p", str(self.port), *FAST]
        with (self._folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log, **self._user)  # type: ignore[call-overload]
        wait_for(self._answers, "PostgreSQL")

    def _answers(self) -> bool:
        try:
            psycopg.connect(**self.parameters).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)  # a fast shutdown, which ends all sessions
        self.process.wait(PATIENCE)

    def execute(self, statement: str) -> None:
        with psycopg.connect(**self.parameters, autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's own folders are closed to its user
    try:
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        server = Postgres(folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
