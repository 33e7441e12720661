"""The socket of the monitor: the stats once a second, as long as somebody looks."""

import asyncio
from contextlib import suppress
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.utils import translation

from .stats import monitor_stats

EVERY = 1.0  # seconds between two messages


class MonitorFeed(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Sends the stats to an accepted socket. It asks for no right: the subclass that has an address does."""

    language = "en"  # of the sentences in the stats
    _pushing: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._pushing = asyncio.create_task(self._push())

    async def disconnect(self, code: int) -> None:
        if self._pushing:
            self._pushing.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **_: Any) -> None:
        """A message from the client is dropped."""

    async def _push(self) -> None:
        with suppress(OSError, RuntimeError):  # the client has left
            while True:
                with translation.override(self.language):
                    stats = monitor_stats()
                await self.send_json(stats)
                await asyncio.sleep(EVERY)
