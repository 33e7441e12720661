"""The messages that wait for a speaker's client."""

import asyncio
from collections.abc import Awaitable, Callable

from recordings.live.consumers.base import NORMAL, LiveSocket
from recordings.live.messages import Message
from recordings.live.refusals import REFUSALS

MOST_UNTOLD = 200  # messages that wait for a slow client before it is dropped


class Outbox:
    """A speaker's socket as the session sees it (`recordings.live.speaker.Speaker`).

    A task of its own sends the messages in order, so that a slow client delays nobody. A client that reads more slowly
    than captions come is dropped: `dropped` is called, then it is told why. It finds what it missed when it comes back.

    send  sends one message over the socket
    """

    def __init__(
        self, socket: LiveSocket, send: Callable[[Message], Awaitable[None]], dropped: Callable[[], None]
    ) -> None:
        self._socket = socket
        self._send = send
        self._dropped = dropped
        self._untold: asyncio.Queue[Message | int] = asyncio.Queue(MOST_UNTOLD)  # messages, and codes to close with
        self._sending = asyncio.create_task(self._send_all())

    def tell(self, message: Message) -> None:
        self._put(message)

    def refuse(self, code: str) -> None:
        self._put(self._socket.problem(code))
        if close := REFUSALS[code][0]:
            self._put(close)

    def done(self, recording: int | None) -> None:
        self._put({"type": "done", "recording": recording})
        self._put(NORMAL)

    def cancel(self) -> None:
        """Send nothing more."""
        self._sending.cancel()

    def _put(self, item: Message | int) -> None:
        try:
            self._untold.put_nowait(item)
        except asyncio.QueueFull:
            self._drop()

    def _drop(self) -> None:
        if not self._sending.done():
            self._dropped()
            self._sending.cancel()
            self._sending = asyncio.create_task(self._socket.refuse_now("slow_client"))

    async def _send_all(self) -> None:
        while not self._socket.closed:
            item = await self._untold.get()
            if isinstance(item, int):
                await self._socket.shut(item)
            else:
                await self._send(item)
