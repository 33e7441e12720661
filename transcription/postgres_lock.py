"""A lock in a PostgreSQL database. It has a connection of its own, which a thread watches."""

import logging
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg

log = logging.getLogger(__name__)

KEY = int.from_bytes(b"stile")  # of the advisory lock; advisory locks are separate for each database
LOOK_EVERY = 1.0  # seconds between two queries
LEASE = 5.0  # seconds for which an answer of the database proves that the lock is held
# With these the server releases the lock of a connection that was cut after 10 + 3 × 5 s, well after the lease is over.
# Its default is two hours.
KEEPALIVES = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
CONNECT_TIMEOUT = 5  # seconds
TAKEN = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database \
WHERE datname = current_database() AND locktype = 'advisory' AND granted AND pid <> pg_backend_pid() \
AND (classid::bigint << 32 | objid::bigint) = %s AND objsubid = 1"

Connection = psycopg.Connection[Any]


class PostgresLock:
    """An advisory lock of a database session.

    parameters: connection parameters for psycopg. The connection must not go through a pooler that changes it between
        transactions, since the lock belongs to one connection.

    From `take()` to `release()` a thread watches the connection. If that is lost, the lock is not `held` until the
    thread has taken it on a new connection.
    """

    def __init__(
        self, parameters: Callable[[], dict[str, Any]], subject: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.subject = subject
        self._parameters = parameters
        self._clock = clock
        self._connection: Connection | None = None
        self._held_until = 0.0
        self._stop = threading.Event()
        self._watch: threading.Thread | None = None
        self._said = ""

    @property
    def held(self) -> bool:
        return self._clock() < self._held_until

    def take(self) -> bool:
        """Take the lock. Returns False if another process has it.

        If the database cannot be reached, the thread goes on trying, and the lock is not `held` until then.
        """
        if self._watch:
            return True
        try:
            free = self._look()
        except psycopg.Error as error:
            self._lost(error)
            free = True
        if free:
            self._stop.clear()
            self._watch = threading.Thread(target=self._keep, name="postgres lock", daemon=True)
            self._watch.start()
        return free

    def taken(self) -> bool:
        try:
            with self._open() as connection:
                count: int = connection.execute(TAKEN, [KEY]).fetchone()[0]  # type: ignore[index] # one row
        except psycopg.Error:
            return False
        return count > self.held

    def release(self) -> None:
        """Stop watching, and give the lock back. Another process may take it as soon as this returns."""
        self._stop.set()
        if self._watch:
            self._watch.join()
            self._watch = None
        if self._connection:
            with suppress(psycopg.Error):  # a connection that is closed holds the lock until its server process ends
                self._connection.execute("SELECT pg_advisory_unlock(%s)", [KEY])
        self._close()

    def _keep(self) -> None:
        while not self._stop.is_set():
            if self._connection:
                select.select([self._connection.fileno()], [], [], LOOK_EVERY)  # readable as soon as it is cut
            else:
                self._stop.wait(LOOK_EVERY)
            try:
                if not self._look():
                    self._say(f"Another process has taken over {self.subject}: nothing is sent to Whisper from here.")
            except psycopg.Error as error:
                self._lost(error)

    def _look(self) -> bool:
        """Query the connection that has the lock, or take the lock on a new one. False: another process has it."""
        asked = self._clock()
        if self._connection:
            self._connection.execute("SELECT 1")
        else:
            connection = self._open()
            if not connection.execute("SELECT pg_try_advisory_lock(%s)", [KEY]).fetchone()[0]:  # type: ignore[index]
                connection.close()
                return False
            self._connection = connection
            self._say(f"The lock of {self.subject} is held.")
        self._held_until = asked + LEASE
        return True

    def _open(self) -> Connection:
        options = {"connect_timeout": CONNECT_TIMEOUT, "tcp_user_timeout": int(LEASE * 1000), "autocommit": True}
        connection: Connection = psycopg.connect(**self._parameters() | options)
        for name, value in KEEPALIVES.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        return connection

    def _lost(self, error: Exception) -> None:
        reason = " ".join(str(error).split()) or type(error).__name__
        self._say(f"The lock of {self.subject} is not held, so nothing is sent to Whisper: {reason}")
        self._close()

    def _close(self) -> None:
        self._held_until = 0.0
        if self._connection:
            self._connection.close()
            self._connection = None

    def _say(self, what: str) -> None:
        """Log a state when it begins, not every second."""
        if what != self._said:
            log.warning(what)
        self._said = what
