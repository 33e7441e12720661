"""Fixtures: an empty database of each kind, beside that of the tests, with its index."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections
from django.db.utils import ConnectionHandler

from recordings.models import Recording, Segment, Transcription
from recordings.search import postgres as in_postgres
from recordings.search import sqlite as in_sqlite
from recordings.search.index import Index, index_of
from recordings.search.query import Query
from tests.support.postgres import postgres

NAME = "searched"
BEFORE = "0013"  # the migration before the one that makes the index


class SearchedDatabase:
    """A database. `before`: the recording that was there when the migration made the index."""

    def __init__(self) -> None:
        self.before: Recording | None = None

    @property
    def connection(self) -> Any:
        return connections[NAME]

    @property
    def index(self) -> Index:
        return index_of(self.connection)

    def recording(self, title: str, *texts: str) -> Recording:
        """A recording with a segment for each text."""
        owner, _ = User.objects.using(NAME).get_or_create(username="mei")
        kept = {"bytes": 10, "duration": 60.0, "media_type": "audio/wav", "source": "upload", "sha256": "0" * 64}
        made = Recording.objects.using(NAME).create(owner=owner, title=title, original="originals/none.wav", **kept)
        run = Transcription.objects.using(NAME).create(recording=made, status="done")
        Segment.objects.using(NAME).bulk_create(
            Segment(transcription=run, index=index, start=index, end=index + 1, text=text)
            for index, text in enumerate(texts)
        )
        return made

    def segments(self, recording: Recording, typed: str) -> list[int]:
        """The numbers of the segments that are found."""
        run = recording.transcriptions.get().pk
        query = Query.parse(typed)
        found = [number for _, number, _ in self.index.segments(query, [run], sys.maxsize)] if query else []
        runs = Transcription.objects.using(NAME).filter(pk=run)
        assert bool(found) == (bool(query) and runs.filter(pk__in=self.index.transcriptions(query)).exists())
        return found

    def titled(self, typed: str) -> list[str]:
        """The titles that are found."""
        found = Recording.objects.using(NAME).filter(pk__in=self.index.titles(Query.parse(typed)))
        return list(found.order_by("pk").values_list("title", flat=True))

    def migrate(self, *where: str) -> None:
        call_command("migrate", *where, database=NAME, verbosity=0)


@pytest.fixture(scope="module", params=["sqlite3", "postgresql"])
def database(
    request: pytest.FixtureRequest,
    django_db_setup: None,
    django_db_blocker: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SearchedDatabase]:
    with ExitStack() as held, pytest.MonkeyPatch.context() as patch:
        held.enter_context(django_db_blocker.unblock())
        place: dict[str, Any] = {"NAME": str(tmp_path_factory.mktemp("searched") / "database")}
        if request.param == "postgresql":
            server = held.enter_context(postgres())
            place = {"NAME": "postgres", "HOST": "127.0.0.1", "PORT": server.port, "USER": "stile"}
        settings = ConnectionHandler({"default": {"ENGINE": f"django.db.backends.{request.param}", **place}}).settings
        patch.setitem(connections.settings, NAME, settings["default"])
        held.callback(lambda: connections.__delitem__(NAME))
        held.callback(lambda: connections[NAME].close())
        made = SearchedDatabase()
        made.migrate()
        made.migrate("recordings", BEFORE)
        made.before = made.recording(
            "会议 before", *(f"Sentence number {number}, 第{number}句" for number in range(20))
        )
        for module in (in_sqlite, in_postgres):
            patch.setattr(module, "BATCH", 7)
        made.migrate()
        assert made.connection.vendor == request.param.removesuffix("3")
        yield made
