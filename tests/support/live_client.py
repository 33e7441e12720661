"""Small clients of the protocol `stile.live.1` that keep all messages."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
import numpy.typing as npt
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.typing import Origin, Subprotocol

from recordings.live.sessions import live
from tests.support.waiting import PATIENCE

PROTOCOL = Subprotocol("stile.live.1")
FRAME = 1600  # samples, 100 ms
Message = dict[str, Any]


def frames(sound: npt.NDArray[np.int16], first: int = 0, size: int = FRAME) -> Iterator[bytes]:
    """The frames of the sound, from number `first` on. size: samples in a frame."""
    for number, start in enumerate(range(0, len(sound), size)):
        if number >= first:
            yield struct.pack("<I", number) + sound[start : start + size].tobytes()


class Client:
    """A client with one socket. `told`: all messages that have come so far."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.told: list[Message] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind} | fields))

    async def start(self, **fields: Any) -> Message:
        """Begin a session, or go on with one. Returns `ready`, or the message that comes in its place."""
        await self.send("start", **{"session": None, "sample_rate": 16000} | fields)
        return await self.told_of("ready", "error", "done")

    async def counted(self, viewers: int) -> None:
        """Wait for the message that there are so many viewers."""
        async with asyncio.timeout(PATIENCE):
            while (await self.told_of("viewers"))["count"] != viewers:
                pass

    async def told_of(self, *kinds: str, seconds: float = PATIENCE) -> Message:
        """Wait for the next message of one of these kinds, and return it."""
        async with asyncio.timeout(seconds):
            while True:
                message: Message = json.loads(await self.socket.recv())
                self.told.append(message)
                if message["type"] in kinds:
                    return message

    async def acknowledged(self, number: int) -> None:
        """Wait until the frame with this number is acknowledged."""
        async with asyncio.timeout(PATIENCE):
            while (await self.told_of("ack"))["seq"] < number:
                pass

    async def say(self, sound: npt.NDArray[np.int16], first: int = 0, *, pace: float = 0.0, size: int = FRAME) -> None:
        """Send sound from frame `first` on. pace: 1 for the pace of speech, 2 for twice that; 0 for all at once."""
        for frame in frames(sound, first, size):
            await self.socket.send(frame)
            if pace:
                await asyncio.sleep(size / 16000 / pace)

    async def closed(self, seconds: float = PATIENCE) -> int | None:
        """Read all messages until the socket is closed, and return the close code."""
        async with asyncio.timeout(seconds):
            try:
                while True:
                    self.told.append(json.loads(await self.socket.recv()))
            except ConnectionClosed:
                return self.socket.close_code

    @property
    def errors(self) -> list[str]:
        return [message["code"] for message in self.told if message["type"] == "error"]

    def captions(self) -> dict[int, Message]:
        return captions(self.told)

    def finals(self) -> list[str]:
        return finals(self.told)


def captions(told: list[Message]) -> dict[int, Message]:
    """The captions on the screen, by index. Asserts that finals never change, and stable text neither."""
    shown: dict[int, Message] = {}
    for message in told:
        if message["type"] == "caption":
            if before := shown.get(message["index"]):
                assert before["state"] == "tentative" or before == message
                assert message["text"][: before["stable"]] == before["text"][: before["stable"]]
            shown[message["index"]] = message
    return shown


def finals(told: list[Message]) -> list[str]:
    return [caption["text"] for _, caption in sorted(captions(told).items()) if caption["state"] == "final"]


@asynccontextmanager
async def client(url: str, path: str = "/ws/live", **query: object) -> AsyncIterator[Client]:
    """Connect to the product at this HTTP address: as a program if there is a `ticket`, else as a page."""
    parameters = urlencode({name: value for name, value in query.items() if value is not None})
    address = f"{url.replace('http', 'ws', 1)}{path}?{parameters}"
    origin = None if "ticket" in query else Origin(url)
    async with connect(
        address,
        origin=origin,
        subprotocols=[PROTOCOL],
        max_queue=None,
        close_timeout=2,
        ping_timeout=PATIENCE,  # a ping waits behind all sound that was sent before it
    ) as socket:
        yield Client(socket)


def ticket(api: httpx.Client) -> str:
    return str(api.post("/api/ws-ticket").raise_for_status().json()["ticket"])


def speaking(api: httpx.Client) -> AbstractAsyncContextManager[Client]:
    return client(str(api.base_url), ticket=ticket(api))


def watching(api: httpx.Client, session: str, after: int | None = None) -> AbstractAsyncContextManager[Client]:
    return client(str(api.base_url), f"/ws/live/{session}", ticket=ticket(api), after=after)


async def in_its_process(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` on the server's event loop, where the live sessions run."""
    loop = next(iter(live._tasks)).get_loop()
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


class Stubborn:
    """A speaker that comes back and resumes, whatever breaks, until all its sound is acknowledged.

    `told`: the messages of all its sockets. `sent`: the number of frames over all of them. `cut()` breaks a connection
    without a close code, as a network does. The stop is not sent before `may_stop` is set.
    """

    def __init__(self, api: httpx.Client, sound: npt.NDArray[np.int16], pace: float) -> None:
        self._api = api
        self._sound = sound
        self._pace = pace
        self._frames = -(-len(sound) // FRAME)
        self._began: float | None = None
        self.session: str | None = None
        self.next_seq = 0
        self.sent = 0
        self.told: list[Message] = []
        self.close_codes: list[int | None] = []
        self.may_stop = asyncio.Event()
        self.may_stop.set()
        self._current: Client | None = None

    @property
    def connected(self) -> bool:
        return self._current is not None

    async def run(self) -> Message:
        """Speak until the session has ended. Returns the server's `done`."""
        while True:
            try:
                async with speaking(self._api) as client:
                    client.told, self._current = self.told, client
                    try:
                        return await self._speak(client)
                    finally:
                        self._current = None
                        self.close_codes.append(client.socket.close_code)
            except (OSError, ConnectionClosed, InvalidStatus, InvalidMessage, httpx.HTTPError):
                await asyncio.sleep(0.2)

    def cut(self) -> None:
        if self._current:
            self._current.socket.transport.abort()

    async def _speak(self, client: Client) -> Message:
        resume = {"session": self.session, "resume": True} if self.session else {}
        first = await client.start(**resume)
        if first["type"] == "done":
            return first
        if first["type"] == "error":
            raise ConnectionResetError(first["code"])
        self.session, self.next_seq = first["session"], first["next_seq"]
        sending = asyncio.create_task(self._send(client))
        try:
            return await client.told_of("done", seconds=600)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, client: Client) -> None:
        """Send the sound that is already spoken at once, and the rest at the pace of speech."""
        loop = asyncio.get_running_loop()
        self._began = self._began or loop.time()
        for number, frame in enumerate(frames(self._sound, self.next_seq), self.next_seq):
            spoken = self._began + (number + 1) * FRAME / 16000 / self._pace
            await asyncio.sleep(spoken - loop.time())
            await client.socket.send(frame)
            self.sent += 1
        await self.may_stop.wait()
        await client.send("stop")
