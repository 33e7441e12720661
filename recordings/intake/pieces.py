"""Bodies of resumable uploads: of any size, and in pieces for Django, which takes in a body before a view sees it.

A stock client of the tus protocol sends a file in one PATCH. Here each PIECE of its body becomes a request of its own
inside the process, so what has come is on its part of the disk while the rest is still on its way, and a body that
breaks off keeps what has come. A body with an Upload-Checksum stays whole: nothing of it counts until all is there.
"""

import asyncio
import re
from typing import Any

from recordings.intake.admission import ONE_UPLOAD
from web.bodies import App, AsgiScope, Message, Receive, Send, linger
from web.prefix import path_below

PIECE = 8 * 1024**2  # bytes of a resumable upload that Django gets in one request
PIECE_TYPE = b"application/offset+octet-stream"
OVERRIDE = b"x-http-method-override"
OVERRIDDEN = {b"PATCH": "PATCH", b"DELETE": "DELETE", b"HEAD": "HEAD"}
OFFSET = re.compile(rb"\d{1,18}")  # what else a client may say, the view refuses
OF_THE_BODY = {b"content-length", b"transfer-encoding", b"upload-length", b"upload-metadata", b"upload-offset"}


class MethodOverride:
    """ASGI middleware for clients that may send no PATCH: tus lets them send a POST with X-HTTP-Method-Override."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and ONE_UPLOAD.match(path_below(scope)):
            method = OVERRIDDEN.get(dict(scope["headers"]).get(OVERRIDE, b"").upper())
            scope = {**scope, "method": method or "POST"}
        await self._app(scope, receive, send)


class Piecewise:
    """ASGI middleware that hands a resumable upload's body on in pieces, and answers with the last piece's answer."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if _is_split(scope):
            await self._in_pieces(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _in_pieces(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        offset = int(headers.get(b"upload-offset", b"0"))
        created: _Answer | None = None
        while True:
            piece, answer = _Piece(receive), _Answer()
            await self._app(scope, piece.receive, answer)
            created = created or (answer if answer.status == 201 else None)
            if piece.is_last or answer.status not in (201, 204):
                break
            offset += piece.size
            scope = _next(scope, offset, answer.headers.get(b"location"))
        if created and answer.status == 204:
            answer.become(created)
        await answer.pass_on(send, receive, closing=not piece.is_last)


def _is_split(scope: AsgiScope) -> bool:
    if scope["type"] != "http" or scope["method"] not in ("POST", "PATCH"):
        return False
    path, headers = path_below(scope), dict(scope["headers"])
    if path != "/api/uploads" and not (ONE_UPLOAD.match(path) and OFFSET.fullmatch(headers.get(b"upload-offset", b""))):
        return False
    return headers.get(b"content-type", b"").partition(b";")[0] == PIECE_TYPE and b"upload-checksum" not in headers


def _next(scope: AsgiScope, offset: int, location: bytes | None) -> AsgiScope:
    """The request for the next piece: a PATCH of the upload, which the first one may have created."""
    kept = [(name, value) for name, value in scope["headers"] if name not in OF_THE_BODY]
    path = location.decode() if location else scope["path"]
    headers = [*kept, (b"upload-offset", b"%d" % offset)]
    return {**scope, "method": "PATCH", "path": path, "raw_path": path.encode(), "headers": headers}


class _Piece:
    """At least PIECE bytes of the body, or what has come when it ends or breaks off; `is_last` then."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False
        self.size = 0
        self.is_last = False

    async def receive(self) -> Message:
        if self._gone or (self.size >= PIECE and not self.is_last):
            await asyncio.Event().wait()  # Django waits for the end of the connection until it has answered
        message = await self._receive()
        if message["type"] != "http.request":
            if self.is_last:
                return message
            self._gone = self.is_last = True
            return {"type": "http.request", "body": b"", "more_body": False}
        self.size += len(message.get("body", b""))
        self.is_last = not message.get("more_body", False)
        return {**message, "more_body": not self.is_last and self.size < PIECE}


class _Answer:
    """An answer that is kept until it is known whether the caller shall have it."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self._messages.append(message)

    @property
    def status(self) -> int:
        return int(self._messages[0]["status"]) if self._messages else 0

    @property
    def headers(self) -> dict[bytes, Any]:
        return {name.lower(): value for name, value in self._messages[0]["headers"]} if self._messages else {}

    def become(self, created: "_Answer") -> None:
        """The answer to the creation, with how far the upload has got since."""
        headers = created.headers | self.headers
        self._messages = [{**created._messages[0], "headers": list(headers.items())}, *created._messages[1:]]

    async def pass_on(self, send: Send, receive: Receive, *, closing: bool) -> None:
        """closing: the caller still sends, and nothing of it is taken any more."""
        if not closing:
            for message in self._messages:
                await send(message)
            return
        start, *bodies = self._messages
        await send({**start, "headers": [*start["headers"], (b"connection", b"close")]})
        for message in bodies:
            await send({**message, "more_body": True})
        await linger(receive)
        await send({"type": "http.response.body", "body": b""})
