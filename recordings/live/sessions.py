"""The live sessions of this process."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from recordings.live.disk import on_disk
from recordings.live.journal import live_folder, sessions_on_disk
from recordings.live.refusals import LiveRefused
from recordings.live.session import Session
from recordings.models import LiveSession
from recordings.storage import quota
from transcription import service
from transcription.captions import Pace

LETTING_GO = 5.0  # seconds that sessions get when the process stops


class Sessions:
    """The live sessions of this process. An unfinished one is taken up from the disk when a socket asks for it."""

    def __init__(self) -> None:
        self._running: dict[str, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pace = Pace(service.live_limit)
        self._suspended = False

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._running.values()))

    def get(self, session: str) -> Session | None:
        return self._running.get(session)

    async def begin(self, owner: User, **options: Any) -> Session:
        """Begin a new session. Raises LiveRefused if the owner has USER_MAX_LIVE open, or no quota left."""
        return self._take_up(await sync_to_async(_begin)(owner.pk, options))

    async def find(self, owner: User, session: str, **options: Any) -> Session | LiveSession:
        """A session of this owner: as it runs, or its row if it is a recording already. Raises LiveRefused.

        options: for one that is only prepared, and begins now.
        """
        row = await LiveSession.objects.filter(pk=session, owner=owner).afirst()
        if row is None:
            raise LiveRefused("not_found")
        if row.prepared:
            row = await sync_to_async(_begin)(owner.pk, options, session)
        if session in self._running or _unfinished(row, await on_disk(sessions_on_disk, live_folder())):
            return self._take_up(row)
        return row

    async def take_up_all(self) -> None:
        """Go on with the sessions that an earlier process left, and remove files without a session."""
        files = await on_disk(sessions_on_disk, live_folder())
        rows = {row.pk: row async for row in LiveSession.objects.filter(pk__in=list(files))}
        open_rows = LiveSession.objects.filter(ended_at=None, recording=None, prepared=False)
        rows |= {row.pk: row async for row in open_rows}
        for pk in rows.keys() | files.keys():
            if pk in rows and _unfinished(rows[pk], files):
                self._take_up(rows[pk])
            else:
                for path in files[pk]:
                    path.unlink(missing_ok=True)

    async def suspend(self) -> None:
        """The process stops: put all sound on disk, and tell the speakers to come back."""
        self._suspended = True
        for session in self:
            session.suspend()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LETTING_GO)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take_up(self, row: LiveSession) -> Session:
        if self._suspended:
            raise LiveRefused("restarting")
        if running := self._running.get(row.pk):
            return running
        session = self._running[row.pk] = Session(row, self._pace)
        task = asyncio.create_task(session.run(), name=f"live {row.pk}")
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, row.pk))
        return session

    def _ended(self, session: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        del self._running[session]


def _unfinished(row: LiveSession, files: dict[str, list[Path]]) -> bool:
    return row.recording_id is None and (row.ended_at is None or row.pk in files)


@transaction.atomic
def _begin(owner_id: int, options: dict[str, Any], prepared: str = "") -> LiveSession:
    """Begin a new session, or the one that was prepared; if another socket has just begun that, it is returned."""
    _one_at_a_time(owner_id)
    own = LiveSession.objects.filter(owner=owner_id)
    row = own.filter(pk=prepared).first() if prepared else LiveSession(owner_id=owner_id)
    if row is None:
        raise LiveRefused("not_found")
    if prepared and not row.prepared:
        return row
    if own.filter(ended_at=None, prepared=False).count() >= settings.USER_MAX_LIVE:
        raise LiveRefused("too_many_sessions")
    if quota.left(owner_id) <= 0:
        raise LiveRefused("quota_exceeded")
    for name, value in ({"prepared": False, "created_at": timezone.now()} | options).items():
        setattr(row, name, value)
    row.save()
    return row


@transaction.atomic
def prepare(owner_id: int) -> LiveSession:
    """The one session that is prepared for this owner, so that its link can be given away before it begins."""
    _one_at_a_time(owner_id)
    return LiveSession.objects.get_or_create(owner_id=owner_id, prepared=True)[0]


def _one_at_a_time(owner_id: int) -> None:
    """Wait until no other transaction begins or prepares a session of this owner."""
    User.objects.select_for_update().filter(pk=owner_id).first()


live = Sessions()
