"""A guard in front of Django, which takes in a request's whole body before any view can ask who sends it.

The guard bounds what comes in and cuts it off. The `Admit` that it is given says how much may come, and from whom.
"""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.template.defaultfilters import filesizeformat
from django.utils import translation
from django.utils.functional import lazy
from django.utils.translation import gettext_lazy as _

from web.prefix import path_below
from web.problems import Problem, from_failure

AsgiScope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]  # Django and Channels each type an application in their own way

# A server that answers and closes while the client still sends makes the kernel drop the answer on the way (RFC
# 9112, section 9.6). So the guard reads and discards what still comes in for a while.
LINGER = 2.0  # seconds
ASK_AGAIN = 1.0  # seconds between two checks of the right of a client that still sends


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """How much body one request may have.

    bytes: the most that is read of the body.
    told: the limit that a refusal names, in bytes; the rest of `bytes` is for the envelope of a form.
    still_allowed: called every ASK_AGAIN seconds while the body comes in; raises Problem to stop it. None: no calls.
    """

    bytes: int
    told: int
    still_allowed: Callable[[], Awaitable[None]] | None = None


# Given the request's scope and the announced length of its body in bytes (None: unknown). Raises Problem for a request
# that has no right to send so much, or for which there is no room.
Admit = Callable[[AsgiScope, int | None], Awaitable[BodyLimit]]


class BodyGuard:
    """ASGI middleware that reads no more of a body than `admit` allows.

    A refused caller is told at once (401, 403, 413, 507), before a byte of the body is read, and the connection is
    closed; a caller that loses the right meanwhile, within ASK_AGAIN seconds. A body of unknown length is cut off at
    the limit. A disk that fills up while Django stores the body becomes a 507.
    """

    def __init__(self, app: App, admit: Admit) -> None:
        self._app = app
        self._admit = admit
        # Django keeps a body in a temporary file; /tmp is memory on many machines.
        tempfile.tempdir = str(settings.FILE_UPLOAD_TEMP_DIR)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        answered = False

        async def sending(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            size = _announced(scope)
            limit = await self._admit(scope, size)
            if size is not None and size > limit.bytes:
                raise _too_large(limit)
            if limit.still_allowed:
                receive = _watched(receive, limit.still_allowed)
            await self._app(scope, _counted(receive, limit), sending)
        except Exception as failure:
            problem = failure if isinstance(failure, Problem) else from_failure(failure)
            if problem is None or answered:
                raise
            await _refuse(problem, scope, receive, send)


def request_of(scope: AsgiScope) -> ASGIRequest:
    """The request as Django sees it, but for the query string, which Django might refuse by an exception."""
    return ASGIRequest({**scope, "query_string": b""}, BytesIO())


def _announced(scope: AsgiScope) -> int | None:
    """The length of the body in bytes; None where it comes without one."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"")
    if length.isdigit():
        return int(length)
    return None if b"transfer-encoding" in headers else 0


def _watched(receive: Receive, still_allowed: Callable[[], Awaitable[None]]) -> Receive:
    """`receive` that checks every ASK_AGAIN seconds, until the end of the body, that the caller still has the right."""
    clock = asyncio.get_running_loop().time
    ask_at, more = clock() + ASK_AGAIN, True

    async def receiving() -> Message:
        nonlocal ask_at, more
        while more:
            if clock() >= ask_at:
                await still_allowed()
                ask_at = clock() + ASK_AGAIN
            with suppress(TimeoutError):
                async with asyncio.timeout_at(ask_at):
                    message = await receive()
                more = message.get("more_body", False)
                return message
        return await receive()

    return receiving


def _counted(receive: Receive, limit: BodyLimit) -> Receive:
    """`receive` that raises Problem 413 where more bytes come than are allowed."""
    left = limit.bytes

    async def receiving() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _too_large(limit)
        return message

    return receiving


def _too_large(limit: BodyLimit) -> Problem:
    message = _("This is larger than the {most} that this server accepts here.")
    return Problem("too_large", message, most=lazy(filesizeformat, str)(limit.told))


async def _refuse(problem: Problem, scope: AsgiScope, receive: Receive, send: Send) -> None:
    with translation.override(translation.get_language_from_request(request_of(scope))):
        status, content = problem.at(path_below(scope))
    body = json.dumps(content, ensure_ascii=False).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "connection": "close",
        **problem.headers,
    }
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await linger(receive)
    await send({"type": "http.response.body", "body": b""})


async def linger(receive: Receive) -> None:
    """Read and discard what still comes in, for LINGER seconds at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            while (await receive()).get("more_body"):
                pass
