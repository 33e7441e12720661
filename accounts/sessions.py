"""Django's sessions in the database, with digests in place of keys: a stolen database opens no session.

The cookie holds the key of the session. The column for the key holds a digest of it.
"""

from typing import Any

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import digest

COLUMN = 40  # characters of Django's column: 160 bits of the digest, too many to search


def kept_as(key: str) -> str:
    """Name of the session's row (its primary key), from the key in the cookie."""
    return digest(key)[:COLUMN]


class SessionStore(DatabaseStore):
    """Session found by the key in its cookie."""

    key_salt = "django.contrib.sessions.SessionStore"  # Django's, so that older sessions can still be read

    def _row_name(self, key: str) -> str:
        return kept_as(key)

    def _rows(self, key: str | None) -> QuerySet[Session]:
        return Session.objects.filter(session_key=self._row_name(key or ""))

    def load(self) -> dict[str, Any]:
        return self._decoded(self._rows(self.session_key).filter(expire_date__gt=timezone.now()).first())

    async def aload(self) -> dict[str, Any]:
        return self._decoded(await self._rows(self.session_key).filter(expire_date__gt=timezone.now()).afirst())

    def _decoded(self, row: Session | None) -> dict[str, Any]:
        if row is None:
            self._session_key = None
            return {}
        return self.decode(row.session_data)

    def exists(self, session_key: str) -> bool:
        return self._rows(session_key).exists()

    async def aexists(self, session_key: str) -> bool:
        return await self._rows(session_key).aexists()

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        row = super().create_model_instance(data)
        row.session_key = self._row_name(row.session_key)
        return row

    async def acreate_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        row = await super().acreate_model_instance(data)
        row.session_key = self._row_name(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        self._rows(session_key or self.session_key).delete()

    async def adelete(self, session_key: str | None = None) -> None:
        await self._rows(session_key or self.session_key).adelete()


class StoredSession(SessionStore):
    """Session found by the name of its row, for code that has no cookie: a socket, or its ticket."""

    def _row_name(self, key: str) -> str:
        return key
