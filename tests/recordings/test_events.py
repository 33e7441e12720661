"""Pages are told of changes a few times a second at most, and of the last one always."""

import asyncio
from collections import Counter

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import get_channel_layer
from django.contrib.auth.models import User

from recordings import events
from recordings.events import QUEUE_GROUP, Paced, owner_group, recording_changed
from recordings.models import Recording
from tests.support.rows import make_recording
from tests.support.waiting import until


class Told:
    """What `Paced` tells, and when, by the loop's clock."""

    def __init__(self) -> None:
        self.state = 0
        self.told: list[tuple[float, int]] = []

    async def __call__(self) -> None:
        await asyncio.sleep(0)
        self.told.append((asyncio.get_running_loop().time(), self.state))

    @property
    def states(self) -> list[int]:
        return [state for _, state in self.told]


async def test_the_first_is_told_at_once_and_those_that_follow_together() -> None:
    told = Told()
    paced = Paced(0.2, told)
    for told.state in range(1, 101):
        await paced.note()
    assert told.states == [1]
    await until(lambda: told.states[-1] == 100)
    assert told.states == [1, 100]
    assert told.told[1][0] - told.told[0][0] >= 0.19
    await asyncio.sleep(0.25)  # it has come to rest: nothing more is told, and news is told at once
    assert told.states == [1, 100]
    told.state = 101
    await paced.note()
    assert told.states == [1, 100, 101]


async def test_a_change_by_what_is_canceled_is_told_all_the_same() -> None:
    told = Told()
    paced = Paced(0.05, told)
    noting = asyncio.create_task(paced.note())
    await asyncio.sleep(0)
    noting.cancel()
    await until(lambda: told.states == [0])
    told.state = 1
    await paced.note()
    await until(lambda: told.states[-1] == 1)


async def test_news_after_one_that_a_synchronous_caller_told_is_told() -> None:
    """A view or a job that notes news by `async_to_sync` lends its thread to the work only until then."""
    told: list[int] = []
    paced = Paced(0.05, lambda: sync_to_async(told.append)(len(told)))
    await sync_to_async(async_to_sync(paced.note))()
    await paced.note()
    await until(lambda: told == [0, 1])
    await paced.note()
    await until(lambda: told == [0, 1, 2])


def test_each_loop_that_ends_has_told_before() -> None:
    """As a command beside the server: its loop ends with its work, and no timer with it."""
    told = Told()
    paced = Paced(3600, told)
    for told.state in (1, 2):
        asyncio.run(paced.note())
    assert told.states == [1, 2]


@pytest.mark.django_db(transaction=True)
async def test_a_storm_of_changes_is_a_few_messages_for_each_page(
    monkeypatch: pytest.MonkeyPatch, settings: object, tmp_path: object
) -> None:
    """Twenty recordings, each changed ten times; the last of them is deleted in the end."""
    settings.MEDIA_ROOT = tmp_path  # type: ignore[attr-defined]
    monkeypatch.setattr(events, "_own", Paced(0.3, events._tell_owners))
    monkeypatch.setattr(events, "_line", Paced(0.3, events._tell_line))
    owner = await User.objects.acreate(username="mei")
    made = [await sync_to_async(make_recording)(owner, f"Number {n}", seconds=0.1) for n in range(20)]
    layer = get_channel_layer()
    page = await layer.new_channel()
    for group in (owner_group(owner.pk), QUEUE_GROUP):
        await layer.group_add(group, page)
    began = asyncio.get_running_loop().time()
    for _ in range(10):
        for recording in made:
            await recording_changed(recording.pk, owner.pk)
    await Recording.objects.filter(pk=made[-1].pk).adelete()
    await recording_changed(made[-1].pk, owner.pk)
    last: dict[int, bool] = {}
    kinds = Counter[str]()
    while len(last) < 20 or not last[made[-1].pk]:
        async with asyncio.timeout(30):
            message = await layer.receive(page)
        kinds[message["type"]] += 1
        last |= {change["recording"]: change["gone"] for change in message.get("changes", ())}
    took = asyncio.get_running_loop().time() - began
    assert last == {recording.pk: recording is made[-1] for recording in made}
    assert all(count <= 2 + took / 0.3 for count in kinds.values()), (kinds, took)
    assert sum(kinds.values()) < 40
