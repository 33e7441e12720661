"""The cost of the server's parser and bounds beside httptools: python -m bench.parsers [--rounds 5]

Three servers, each in a process of its own with the same small application, take turns in one run: uvicorn with
httptools, uvicorn with h11, and the product's (h11 with bounds). CPU time of the server, the median of all rounds.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from web.connections import Bounds
from web.server import BoundedServer, configuration

REQUESTS = 3000
MEGABYTES = 200
PIECE = 64 * 1024  # bytes
HEADERS = (
    "Host: 127.0.0.1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0\r\nAccept: text/html,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\n"
    f"Cookie: sessionid={'s' * 32}; csrftoken={'c' * 32}\r\nSec-Fetch-Mode: navigate\r\n"
)
SERVERS = ("httptools", "h11", "bounded")
WAYS = {
    "a request, µs": 1e6 / REQUESTS,
    f"{MEGABYTES} MiB in, s": 1.0,
    "in chunks, s": 1.0,
    f"{MEGABYTES} MiB out, s": 1.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], int(options.serve[1]))
        return
    took: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        for name in SERVERS:
            with running(name) as (process, address):
                for way, send in zip(WAYS, (requests, body, chunks, answer), strict=True):
                    before = cpu(process.pid)
                    send(address)
                    took[name, way].append((cpu(process.pid) - before) * WAYS[way])
    print(f"{'':<16}" + "".join(f"{name:>12}" for name in SERVERS))
    for way in WAYS:
        print(f"{way:<16}" + "".join(f"{statistics.median(took[name, way]):>12.2f}" for name in SERVERS))


async def application(scope: Any, receive: Any, send: Any) -> None:
    more = True
    while more:
        more = (await receive())["more_body"]
    size = MEGABYTES * 1024**2 if scope["path"] == "/long" else 2
    length = [(b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    for start in range(0, size, PIECE):
        piece = bytes(min(PIECE, size - start))
        await send({"type": "http.response.body", "body": piece, "more_body": start + PIECE < size})


def serve(name: str, descriptor: int) -> None:
    options: dict[str, Any] = {"lifespan": "off", "log_level": "error", "access_log": False}
    if name == "bounded":
        server: uvicorn.Server = BoundedServer(configuration(application, Bounds(), **options))
    else:
        server = uvicorn.Server(uvicorn.Config(application, http=name, **options))
    server.run(sockets=[socket.socket(fileno=descriptor)])


@contextmanager
def running(name: str) -> Iterator[tuple[subprocess.Popen[bytes], tuple[str, int]]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-m", "bench.parsers", "--serve", name, str(listener.fileno())]
        process = subprocess.Popen(command, pass_fds=[listener.fileno()])
        try:
            requests(listener.getsockname(), 100)  # it waits for the start, and warms up
            yield process, listener.getsockname()
        finally:
            process.terminate()
            process.wait()


def cpu(pid: int) -> float:
    """Seconds of CPU time that a process has used."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()  # noqa: SIM115
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def requests(address: tuple[str, int], count: int = REQUESTS) -> None:
    with socket.create_connection(address) as connection:
        for _ in range(count):
            connection.sendall(f"GET / HTTP/1.1\r\n{HEADERS}\r\n".encode())
            received = b""
            while not received.endswith(b"\r\n\r\n\0\0"):
                received += connection.recv(65536)


def body(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\n{HEADERS}Content-Length: {MEGABYTES * 1024**2}\r\n\r\n".encode())
        for _ in range(MEGABYTES * 1024**2 // PIECE):
            connection.sendall(bytes(PIECE))
        connection.recv(65536)


def chunks(address: tuple[str, int]) -> None:
    """A body in chunks of 16 KiB, as Java's client sends it."""
    piece = b"4000\r\n" + bytes(0x4000) + b"\r\n"
    with socket.create_connection(address) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\n{HEADERS}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(MEGABYTES * 1024**2 // 0x4000):
            connection.sendall(piece)
        connection.sendall(b"0\r\n\r\n")
        connection.recv(65536)


def answer(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(f"GET /long HTTP/1.1\r\n{HEADERS}\r\n".encode())
        left = MEGABYTES * 1024**2
        while left > 0:
            left -= len(connection.recv(1024**2))


if __name__ == "__main__":
    main()
