"""Clients that stay silent, are too slow or do not read are dropped. Clients that get on, if slowly, are not."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
from uvicorn.server import ServerState
from websockets.asyncio.client import connect

from tests.support.bounded_server import LONG, QUICK, Running, Told, running
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import wait_for
from web.connections import Bounds, Places
from web.protocols import HttpProtocol
from web.server import configuration

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
BODY = HEAD + b"Content-Length: 1000000\r\n\r\n"
EXPECTING = HEAD.replace(b"/ ", b"/later ") + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SOCKET = (
    b"GET /%b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
PING = b"\x89\xfd\0\0\0\0" + bytes(125)  # with a payload, which the answer repeats


@pytest.fixture(scope="module")
def site() -> Iterator[Running]:
    with running(QUICK, ws_ping_interval=0.5, ws_ping_timeout=0.5, timeout_keep_alive=1) as site:
        yield site


def until_dropped(connection: socket.socket, dripped: bytes) -> bytes:
    """Send `dripped` again and again until the server closes the connection. Returns all that the server sent."""
    received = b""
    connection.settimeout(0.1)
    with contextlib.suppress(ConnectionError):
        while True:
            with contextlib.suppress(TimeoutError):
                if not (data := connection.recv(65536)):
                    break
                received += data
            if b"408" not in received:
                connection.sendall(dripped)
    return received


@pytest.mark.parametrize(
    ("sent", "dripped", "said"),
    [
        (b"", b"", b""),
        (b"GE", b"", b"408"),
        (GET, b"", b"408"),
        (GET + b"x: ", b"y", b"408"),
        (GET + b"\r\n", b"", b"200"),
        (GET + b"\r\n", b"G", b"408"),
        (GET + b"\r\n" + GET, b"x: y\r\n", b"408"),
        (BODY, b"", b"408"),
        (BODY + b"x" * 1000, b"y", b"408"),
        (BODY + b"x" * 200_000, b"y", b"408"),
        (CHUNKED, b"1\r\na\r\n", b"408"),
        (CHUNKED + b"1\r\na\r\n0\r\n", b"x: y\r\n", b"408"),
        (SOCKET % b"echo", b"x: y\r\n", b"408"),
        (SOCKET % b"echo" + b"\r\n", b"", b"101"),  # a socket that answers no ping
        (SOCKET % b"echo" + b"\r\n\x81\xff", b"\0", b"101"),  # a message without end
    ],
)
def test_a_client_that_does_not_get_on_is_dropped(site: Running, sent: bytes, dripped: bytes, said: bytes) -> None:
    with site.connect(sent) as connection:
        last = until_dropped(connection, dripped).split(b"HTTP/1.1 ")[-1]
    assert last.startswith(said)
    site.empty()


@pytest.mark.parametrize(
    "sent",
    [b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n", SOCKET % b"flood" + b"\r\n", SOCKET % b"flood" + b"\r\n" + PING * 1000],
    ids=["answer", "socket", "pings"],
)
def test_clients_that_do_not_read_are_dropped(site: Running, sent: bytes) -> None:
    connections = [site.connect(sent) for _ in range(20)]
    wait_for(lambda: len(site) >= 20, "the connections")
    site.empty()
    for connection in connections:
        connection.close()


def test_a_client_that_sends_pings_and_reads_nothing_is_not_read_either(site: Running) -> None:
    with site.connect(SOCKET % b"echo" + b"\r\n") as connection:
        connection.settimeout(0.5)
        with pytest.raises(OSError, match=r"timed out|reset|pipe"):  # buffers are full, or the client is dropped
            connection.sendall(PING * 500_000)
    site.empty()


def test_a_client_that_reads_slowly_gets_everything() -> None:
    """The large buffers of a loopback hide for long that the client reads."""
    with (
        running(Bounds(grace=4.0, least_rate=20_000.0)) as patient,
        patient.connect(b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as connection,
    ):
        received = 0
        for _ in range(60):
            received += len(connection.recv(20_000))
            time.sleep(0.1)
        while data := connection.recv(1024**2):
            received += len(data)
    assert received > LONG


# --- In virtual time, over a pair of sockets -----------------------------------------------------


class Client:
    """A client of `Told` on the test's loop, whose time is virtual: a busy machine changes nothing."""

    def __init__(self, ours: socket.socket) -> None:
        self.socket = ours
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.socket, data)

    async def answer(self, end: bytes = b"0\r\n\r\n") -> bytes:
        received = b""
        while not received.endswith(end) and (data := await self._loop.sock_recv(self.socket, 65536)):
            received += data
        return received


@contextlib.asynccontextmanager
async def served(**options: Any) -> AsyncIterator[Client]:
    bounds = Bounds(grace=3.0, least_rate=20_000.0)
    config = configuration(Told(), bounds, log_config=None, **options)
    config.load()
    given = {"config": config, "server_state": ServerState(), "app_state": {}}
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
        partial(HttpProtocol, Places(bounds), bounds, **given), theirs
    )
    with ours:
        yield Client(ours)
    transport.close()


@in_virtual_time
async def test_a_client_that_sends_slowly_is_heard_to_the_end() -> None:
    async with served() as client:
        await client.send(HEAD + b"Content-Length: 900000\r\n\r\n")
        for _ in range(45):
            await client.send(b"x" * 20_000)
            await asyncio.sleep(0.1)
        assert b"POST 900000" in await client.answer()


@pytest.mark.parametrize("path", [b"/later", b"/poll", b"/events"])
@in_virtual_time
async def test_a_client_that_waits_for_the_product_may_wait(path: bytes) -> None:
    async with served() as client:
        await client.send(HEAD.replace(b"/ ", path + b" ") + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1_000_000)
        assert (await client.answer()).endswith(b"POST 1000000\r\n0\r\n\r\n")


@pytest.mark.parametrize("late", [0.0, 2.9])
@in_virtual_time
async def test_a_client_has_all_its_time_from_when_it_was_told_to_go_on(late: float) -> None:
    """The server tells the client to go on after 4 s. From the start, its time would be over after 3 s."""
    async with served() as client:
        await client.send(EXPECTING)
        assert b"100" in await client.answer(b"\r\n\r\n")
        await asyncio.sleep(late)
        await client.send(b"hello")
        assert b"POST 5" in await client.answer()


@in_virtual_time
async def test_a_socket_that_answers_pings_may_be_silent() -> None:
    async with (
        served(ws_ping_interval=0.5, ws_ping_timeout=2.0) as client,
        connect("ws://localhost/echo", sock=client.socket, proxy=None) as connection,
    ):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.recv(), 60)
        await connection.send("hello")
        assert await connection.recv() == "hello"
