"""The socket of a viewer."""

import asyncio
import re
import time
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from channels.exceptions import ChannelFull, StopConsumer
from django.db.models import Q

from accounts.auth import Scope
from recordings.live.audience import viewers
from recordings.live.consumers.base import NORMAL, LiveSocket
from recordings.live.messages import Message, group
from recordings.live.refusals import REFUSALS, LiveRefused
from recordings.live.sessions import live
from recordings.live.state import State
from recordings.models import LiveSession

INDEX = re.compile(r"-?[0-9]{1,9}")  # of a caption; a database holds no larger ones
UNREAD = 20.0  # seconds after which a viewer that reads nothing is dropped
QUIET = 30.0  # seconds without a message after which a viewer looks whether one was lost on the way


class NotRead(Exception):
    """The client does not read the messages."""


class ViewerConsumer(LiveSocket):
    """For the owner (a token needs the scope `read`), and for anyone who has the link of a public session.

    Messages from the client are dropped. With `?after=7` it is sent the captions behind the seventh; without it, the
    latest ones.
    """

    scopes = frozenset({Scope.READ})
    looking: asyncio.Task[None] | None = None
    told_at = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Count the viewer until the socket ends, in whatever way. A client that reads nothing also keeps the server
        from closing the socket, so each send has a time limit."""

        async def send_soon(message: Message) -> None:
            try:
                async with asyncio.timeout(UNREAD):
                    await send(message)
            except TimeoutError:
                raise NotRead from None

        try:
            await super().__call__(scope, receive, send_soon)
        except NotRead:
            with suppress(StopConsumer):
                await self.websocket_disconnect({"type": "websocket.disconnect", "code": REFUSALS["slow_client"][0]})
        finally:
            viewers.go(self.session_id, self)

    @property
    def session_id(self) -> str:
        return str(self.scope["url_route"]["kwargs"]["session"])

    async def admit(self) -> None:
        after = parse_qs(self.scope["query_string"].decode("latin-1")).get("after")
        if after and not INDEX.fullmatch(after[0]):
            raise LiveRefused("bad_message")
        await self.channel_layer.group_add(group(self.session_id), self.channel_name)
        row = await self._watched()
        viewers.come(self.session_id, self)
        await self.send_snapshot(int(after[0]) if after else None)
        if running := live.get(self.session_id):
            for message in running.reporting.for_newcomer():
                await self.send_message(message)
            if tentative := running.captioning.tentative:
                await self.send_message(tentative)
        self.looking = asyncio.create_task(self._look_again())
        await self._leave_if_ended(row)

    async def disconnect(self, code: int) -> None:
        self.closed = True
        if self.looking:
            self.looking.cancel()
        await self.channel_layer.group_discard(group(self.session_id), self.channel_name)

    async def live_told(self, event: Message) -> None:
        self.told_at = time.monotonic()
        if event["index"] is None:
            await self.send_text(event["text"])
        else:
            await self.send_final(event["index"], event["text"])

    async def reconsider(self) -> None:
        await self._watched()

    async def live_look(self, _event: Message) -> None:
        """Something changed, or a message may be lost. Send what was missed, and leave if watching is over."""
        row = await self._watched()
        await self.send_captions(Q(index__gte=self.next_index))
        await self._leave_if_ended(row)

    async def _look_again(self) -> None:
        """Look after each time without messages."""
        while True:
            await asyncio.sleep(QUIET)
            if time.monotonic() - self.told_at > QUIET:
                with suppress(ChannelFull):  # the client reads slowly; it looks the next time
                    await self.channel_layer.send(self.channel_name, {"type": "live.look"})

    async def _watched(self) -> LiveSession:
        """The session. Raises LiveRefused if there is none, or this person may not watch it."""
        row = await LiveSession.objects.filter(pk=self.session_id).afirst()
        mine = row and row.owner_id == self.scope["user"].pk and not self.refusal()
        if not row or not (row.public or mine):
            raise LiveRefused("not_found")
        return row

    async def _leave_if_ended(self, row: LiveSession) -> None:
        running = live.get(self.session_id)
        if running and running.state is not State.DONE:
            return
        if row.ended_at is None:
            return
        recording = row.recording_id if row.owner_id == self.scope["user"].pk else None
        await self.send_message({"type": "done", "recording": recording})
        await self.shut(NORMAL)
