"""The index of the database in use. `Index` says what each one does."""

from collections.abc import Sequence
from typing import Any, Protocol

from django.db import connection
from django.db.models.expressions import RawSQL

from recordings.search.postgres import PostgresIndex
from recordings.search.query import Query
from recordings.search.sqlite import SqliteIndex


class Index(Protocol):
    def install(self) -> None: ...
    def remove(self) -> None: ...
    def repair(self) -> None: ...
    def common(self, query: Query) -> bool: ...
    def titles(self, query: Query) -> RawSQL: ...
    def transcriptions(self, query: Query) -> RawSQL: ...
    def segments(self, query: Query, transcriptions: Sequence[int], most: int) -> list[tuple[int, int, int]]: ...


def index_of(database: Any) -> Index:
    """The index in the database of this connection. It knows all people's words: who asks looks for the owner."""
    return SqliteIndex(database) if database.vendor == "sqlite" else PostgresIndex(database)


def index() -> Index:
    return index_of(connection)
