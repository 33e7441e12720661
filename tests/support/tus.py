"""Requests of the protocol for resumable uploads, tus 1.0.0."""

from base64 import b64encode

import httpx

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream"}


def encoded(**texts: str) -> str:
    return ",".join(f"{key} {b64encode(text.encode()).decode()}" for key, text in texts.items())


def create(client: httpx.Client, length: int, **metadata: str) -> str:
    headers = TUS | {"Upload-Length": str(length), "Upload-Metadata": encoded(**metadata)}
    answer = client.post("/api/uploads", headers=headers)
    assert (answer.status_code, answer.text) == (201, "")
    return answer.headers["Location"]


def send(client: httpx.Client, url: str, offset: int, piece: bytes, **headers: str) -> httpx.Response:
    return client.patch(url, content=piece, headers=PIECE | {"Upload-Offset": str(offset), **headers})


def offset(client: httpx.Client, url: str) -> int:
    answer = client.head(url, headers=TUS)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    return int(answer.headers["Upload-Offset"])
