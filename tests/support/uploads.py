"""Uploads that no HTTP library would send."""

import json
import socket

from tests.support.site import Site
from tests.support.waiting import PATIENCE


def form(name: str, content: bytes, fields: dict[str, str] | None = None) -> tuple[bytes, dict[str, str]]:
    """The body and headers of a form with this file name as it is; httpx would change the name."""
    parts = b"".join(
        f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in (fields or {}).items()
    )
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    return parts + head + content + b"\r\n--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}


def answer_to(site: Site, head: str, body: bytes = b"") -> tuple[int, dict[str, str]]:
    """Send the beginning of a request. Returns the status and the error of the answer."""
    with socket.create_connection(site.address, timeout=PATIENCE) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
        received = b""
        while b"}}" not in received and (data := connection.recv(65536)):
            received += data
        while connection.recv(65536):  # closed by the server, in the end
            pass
    head_part, _, content = received.partition(b"\r\n\r\n")
    assert b"connection: close" in head_part.lower()
    return int(head_part.split()[1]), json.loads(content)["error"]
