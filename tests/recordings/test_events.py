"""Pages get notices of changes a few times a second at most, and always one of the last change."""

import asyncio
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import get_channel_layer
from django.contrib.auth.models import User
from django.db import connection, transaction

from recordings import events
from recordings.events import QUEUE_GROUP, Paced, owner_group, recording_changed, recording_gone, text_changed
from recordings.intake.form import ReceivedFile
from recordings.intake.uploads import accept_upload
from recordings.models import Recording
from recordings.work.jobs import queue_transcription
from recordings.work.runner import runner
from tests.support.rows import make_recording
from tests.support.waiting import PATIENCE, until


class Told:
    """The work of a `Paced`: notes the state that it tells, and when by the loop's clock."""

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
    await asyncio.sleep(0.25)  # longer than a pause: nothing more is told, and the next news is told at once
    assert told.states == [1, 100]
    told.state = 101
    await paced.note()
    assert told.states == [1, 100, 101]


async def test_a_change_is_told_even_if_its_task_is_canceled() -> None:
    told = Told()
    paced = Paced(0.05, told)
    noting = asyncio.create_task(paced.note())
    await asyncio.sleep(0)
    noting.cancel()
    await until(lambda: told.states == [0])
    told.state = 1
    await paced.note()
    await until(lambda: told.states[-1] == 1)


async def test_news_after_those_of_a_synchronous_caller_is_told() -> None:
    """A synchronous caller lends its thread to the work only until its `async_to_sync` returns."""
    told: list[int] = []
    paced = Paced(0.05, lambda: sync_to_async(told.append)(len(told)))
    await sync_to_async(async_to_sync(paced.note))()
    await paced.note()
    await until(lambda: told == [0, 1])
    await paced.note()
    await until(lambda: told == [0, 1, 2])


def test_a_loop_tells_its_news_before_it_ends() -> None:
    """The loop of a command ends with its work: no timer of `Paced` fires after that."""
    told = Told()
    paced = Paced(3600, told)
    for told.state in (1, 2):
        asyncio.run(paced.note())
    assert told.states == [1, 2]


@pytest.mark.django_db(transaction=True)
async def test_a_storm_of_changes_is_a_few_messages_for_each_page(
    monkeypatch: pytest.MonkeyPatch, settings: object, tmp_path: object
) -> None:
    """Twenty recordings change ten times each. Then one of them is deleted."""
    settings.MEDIA_ROOT = tmp_path  # type: ignore[attr-defined]
    monkeypatch.setattr(events, "_own", Paced(0.3, events._tell_owners))
    monkeypatch.setattr(events, "_line", Paced(0.3, events._tell_line))
    owner = await User.objects.acreate(username="mei")
    made = [await sync_to_async(make_recording)(owner, f"Number {n}", seconds=0.1) for n in range(20)]
    layer = get_channel_layer()
    events.listen()
    page = await layer.new_channel()
    for group in (owner_group(owner.pk), QUEUE_GROUP):
        await layer.group_add(group, page)
    began = asyncio.get_running_loop().time()
    for _ in range(10):
        for recording in made:
            await sync_to_async(recording_changed)(recording.pk, owner.pk)
    await Recording.objects.filter(pk=made[-1].pk).adelete()
    await sync_to_async(recording_gone)(made[-1].pk, owner.pk)
    last: dict[int, bool] = {}
    kinds = Counter[str]()
    while len(last) < 20 or not last[made[-1].pk]:
        async with asyncio.timeout(PATIENCE):
            message = await layer.receive(page)
        kinds[message["type"]] += 1
        last |= {change["recording"]: change["gone"] for change in message.get("changes", ())}
    took = asyncio.get_running_loop().time() - began
    assert last == {recording.pk: recording is made[-1] for recording in made}
    assert all(count <= 2 + took / 0.3 for count in kinds.values()), (kinds, took)
    assert sum(kinds.values()) < 40


