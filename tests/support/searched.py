"""A database beside that of the tests, with the index of its kind."""

import sys
from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections

from recordings.models import Recording, Segment, Transcription
from recordings.search.index import Index, index_of
from recordings.search.query import Query

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
