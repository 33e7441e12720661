"""Request line, headers, trailers and chunks are bounded while they are read."""

import time
import tracemalloc
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from tests.support.bounded_server import Running, answer, running
from tests.support.waiting import PATIENCE

KIB = 1024
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
SOCKET = (
    b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.fixture(scope="module")
def site() -> Iterator[Running]:
    with running() as site:
        yield site


def headers(count: int, size: int = 1) -> bytes:
    return b"".join(b"x%d: %b\r\n" % (number, b"y" * size) for number in range(count))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (GET + b"Connection: close\r\n" + headers(98) + b"\r\n", 200),
        (GET + b"Connection: close\r\n" + headers(60, KIB) + b"\r\n", 200),
        (b"GET /?" + b"q" * 7900 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
        (GET + headers(101) + b"\r\n", 431),
        (GET + headers(20_000) + b"\r\n", 431),
        (GET + b"x: " + b"y" * 65 * KIB + b"\r\n\r\n", 431),
        (GET + headers(80, KIB) + b"\r\n", 431),
        (GET + headers(70, KIB), 431),  # a head without end
        (GET + b"x: " + b"y" * 200 * KIB, 431),
        (GET + b"x: y\r\n" + b" folded\r\n" * 10_000, 431),
        (b"GET /?" + b"q" * 8100 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /?" + b"q" * 70 * KIB, 414),
        (b"G" * 70 * KIB, 414),
        (SOCKET + headers(101) + b"\r\n", 431),
        (SOCKET + b"x: " + b"y" * 9000 + b"\r\n\r\n", 431),
        (SOCKET.replace(b"/echo", b"/?" + b"q" * 8100) + b"\r\n", 414),
        (CHUNKED + b"1\r\na\r\n0\r\n" + headers(101) + b"\r\n", 431),
        (CHUNKED + b"1\r\na\r\n0\r\n" + headers(100, KIB), 431),
        (CHUNKED + b"1\r\na\r\n0\r\nx: " + b"y" * 200 * KIB, 431),
        (CHUNKED + b"1;" + b"e" * 200 * KIB, 431),
        (CHUNKED + b"1\r\na\r\n" * 5000 + b"0\r\n\r\n", 400),
        (CHUNKED + b"zz\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    ],
)
def test_a_head_has_a_size(site: Running, sent: bytes, status: int) -> None:
    assert site.answers(sent).split(b" ")[1] == str(status).encode()
    site.empty()


def test_small_chunks_that_a_program_sends_as_it_produces_are_taken(site: Running) -> None:
    body = b"28\r\n" + b"x" * 40 + b"\r\n"
    with site.connect(CHUNKED + body * 20_000 + b"0\r\n\r\n") as connection:
        assert b"POST 800000" in answer(connection)


@pytest.mark.parametrize("piece", [b"x" * 65536, b"x: y\r\n" * 10_000], ids=["one", "many"])
def test_headers_without_end_cost_neither_memory_nor_time(site: Running, piece: bytes) -> None:
    """Ten connections try to send 64 MiB each. They are closed at the limit."""
    tracemalloc.start()
    began = time.monotonic()
    for _ in range(10):
        with site.connect(GET + b"x: ") as connection:
            for _ in range(64 * KIB * KIB // len(piece)):
                try:
                    connection.sendall(piece)
                except OSError:
                    break
            else:
                pytest.fail("all of it was taken")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * KIB * KIB
    assert time.monotonic() - began < PATIENCE


def test_each_request_on_a_connection_is_bounded(site: Running) -> None:
    with site.connect(GET + b"\r\n" + GET + headers(101) + b"\r\n") as connection:
        received = b""
        while data := connection.recv(65536):
            received += data
    assert [line.split()[1] for line in received.split(b"\n") if line.startswith(b"HTTP/1.1")] == [b"200", b"431"]


def test_the_fragments_of_a_message_are_numbered(site: Running) -> None:
    host, port = site.address
    with connect(f"ws://{host}:{port}/echo", proxy=None) as client:
        client.send(["x"] * 1000)
        assert client.recv(10) == "x" * 1000
        client.socket.sendall(Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True))
        client.socket.sendall(Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 1100)
        with pytest.raises(ConnectionClosed):
            client.recv(10)
        assert client.close_code == 1009
