"""A network that breaks, between a client of resumable uploads and the server."""

import re
import socket
import socketserver
import threading
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from tests.support.product import Product

MIB = 1024**2
PIECE = 8 * MIB
SIZE = 1024 * MIB
CONNECTION = re.compile(rb"(?i)\r\nconnection: [^\r]*")


class BadNetwork(socketserver.ThreadingTCPServer):
    """A proxy that spoils every sixth piece of an upload: it cuts off the piece and the answer in turn.

    `sent`: the offsets of all pieces that were begun. `confirmed`: for each offset whose answer the client has, the
    number of pieces that had been begun by then.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, product: Product) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.product = product
        self.sent: list[int] = []
        self.confirmed: dict[int, int] = {}
        self.cuts = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=[0.05], daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def check(self) -> None:
        """Assert that all pieces were sent in order, and none again after the client had its answer."""
        for earlier, later in pairwise(self.sent):
            assert 0 <= later - earlier <= PIECE  # of a piece that breaks off, the bytes that came are kept
        for offset, sent in self.confirmed.items():
            assert offset not in self.sent[sent:]
        assert self.sent[0] == 0
        assert SIZE - PIECE <= self.sent[-1] < SIZE
        assert self.cuts >= 20


class _Connection(socketserver.BaseRequestHandler):
    """One request of the client. The server is told to close the connection after it."""

    server: BadNetwork

    def handle(self) -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.server.product.port)) as server:
            received = b""
            while b"\r\n\r\n" not in received:
                if not (data := self.request.recv(65536)):
                    return
                received += data
            head, _, body = received.partition(b"\r\n\r\n")
            piece = re.match(rb"(?is)PATCH .*\r\nupload-offset: (\d+)", head)
            cut = ""
            if piece:
                self.server.sent.append(int(piece[1]))
                number, sixth = divmod(len(self.server.sent), 6)
                cut = "" if sixth else ("body", "answer")[number % 2]
                self.server.cuts += bool(cut)
            server.sendall(CONNECTION.sub(b"", head) + b"\r\nConnection: close\r\n\r\n" + body)
            if cut == "body":
                server.sendall(self.request.recv(65536))
                return
            threading.Thread(target=self._forward, args=[server], daemon=True).start()
            answer = server.recv(65536)
            if not answer or cut == "answer":
                return
            if piece and answer.startswith(b"HTTP/1.1 204 "):
                self.server.confirmed[int(piece[1])] = len(self.server.sent)
            while answer:
                self.request.sendall(answer)
                answer = server.recv(65536)

    def _forward(self, server: socket.socket) -> None:
        with suppress(OSError):
            while data := self.request.recv(65536):
                server.sendall(data)


def gigabyte(path: Path, sound: bytes) -> Path:
    """Write a WAV file of 1 GiB: the sound, then nine hours of silence, which take no place on the disk."""
    header = bytearray(sound[:44])
    header[4:8] = (SIZE - 8).to_bytes(4, "little")
    header[40:44] = (SIZE - 44).to_bytes(4, "little")
    path.write_bytes(bytes(header) + sound[44:])
    with path.open("r+b") as file:
        file.truncate(SIZE)
    return path
