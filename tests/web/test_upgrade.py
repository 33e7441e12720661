"""A request that offers another protocol is read like any other; only the offer of a WebSocket is taken."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect

from tests.support.bounded_server import Running, answer, running
from tests.support.waiting import wait_for

# Headers that Java's HttpClient sends by default, byte for byte. `curl --http2` sends them in another order.
H2C = (
    b"Connection: Upgrade, HTTP2-Settings\r\nHost: 127.0.0.1\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
    b"Upgrade: h2c\r\nUser-Agent: Java-http-client/17.0.15\r\n"
)
OFFERS = {
    "java": H2C,
    "other case": H2C.replace(b"Upgrade: h2c", b"upgrade: H2C"),
    "tls": b"Host: x\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
    "several": b"Host: x\r\nConnection: keep-alive, upgrade\r\nUpgrade: h2c, websocket\r\n",
    "garbage": b'Host: x\r\nConnection: upgrade\r\nUpgrade: \xff\xfe;;,"\r\n',
    "empty": b"Host: x\r\nConnection: upgrade\r\nUpgrade:\r\n",
    "no connection": b"Host: x\r\nUpgrade: h2c\r\n",
    "websocket with a body": b"Host: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
}


@pytest.fixture(scope="module")
def site() -> Iterator[Running]:
    with running() as site:
        yield site


@pytest.mark.parametrize("method", ["POST", "PATCH", "GET"])
@pytest.mark.parametrize("offer", OFFERS)
def test_a_body_is_read_whatever_is_offered(site: Running, method: str, offer: str) -> None:
    head = f"{method} / HTTP/1.1\r\n".encode() + OFFERS[offer]
    for size in (0, 2, 300_000):
        body = b"x" * size
        with site.connect(head + b"Content-Length: %d\r\n\r\n" % size + body) as connection:
            assert f"\r\n{method} {size}\r\n".encode() in answer(connection)
            connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")  # on the same connection
            for start in range(0, size, 100_000):
                piece = body[start : start + 100_000]
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            connection.sendall(b"0\r\n\r\n")
            assert f"\r\n{method} {size}\r\n".encode() in answer(connection)


@pytest.mark.parametrize("offer", OFFERS)
def test_a_client_that_waits_before_its_body_is_told_to_go_on(site: Running, offer: str) -> None:
    head = b"POST / HTTP/1.1\r\n" + OFFERS[offer] + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    with site.connect(head) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"hello")
        assert b"POST 5" in answer(connection)


def test_a_client_that_offered_and_leaves_is_noticed(site: Running) -> None:
    with site.connect(b"POST /poll HTTP/1.1\r\n" + H2C + b"Content-Length: 2\r\n\r\n{}"):
        pass
    wait_for(lambda: "/poll" in site.told.left, "the news that the client left")


def test_curl_offers_http2_and_loses_nothing(site: Running) -> None:
    curl = shutil.which("curl")
    assert curl, "the tests need curl"
    host, port = site.address
    for size in (2, 300_000):
        for more in ([], ["--header", "Transfer-Encoding: chunked"], ["--header", "Expect: 100-continue"]):
            command = [curl, "--silent", "--http2", "--data-binary", "@-", *more, f"http://{host}:{port}/"]
            done = subprocess.run(command, input=b"x" * size, stdout=subprocess.PIPE, check=True)
            assert done.stdout == f"POST {size}".encode()


def test_websockets_open_as_before(site: Running) -> None:
    host, port = site.address
    with connect(f"ws://{host}:{port}/echo", proxy=None) as client:
        client.send("hello")
        assert client.recv(10) == "hello"
