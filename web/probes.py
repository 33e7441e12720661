"""Probes of the parts that every process needs: database, storage of files, channel layer. Each raises where its part
cannot do its work.
"""

import os
import secrets
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from channels.layers import get_channel_layer
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection


class Soundness:
    """Check of SQLite's file for damage. It reads the whole file, about a second for 500 MB, so it runs in a thread for
    at most one hundredth (1/SHARE) of the time, and a probe waits QUICK seconds for it at most.
    """

    SHARE = 100
    QUICK = 0.5  # seconds

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="soundness")
        self._looking: Future[str] | None = None
        self._next = 0.0
        self._said = "ok"

    def require(self) -> None:
        """Raise DatabaseError where the last check found damage. Starts a check when one is due."""
        if self._looking is None and time.monotonic() >= self._next:
            self._looking = self._thread.submit(self._look)
        if self._looking:
            with suppress(TimeoutError):
                self._said, self._looking = self._looking.result(self.QUICK), None
        if self._said != "ok":
            raise DatabaseError(self._said)

    def _look(self) -> str:
        began = time.monotonic()
        try:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA quick_check(1)")
                return str(cursor.fetchone()[0])
        except DatabaseError as error:
            return "ok" if "locked" in str(error) else str(error)
        finally:
            connection.close()
            now = time.monotonic()
            self._next = now + (now - began) * self.SHARE


soundness = Soundness()


def database() -> None:
    """Read from a table, and check the file of an SQLite database for damage."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM django_migrations")
        if connection.vendor == "sqlite":
            soundness.require()
    finally:
        connection.close()


def storage() -> None:
    """Save a small file, read it and delete it. Each process has one name for it, so that killed ones leave few."""
    content = secrets.token_bytes(16)
    name = default_storage.save(f"readyz-{socket.gethostname()}-{os.getpid()}", ContentFile(content))
    try:
        with default_storage.open(name) as file:
            if file.read() != content:
                raise OSError("The storage gave back other bytes than it was given.")
    finally:
        default_storage.delete(name)


async def channel_layer() -> None:
    """Send a message to a new channel and receive it."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "readyz"})
    await layer.receive(channel)
