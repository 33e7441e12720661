"""The WebSockets behind the pages. They only tell; nothing is expected from the browser."""

import asyncio
from contextlib import suppress
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.utils import translation

from accounts.models import ApiToken
from accounts.sockets import NOT_ALLOWED, Rightful, language_of
from recordings.events import QUEUE_GROUP, listen, owner_group
from transcription.monitor import stats as monitor

MONITOR_INTERVAL = 1.0  # seconds between two snapshots on the monitor


class Telling(Rightful, AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Accepts before it refuses: a close code only reaches the browser on an open socket."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **_: Any) -> None:
        """Whatever a client sends is dropped."""


class RecordingsConsumer(Telling):
    """Changes of one's own recordings, and that the line has moved. What changed together comes as one message: the
    last of the changes, with all of them as `recordings`."""

    scopes = frozenset({ApiToken.Scope.READ})
    joined: tuple[str, ...] = ()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """What is only told goes without Channels' look at the database's connections: it takes a thread each time."""
        if message["type"] == "recordings.changed":
            await self.recordings_changed(message)
        elif message["type"] == "queue.changed":
            await self.queue_changed(message)
        else:
            await super().dispatch(message)

    async def connect(self) -> None:
        """Joins first: a page asks for its pieces once it is accepted, and is told what changes from then on."""
        if code := self.refusal():
            await self.accept()
            await self.turn_away(code)
            return
        listen()
        self.joined = (owner_group(self.scope["user"].pk), QUEUE_GROUP)
        for group in self.joined:
            await self.channel_layer.group_add(group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        for group in self.joined:
            await self.channel_layer.group_discard(group, self.channel_name)

    async def recordings_changed(self, event: dict[str, Any]) -> None:
        changes = event["changes"]
        await self.send_json(changes[0] if len(changes) == 1 else changes[-1] | {"recordings": changes})

    async def queue_changed(self, event: dict[str, Any]) -> None:
        await self.send_json({"queue": "changed"})


class MonitorConsumer(Telling):
    """The gate's numbers once a second, for staff, as long as somebody looks."""

    scopes = frozenset({ApiToken.Scope.STATS})
    pushing: asyncio.Task[None] | None = None

    def refusal(self) -> int | None:
        return super().refusal() or (None if self.scope["user"].is_staff else NOT_ALLOWED)

    async def connect(self) -> None:
        await self.accept()
        if code := self.refusal():
            await self.turn_away(code)
        else:
            self.pushing = asyncio.create_task(self._push())

    async def disconnect(self, code: int) -> None:
        if self.pushing:
            self.pushing.cancel()

    async def _push(self) -> None:
        with suppress(OSError, RuntimeError):  # the client has left
            while True:
                with translation.override(language_of(self.scope)):
                    stats = monitor.stats()
                await self.send_json(stats)
                await asyncio.sleep(MONITOR_INTERVAL)
