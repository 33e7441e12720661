"""How much body a request may have, and from whom: asked by `web.bodies` before a byte of the body is read.

A large body is let in only at an address that takes one, from a caller with the right to it, where there is room.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.db import connections
from django.http import HttpRequest

from accounts.auth import COUNTED, Caller, Scope, identify, who
from accounts.sessions import SessionStore
from recordings.storage import quota, space
from web.bodies import AsgiScope, BodyLimit, request_of
from web.prefix import path_below
from web.problems import Problem

SMALL = 2 * 1024**2  # bytes: more than any page or program sends that does not upload
STRANGERS = 64 * 1024  # bytes, kept in memory until the last has come: more than any form for signing in has
UPLOADS = {
    ("POST", "/api/recordings"): Scope.WRITE,
    ("POST", "/api/uploads"): Scope.WRITE,
    ("PATCH", "/api/uploads"): Scope.WRITE,
    ("POST", "/v1/audio/transcriptions"): Scope.TRANSCRIBE,
    ("POST", "/v1/audio/translations"): Scope.TRANSCRIBE,
}
ONE_UPLOAD = re.compile(r"^/api/uploads/[^/]+$")  # the address of a resumable upload


async def admit(scope: AsgiScope, size: int | None) -> BodyLimit:
    """The limit of a request whose body announces `size` bytes (None: unknown).

    Raises Problem 401 or 403 for a caller without the right, 413 past the caller's quota, 507 on a full disk.
    """
    if size is not None and size <= STRANGERS:
        return BodyLimit(STRANGERS, STRANGERS)
    path = ONE_UPLOAD.sub("/api/uploads", path_below(scope))
    right = UPLOADS.get((scope["method"], path))
    if right is None or (size is not None and size <= SMALL):
        most = SMALL if (size or 0) > SMALL or await _is_signed_in(scope) else STRANGERS
        return BodyLimit(most, most)
    caller = await _caller(scope, identify)
    caller.require(right)
    scope[COUNTED] = True
    await _require_room(scope, caller, size or 0)

    async def still_allowed() -> None:
        (await _caller(scope, who)).require(right)
        await asyncio.to_thread(space.require)

    # SMALL more for the form's other fields and for what separates them.
    return BodyLimit(settings.MAX_UPLOAD_BYTES + SMALL, settings.MAX_UPLOAD_BYTES, still_allowed)


async def _require_room(scope: AsgiScope, caller: Caller, size: int) -> None:
    """Raises Problem 413 or 507 where there is no room for a body of `size` bytes.

    The quota is asked only for a form; a resumable upload announced its size when it was created. Some bytes of a form
    are not the file's.
    """
    await asyncio.to_thread(space.require, size)
    if path_below(scope) == "/api/recordings":
        async with ThreadSensitiveContext():
            try:
                await sync_to_async(quota.require)(caller.user.pk, max(0, size - SMALL))
            finally:
                await sync_to_async(connections.close_all)()


async def _is_signed_in(scope: AsgiScope) -> bool:
    """Whether the caller is signed in. Raises Problem 401 at the addresses that give nothing without."""
    try:
        await _caller(scope, who)
    except Problem:
        if path_below(scope).startswith(("/api/", "/v1/")):
            raise
        return False
    return True


async def _caller(scope: AsgiScope, find: Callable[[HttpRequest], Awaitable[Caller]]) -> Caller:
    request = request_of(scope)
    request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    # A thread of this request's own, as Django does it, and no connection left behind in it.
    async with ThreadSensitiveContext():
        try:
            return await find(request)
        finally:
            await sync_to_async(connections.close_all)()
