"""WebSockets of the pages. The server tells; whatever a browser sends is dropped."""

from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer

from accounts.models import ApiToken
from accounts.sockets import NOT_ALLOWED, Rightful, language_of
from recordings.events import QUEUE_GROUP, listen, owner_group
from transcription.monitor.socket import MonitorFeed


class RecordingsConsumer(Rightful, AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Notices of changes: of one's own recordings, of the line, and of Whisper, which goes away and comes back.

    Changes of recordings that come together are one message: the last of them, with all of them as `recordings`.
    """

    scopes = frozenset({ApiToken.Scope.READ})
    joined: tuple[str, ...] = ()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handle notices without Channels' check of the database connections, which takes a thread each time."""
        if message["type"] == "recordings.changed":
            await self.recordings_changed(message)
        elif message["type"] == "queue.changed":
            await self.queue_changed(message)
        elif message["type"] == "whisper.changed":
            await self.whisper_changed(message)
        else:
            await super().dispatch(message)

    async def connect(self) -> None:
        """Join the groups before the socket is accepted: the page asks for its pieces then, and may miss no change."""
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

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **_: Any) -> None:
        """A message from the client is dropped."""

    async def recordings_changed(self, event: dict[str, Any]) -> None:
        changes = event["changes"]
        await self.send_json(changes[0] if len(changes) == 1 else changes[-1] | {"recordings": changes})

    async def queue_changed(self, event: dict[str, Any]) -> None:
        await self.send_json({"queue": "changed"})

    async def whisper_changed(self, event: dict[str, Any]) -> None:
        """Whisper is away, or is back: the line stands still, or goes on."""
        await self.send_json({"queue": "changed", "whisper": "changed"})


class MonitorConsumer(Rightful, MonitorFeed):
    """The stats once a second, for staff."""

    scopes = frozenset({ApiToken.Scope.STATS})

    def refusal(self) -> int | None:
        return super().refusal() or (None if self.scope["user"].is_staff else NOT_ALLOWED)

    async def connect(self) -> None:
        await self.accept()  # before a refusal: a close code only reaches the browser on an open socket
        if code := self.refusal():
            await self.turn_away(code)
        else:
            self.language = language_of(self.scope)
            self.start()
