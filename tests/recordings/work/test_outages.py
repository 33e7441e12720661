"""Open pages are told when Whisper goes away and when it is back, although no row changes then."""

import asyncio

import pytest
from channels.layers import get_channel_layer

from recordings.events import QUEUE_GROUP
from recordings.work import outages
from tests.support.waiting import PATIENCE
from transcription.monitor.capacity import Capacity
from transcription.sentence import Sentence

THERE = Capacity(1, 0, None, None, None)
LOST = Capacity(1, 0, None, Sentence("The Whisper server did not answer the latest call."), None)
AWAY = Capacity(1, 0, None, Sentence("The Whisper server cannot be reached."), None)


async def test_each_change_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = THERE
    monkeypatch.setattr(outages, "capacity", lambda: now)
    monkeypatch.setattr(outages, "LOOK", 0.01)
    layer = get_channel_layer()
    page = await layer.new_channel()
    await layer.group_add(QUEUE_GROUP, page)
    telling = asyncio.create_task(outages.tell_outages())
    try:
        for state in (LOST, AWAY, THERE, AWAY):
            now = state
            async with asyncio.timeout(PATIENCE):
                assert await layer.receive(page) == {"type": "whisper.changed"}
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):  # longer than the pause between two messages
                await layer.receive(page)
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await layer.group_discard(QUEUE_GROUP, page)
