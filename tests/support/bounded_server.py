"""The product's HTTP server in a thread, with bounds and a small application behind it."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.support.waiting import PATIENCE, wait_for
from web.connections import Bounds
from web.server import BoundedServer, configuration

QUICK = Bounds(head_seconds=0.5, grace=0.5, least_rate=100_000.0)
LONG = 64 * 1024**2  # bytes of an answer that is too long for all buffers


class Told:
    """An ASGI application that answers with the size of the body. Some paths make it slow, long or a WebSocket."""

    def __init__(self) -> None:
        self.left: list[str] = []  # paths of requests whose client left before the answer's end

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        path = scope["path"]
        if path == "/later":  # reads the body late
            await asyncio.sleep(4)
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left.append(path)
                return
            size += len(message["body"])
            more = message["more_body"]
        if path == "/poll":
            with_left = asyncio.ensure_future(receive())
            await asyncio.wait([with_left], timeout=4)
            if with_left.done():
                self.left.append(path)
                return
            with_left.cancel()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if path == "/events":  # one small message after the other, as server-sent events are
            for _ in range(8):
                await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
                await asyncio.sleep(0.5)
        body = bytes(LONG) if path == "/long" else f"{scope['method']} {size}".encode()
        for start in range(0, len(body), 65536):
            await send({"type": "http.response.body", "body": body[start : start + 65536], "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _socket(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        message = {"type": "websocket.send", "text": "x" * 65536}
        while scope["path"] == "/flood":
            await send(message)
        while (message := await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": message.get("text", "")})
        self.left.append(scope["path"])


class Running:
    """A server that runs, at `address`, with the application `told`."""

    def __init__(self, server: BoundedServer, told: Told, address: tuple[str, int]) -> None:
        self.server, self.told, self.address = server, told, address

    def __len__(self) -> int:
        """The number of connections that the server has open."""
        return len(self.server.server_state.connections)

    def connect(self, sent: bytes = b"") -> socket.socket:
        connection = socket.create_connection(self.address, timeout=PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(sent)
        return connection

    def answers(self, sent: bytes) -> bytes:
        """Send this, and return all bytes that come until the server closes."""
        with self.connect() as connection:
            return talk(connection, sent)

    def empty(self) -> None:
        wait_for(lambda: len(self) == 0, "the end of all connections")


def answer(connection: socket.socket) -> bytes:
    """Read one answer of `Told` from a connection that stays open."""
    received = b""
    while not received.endswith(b"0\r\n\r\n") and (data := connection.recv(65536)):
        received += data
    return received


def talk(connection: socket.socket, sent: bytes) -> bytes:
    """Send this on the connection, and return all bytes that come until the server closes it."""
    received = b""
    with suppress(OSError):  # the server has closed: its answer can be read all the same
        connection.sendall(sent)
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            received += data
    return received


@contextmanager
def running(bounds: Bounds = QUICK, **options: Any) -> Iterator[Running]:
    told = Told()
    options = {"log_config": None, "lifespan": "off", "timeout_graceful_shutdown": 2, **options}
    server = BoundedServer(configuration(told, bounds, **options))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        wait_for(lambda: server.started, "the server", every=0.01)
        yield Running(server, told, address)
        server.should_exit = True
        thread.join()
