"""A client of `stile.live.1` that loses no sound. Frames that are not acknowledged are sent again on a new socket."""

import asyncio
import json
import logging
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

log = logging.getLogger(__name__)

Message = dict[str, Any]

PROTOCOL = Subprotocol("stile.live.1")
FRAME = 3200  # bytes of sound in a frame: 100 ms
SECOND = 32_000  # bytes of sound
MOST_KEPT = 36_000  # frames that are not acknowledged, an hour of sound; then no more is read until the server is back
TRY_AGAIN = (0.5, 1.0, 2.0, 4.0)  # seconds before each new socket; the last one is used again and again
COME_BACK = frozenset({1001, 1006, 1011, 1012, 1013})  # close codes after which the session may go on


class SessionRefused(Exception):
    """The server refuses this session. The message is the server's sentence."""


class Away(Exception):
    """The server cannot be reached now."""


class LiveClient:
    """One live session, over as many sockets as it takes.

    address  returns a new URL for each socket, because a ticket opens only one; raises Away if there is none now
    tell     gets each message of the server, and {"type": "lost"} when the connection is lost
    start    the fields of the first message, besides its type
    """

    def __init__(self, address: Callable[[], Awaitable[str]], tell: Callable[[Message], None], **start: Any) -> None:
        self._address = address
        self._tell = tell
        self._start = start
        self._session: str | None = None
        self._last_final = -1
        self._kept: deque[bytes] = deque()  # frames that are not acknowledged
        self._first = 0  # the number of the first of them
        self._next = 0  # the number of the frame that is sent next
        self._complete = False  # no more sound comes
        self._ready = False  # the server has sent `ready` on this socket
        self._fault = ""  # the last error, as the server told it
        self._too_long = False
        self._reading: asyncio.Task[None] | None = None
        self._news, self._room = asyncio.Event(), asyncio.Event()

    @property
    def unacknowledged(self) -> float:
        """Seconds of sound that the server has not acknowledged."""
        return len(self._kept) * FRAME / SECOND

    async def run(self, sound: AsyncIterator[bytes]) -> int | None:
        """Send all the sound, in pieces of FRAME bytes. Returns the id of the recording; None if there was no sound.

        Raises SessionRefused. If `sound` raises, the sound before becomes a recording, then this raises the same.
        """
        self._reading = asyncio.create_task(self._read(sound))
        try:
            recording = await self._speak()
        finally:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        if not self._reading.cancelled():
            self._reading.result()
        return recording

    def stop(self) -> None:
        """Read no more sound. `run` returns when all sound before is a recording."""
        if self._reading:
            self._reading.cancel()

    async def _read(self, sound: AsyncIterator[bytes]) -> None:
        try:
            async for piece in sound:
                self._kept.append(struct.pack("<I", self._first + len(self._kept)) + piece)
                self._news.set()
                while len(self._kept) >= MOST_KEPT:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._complete = True
            self._news.set()

    async def _speak(self) -> int | None:
        await self._news.wait()  # without sound there shall be no session
        failures = 0
        while self._kept or self._session:
            try:
                async with connect(await self._address(), subprotocols=[PROTOCOL], max_queue=None) as socket:
                    self._ready = False
                    return await self._converse(socket)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                if code not in COME_BACK and not self._too_long:
                    raise SessionRefused(self._fault or f"The server closed the connection ({code}).") from None
            except (Away, OSError, InvalidHandshake) as error:
                log.debug("No connection: %r", error)
            failures = 0 if self._ready else failures + 1
            self._ready = False
            self._tell({"type": "lost"})
            await asyncio.sleep(TRY_AGAIN[min(failures, len(TRY_AGAIN) - 1)])
        return None

    async def _converse(self, socket: ClientConnection) -> int | None:
        """Speak over one socket until the recording exists. Raises ConnectionClosed."""
        await socket.send(json.dumps({"type": "start"} | self._opening()))
        sending: asyncio.Task[None] | None = None
        try:
            while True:
                message: Message = json.loads(await socket.recv())
                self._tell(message)
                match message["type"]:
                    case "done":
                        recording: int | None = message["recording"]
                        return recording
                    case "ready":
                        self._ready, self._session = True, message["session"]
                        self._acknowledged(message["next_seq"] - 1)
                        self._next = message["next_seq"]
                        sending = asyncio.create_task(self._send(socket))
                    case "ack":
                        self._acknowledged(message["seq"])
                    case "caption" if message["state"] == "final":
                        self._last_final = message["index"]
                    case "error":
                        self._fault = message["message"]
                        if message["code"] == "too_long":  # the sound before becomes a recording: come back for its id
                            self._too_long = True
                            self.stop()
                            self._kept.clear()
        finally:
            if sending:
                sending.cancel()
                await asyncio.wait([sending])

    def _opening(self) -> Message:
        if self._session is None:
            return {"session": None, "sample_rate": 16000} | self._start
        return {"session": self._session, "resume": True, "after": self._last_final}

    async def _send(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):  # `_converse` gets it, too
            while True:
                self._news.clear()
                while self._next < self._first + len(self._kept):
                    self._next += 1
                    await socket.send(self._kept[self._next - 1 - self._first])
                if self._complete:
                    break
                await self._news.wait()
            await socket.send(json.dumps({"type": "stop"}))

    def _acknowledged(self, number: int) -> None:
        while self._kept and self._first <= number:
            self._kept.popleft()
            self._first += 1
        self._room.set()
