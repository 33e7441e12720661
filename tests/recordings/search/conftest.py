"""Fixtures: an empty database of each kind, beside that of the tests, with its index."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import connections
from django.db.utils import ConnectionHandler

from recordings.search import postgres as in_postgres
from recordings.search import sqlite as in_sqlite
from tests.support.postgres import postgres
from tests.support.searched import BEFORE, NAME, SearchedDatabase


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