class Page:
    """An open page of one owner, which receives every notice."""

    def __init__(self, owner: User) -> None:
        self.owner = owner
        self._layer = get_channel_layer()

    async def open(self) -> "Page":
        self._name = await self._layer.new_channel()
        for group in (owner_group(self.owner.pk), QUEUE_GROUP):
            await self._layer.group_add(group, self._name)
        events.listen()
        return self

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            return dict(await self._layer.receive(self._name))

    async def until_next_change_of(self, recording: Recording) -> list[dict[str, Any]]:
        """Change the recording once more, and return all notices up to the one of that change."""
        await sync_to_async(text_changed)(recording.pk, self.owner.pk)
        came: list[dict[str, Any]] = []
        while {"recording": recording.pk, "gone": False} not in [c for m in came for c in m.get("changes", ())]:
            came.append(await self.next())
        return came


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether a transaction was open, for each time that the runner was woken."""
    calls: list[bool] = []
    monkeypatch.setattr(runner, "wake", lambda: calls.append(connection.in_atomic_block))
    return calls


@pytest.fixture
async def page(transactional_db: None, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Page:
    settings.MEDIA_ROOT = tmp_path
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    monkeypatch.setattr(events, "_own", Paced(0.05, events._tell_owners))
    monkeypatch.setattr(events, "_line", Paced(0.05, events._tell_line))
    return await Page(await User.objects.acreate(username="mei")).open()


def received(content: bytes) -> ReceivedFile:
    file = ReceivedFile("a.wav", "", len(content), "")
    file.write(content)
    file.seek(0)
    file.sha256 = "0" * 64
    return file


async def test_an_upload_that_is_rolled_back_is_told_to_nobody(
    page: Page, woken: list[bool], clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def queue_and_fail(recording: Recording, **options: Any) -> None:
        queue_transcription(recording, **options)
        raise RuntimeError("the last step of the transaction failed")

    monkeypatch.setattr("recordings.intake.uploads.queue_transcription", queue_and_fail)
    other = await sync_to_async(make_recording)(page.owner, "Other", seconds=0.1)
    with pytest.raises(RuntimeError):
        await accept_upload(page.owner, received(clip), source="upload")
    assert await Recording.objects.aget() == other
    assert await page.until_next_change_of(other) == [
        {"type": "recordings.changed", "changes": [{"recording": other.pk, "gone": False}]}
    ]
    assert woken == []


async def test_an_upload_is_told_once_after_its_commit(page: Page, woken: list[bool], clip: bytes) -> None:
    other = await sync_to_async(make_recording)(page.owner, "Other", seconds=0.1)
    made, _new = await accept_upload(page.owner, received(clip), source="upload")
    told = await page.until_next_change_of(other)
    changes = [change for message in told for change in message.get("changes", ())]
    assert changes == [{"recording": made.pk, "gone": False}, {"recording": other.pk, "gone": False}]
    assert [message["type"] for message in told].count("queue.changed") == 1
    assert woken == [False]


async def test_two_changes_of_one_transaction_are_told_once_each(page: Page, woken: list[bool]) -> None:
    one, two, other = [await sync_to_async(make_recording)(page.owner, name, seconds=0.1) for name in ("1", "2", "3")]

    def change_both() -> None:
        with transaction.atomic():
            queue_transcription(one)
            queue_transcription(two)
            assert woken == []

    await sync_to_async(change_both)()
    told = await page.until_next_change_of(other)
    changes = [change["recording"] for message in told for change in message.get("changes", ())]
    assert sorted(changes) == sorted([one.pk, two.pk, other.pk])
    assert woken == [False, False]


async def test_a_change_does_not_wait_for_the_loop_that_tells_of_it(page: Page) -> None:
    """The loop may be waiting for the thread that makes the change: if the thread waited too, neither would go on."""
    recording = await sync_to_async(make_recording)(page.owner, "One", seconds=0.1)

    def change() -> None:
        recording_changed(recording.pk, page.owner.pk)
        connection.close()

    changing = threading.Thread(target=change)
    changing.start()
    await asyncio.sleep(0)
    changing.join(60)  # the loop stands still meanwhile
    assert not changing.is_alive()
    assert (await page.next())["changes"] == [{"recording": recording.pk, "gone": False}]
