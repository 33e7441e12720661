"""A guard in front of Django, which takes in a request's whole body before it asks who sends it."""

import asyncio
import json
import re
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from io import BytesIO
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils import translation
from django.utils.functional import lazy
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from accounts.auth import COUNTED, Caller, Scope, identify, who
from accounts.sessions import SessionStore
from recordings.intake import space as room
from web.prefix import path_below
from web.problems import Problem, from_failure

AsgiScope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]  # Django and Channels each type an application in their own way

SMALL = 2 * 1024**2  # bytes: more than any page or program sends that does not upload
STRANGERS = 64 * 1024  # bytes, kept in memory until the last has come: more than any form for signing in has
PIECE = 8 * 1024**2  # bytes of a resumable upload that are taken in at once (see `pieces`)
UPLOADS = {
    ("POST", "/api/recordings"): Scope.WRITE,
    ("POST", "/api/uploads"): Scope.WRITE,
    ("PATCH", "/api/uploads"): Scope.WRITE,
    ("POST", "/v1/audio/transcriptions"): Scope.TRANSCRIBE,
    ("POST", "/v1/audio/translations"): Scope.TRANSCRIBE,
}
PIECEWISE = re.compile(r"^/api/uploads/[^/]+$")
# A server that answers and closes while the client still sends makes the kernel drop the answer on the way (RFC
# 9112, section 9.6): so what comes in is thrown away for a while first.
LINGER = 2.0  # seconds
ASK_AGAIN = 1.0  # seconds after which whoever still sends is asked again whether they may


class BodyGuard:
    """ASGI middleware that lets a large body in only where one belongs, from a caller with the right, up to its limit.

    A caller without the right is told at once (401, 403, 413), before a byte of the body is read, and the connection is
    closed; a caller that loses the right meanwhile, within a second. A caller that is not signed in may send STRANGERS
    bytes. A body of unknown length is cut off at the limit. A disk that fills up while Django stores the body becomes a
    507.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        # Django keeps a body in a temporary file; /tmp is memory on many machines.
        tempfile.tempdir = str(settings.FILE_UPLOAD_TEMP_DIR)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        answered = False

        async def sending(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            limit, right = await _limit(scope)
            if right:
                receive = _watched(receive, scope, right)
            await self.app(scope, _counted(receive, limit), sending)
        except Exception as failure:
            problem = failure if isinstance(failure, Problem) else from_failure(failure)
            if problem is None or answered:
                raise
            await _refuse(problem, scope, receive, send)


async def _limit(scope: AsgiScope) -> tuple[int, Scope | None]:
    """How many bytes of body this request may have, and the right that so many take.

    Raises Problem where it announces too many, has no right to, or nowhere to go.
    """
    size = _announced(scope)
    if size is not None and size <= STRANGERS:
        return STRANGERS, None
    path = PIECEWISE.sub("/api/uploads", path_below(scope))
    right = UPLOADS.get((scope["method"], path))
    if right and (size is None or size > SMALL):
        caller = await _caller(scope, identify)
        caller.require(right)
        scope[COUNTED] = True
        await _room(scope, caller, size or 0)
        limit = settings.MAX_UPLOAD_BYTES + SMALL  # the form's other fields, and what parts them
    else:
        right = None
        limit = SMALL if (size or 0) > SMALL or await _known(scope) else STRANGERS
    if size is not None and size > limit:
        raise _too_large(limit)
    return limit, right


async def _room(scope: AsgiScope, caller: Caller, size: int) -> None:
    """Raises Problem 413 or 507 where there is no room for a body of so many bytes. What comes in pieces was announced
    when it began; of a form, some bytes are not the file's."""
    await asyncio.to_thread(room.require_room, size)
    if path_below(scope) == "/api/recordings":
        async with ThreadSensitiveContext():
            try:
                await sync_to_async(room.require_quota)(caller.user.pk, max(0, size - SMALL))
            finally:
                await sync_to_async(connections.close_all)()


def _announced(scope: AsgiScope) -> int | None:
    """The length of the body in bytes; None where it comes without one."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"")
    if length.isdigit():
        return int(length)
    return None if b"transfer-encoding" in headers else 0


async def _known(scope: AsgiScope) -> bool:
    """Whether the caller is signed in. Raises Problem 401 where nothing is to be had without."""
    try:
        await _caller(scope, who)
    except Problem:
        if path_below(scope).startswith(("/api/", "/v1/")):
            raise
        return False
    return True


async def _caller(scope: AsgiScope, find: Callable[[HttpRequest], Awaitable[Caller]]) -> Caller:
    request = _request(scope)
    request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    # A thread of this request's own, as Django does it, and no connection left behind in it.
    async with ThreadSensitiveContext():
        try:
            return await find(request)
        finally:
            await sync_to_async(connections.close_all)()


def _request(scope: AsgiScope) -> ASGIRequest:
    """The request without what Django may find fault with."""
    return ASGIRequest({**scope, "query_string": b""}, BytesIO())


def _watched(receive: Receive, scope: AsgiScope, right: Scope) -> Receive:
    """Until the body's end, whoever sends it is asked again and again whether they may."""
    clock = asyncio.get_running_loop().time
    ask_at, more = clock() + ASK_AGAIN, True

    async def receiving() -> Message:
        nonlocal ask_at, more
        while more:
            if clock() >= ask_at:
                (await _caller(scope, who)).require(right)
                await asyncio.to_thread(room.require_room)
                ask_at = clock() + ASK_AGAIN
            with suppress(TimeoutError):
                async with asyncio.timeout_at(ask_at):
                    message = await receive()
                more = message.get("more_body", False)
                return message
        return await receive()

    return receiving


def _counted(receive: Receive, limit: int) -> Receive:
    left = limit

    async def receiving() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _too_large(limit)
        return message

    return receiving


def _too_large(limit: int) -> Problem:
    most = limit if limit <= SMALL else limit - SMALL
    message = _("This is larger than the {most} that this server accepts here.")
    return Problem(413, "too_large", format_lazy(message, most=lazy(filesizeformat, str)(most)))


async def _refuse(problem: Problem, scope: AsgiScope, receive: Receive, send: Send) -> None:
    with translation.override(translation.get_language_from_request(_request(scope))):
        body = json.dumps(problem.body_at(path_below(scope)), ensure_ascii=False).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "connection": "close",
        **problem.headers,
    }
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await linger(receive)
    await send({"type": "http.response.body", "body": b""})


async def linger(receive: Receive) -> None:
    """Throw away what still comes in, for a while."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            while (await receive()).get("more_body"):
                pass
