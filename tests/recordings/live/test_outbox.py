"""The messages that wait for a speaker's client."""

import json
from functools import partial

import pytest
from django.db import OperationalError
from django.db.models import Q

from recordings.live.consumers.outbox import Outbox
from recordings.live.consumers.speaker import SpeakerConsumer, Start
from tests.support.waiting import until
from web import patience


@pytest.mark.django_db(transaction=True)  # the retry closes the connection to the database
async def test_a_database_that_is_away_holds_up_captions_and_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A final caption comes with a gap before it: the outbox reads the captions in between from the database."""
    sent: list[dict[str, object]] = []
    looks = 0

    class Speaker(SpeakerConsumer):
        async def send(self, text_data: str) -> None:
            sent.append(json.loads(text_data))

        async def send_captions(self, which: Q) -> None:
            nonlocal looks
            looks += 1
            if looks == 1:
                raise OperationalError("database is locked")
            self.next_index = 3

    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.0)
    speaker = Speaker()
    outbox = Outbox(speaker, partial(speaker._send, Start(type="start")), dropped=lambda: None)
    outbox.tell({"type": "caption", "state": "final", "index": 3})
    outbox.tell({"type": "viewers", "count": 1})
    await until(lambda: len(sent) == 2)
    assert [message["type"] for message in sent] == ["caption", "viewers"]
    assert looks == 2
