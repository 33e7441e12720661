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

from recordings.intake.space import room_of
from recordings.live.journal import sessions_on_disk
from recordings.live.refusals import Refused
from recordings.live.session import Session, live_folder, on_disk
from recordings.models import LiveSession
from transcription import captions, service

LETTING_GO = 5.0  # seconds for the sound under way when the process stops


class Sessions:
    """Those of this process. One that is not finished, and that a socket asks for, is taken up from the disk."""

    def __init__(self) -> None:
        self._running: dict[str, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pace = captions.Pace(service.total_limit)
        self._suspended = False

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._running.values()))

    def get(self, session: str) -> Session | None:
        return self._running.get(session)

    async def begin(self, owner: User, **options: Any) -> Session:
        """A new one. Raises Refused where the owner has USER_MAX_LIVE open, or no room left."""
        return self._take_up(await sync_to_async(_begin)(owner.pk, options))

    async def find(self, owner: User, session: str) -> Session | LiveSession:
        """One of the owner's, as it runs; or the row of one that is a recording. Raises Refused."""
        row = await LiveSession.objects.filter(pk=session, owner=owner).afirst()
        if row is None:
            raise Refused("not_found")
        if session in self._running or _unfinished(row, await on_disk(sessions_on_disk, live_folder())):
            return self._take_up(row)
        return row

    async def take_up_all(self) -> None:
        """What an earlier process left goes on; files that no session has any more are removed."""
        files = await on_disk(sessions_on_disk, live_folder())
        rows = {row.pk: row async for row in LiveSession.objects.filter(pk__in=list(files))}
        open_rows = LiveSession.objects.filter(ended_at=None, recording=None)
        rows |= {row.pk: row async for row in open_rows}
        for pk in rows.keys() | files.keys():
            if pk in rows and _unfinished(rows[pk], files):
                self._take_up(rows[pk])
            else:
                for path in files[pk]:
                    path.unlink(missing_ok=True)

    async def suspend(self) -> None:
        """The process stops: everything is put on disk, and who speaks is told to come back."""
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
            raise Refused("restarting")
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
def _begin(owner_id: int, options: dict[str, Any]) -> LiveSession:
    User.objects.select_for_update().filter(pk=owner_id).first()  # one at a time per owner, so that the count holds
    if LiveSession.objects.filter(owner=owner_id, ended_at=None).count() >= settings.USER_MAX_LIVE:
        raise Refused("too_many_sessions")
    if room_of(owner_id) <= 0:
        raise Refused("quota_exceeded")
    return LiveSession.objects.create(owner_id=owner_id, **options)


live = Sessions()
