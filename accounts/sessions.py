"""Django's sessions in the database, under digests: the rows of a stolen database open no session.

The cookie holds the session's key. The database holds a digest of the key, in the column for the key.
"""

from typing import Any

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import digest

COLUMN = 40  # characters that Django's column takes: 160 bits of the digest, which nobody can search through


def kept_as(key: str) -> str:
    """The name of the session's row, from the key in the cookie."""
    return digest(key)[:COLUMN]


class SessionStore(DatabaseStore):
    """A session by the key in its cookie."""

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
    """A session by the name of its row, for code that never sees the cookie again: a socket, or its ticket."""

    def _row_name(self, key: str) -> str:
        return key
