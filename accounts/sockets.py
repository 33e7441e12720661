"""Who a WebSocket belongs to, and that it closes as soon as they may not have it any more.

`SocketDoor` stands before the consumers and sets `scope["user"]` (AnonymousUser for nobody) and `scope["token"]` (None
for a session). A consumer stays true to them by `Rightful`:

    class Captions(Rightful, AsyncJsonWebsocketConsumer):
        scopes = frozenset({Scope.READ})  # of which a token needs one; left out: any token will do

        async def connect(self) -> None:
            await self.accept()  # before a refusal: a close code only reaches the browser on an open socket
            if code := self.refusal():
                await self.turn_away(code)

When a token is revoked, changed or expires, a session ends (sign-out, a new password), or a user is deactivated,
changed or deleted, `scope["user"]` and `scope["token"]` are set anew and `reconsider` is called, which closes the
socket if `refusal` says so. A consumer that takes leave in its own way, or lets in people who are not signed in,
overrides `reconsider`; one with rules of its own (staff only) overrides `refusal`. `websocket_disconnect` must reach
`Rightful`, as it does where only `disconnect` is overridden.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

from channels.exceptions import ChannelFull
from channels.sessions import CookieMiddleware
from django.conf import settings
from django.contrib.auth import aget_user
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.http import is_same_domain
from django.utils.translation import gettext_lazy as _

from accounts.auth import Caller, Scope
from accounts.models import ApiToken, SocketTicket
from accounts.rights import RIGHTS_CHANGED, rights_group
from accounts.sessions import StoredSession, kept_as

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

NOT_SIGNED_IN = 4401
NOT_ALLOWED = 4403
NOT_FOUND = 4404
# What a refused client is told: a code that never changes, and a sentence, which is the reason of the close as well. A
# reason has 123 bytes at most (RFC 6455, section 5.5), Chinese ones too.
REFUSALS: dict[int, tuple[str, str | Promise]] = {
    NOT_SIGNED_IN: ("not_signed_in", _("Sign in first. A program opens this socket with a ticket.")),
    NOT_ALLOWED: ("not_allowed", _("Not allowed with this token, or from a page of this address.")),
    NOT_FOUND: ("not_found", _("There is no socket at this address.")),
}
# Tells come at once, but a command run beside a single process has no way to tell it (see `rights`).
LOOK_AGAIN = 30.0  # seconds
AGAIN_SOON = 0.2  # seconds, where a token has expired and the consumer is still busy


@dataclass(frozen=True, slots=True)
class Proof:
    """What a socket was opened with: the id of a token, or the name of a session's row."""

    token: int | None
    session: str

    async def caller(self) -> Caller | None:
        """Whom it proves now; None once it proves nothing any more."""
        if self.token is not None:
            token = await ApiToken.living().filter(pk=self.token).afirst()
            return Caller(token.user, token) if token else None
        request = HttpRequest()
        request.session = StoredSession(self.session)
        user = await aget_user(request)
        return Caller(user) if isinstance(user, User) else None


class SocketDoor:
    """ASGI middleware for WebSockets: `?ticket=` decides, even beside a good session, which a cookie brings.

    A browser sends cookies along from any page, so the Origin must be one of ours. A program sends none; it gets in
    by ticket only. A refused client is told so on an open socket, for a close code does not reach it otherwise.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._with_cookies = CookieMiddleware(self._admit)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        origin = next((str(value, "latin-1") for name, value in scope["headers"] if name == b"origin"), None)
        if _ticket(scope) and origin is None:
            await self._admit(scope, receive, send)
        elif _ours(scope, origin):
            await self._with_cookies(scope, receive, send)
        else:
            await turn_away(scope, send, NOT_SIGNED_IN if origin is None else NOT_ALLOWED)

    async def _admit(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await identify(scope, await _proof(scope))
        await self._app(scope, receive, send)


async def no_socket(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    """ASGI application for every address at which there is none."""
    await turn_away(scope, send, NOT_FOUND)


async def turn_away(scope: dict[str, Any], send: Any, code: int) -> None:
    """Accept the socket, say why it cannot be had, and close it."""
    message = refusal(scope, code)
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    await send({"type": "websocket.send", "text": json.dumps(message, ensure_ascii=False)})
    await send({"type": "websocket.close", "code": code, "reason": message["message"]})


def refusal(scope: dict[str, Any], code: int) -> dict[str, str]:
    """The message that goes before this close code, in the client's language."""
    name, sentence = REFUSALS[code]
    with translation.override(language_of(scope)):
        return {"type": "error", "code": name, "message": str(sentence)}


def language_of(scope: dict[str, Any]) -> str:
    """As Django finds it for a page: from the cookie, then from what the client asks for."""
    request = HttpRequest()
    request.COOKIES = scope.get("cookies", {})
    headers = dict(scope["headers"])
    request.META["HTTP_ACCEPT_LANGUAGE"] = headers.get(b"accept-language", b"").decode("latin-1")
    return translation.get_language_from_request(request)


Origin = tuple[str, str, int | None]  # scheme, host, port


def _ours(scope: dict[str, Any], origin: str | None) -> bool:
    """Whether a page at this origin is one of the product's: scheme, host and port are those that the socket was asked
    for, or are among CSRF_TRUSTED_ORIGINS. Another port of the same host is another program's."""
    asked = ASGIRequest({**scope, "method": "GET", "query_string": b""}, BytesIO())
    try:
        page = _parts(origin or "")
        scheme = "https" if asked.scheme in ("https", "wss") else "http"
        return page == _parts(f"{scheme}://{asked.get_host()}") or any(
            _trusts(_parts(trusted.replace("*", "")), page) for trusted in settings.CSRF_TRUSTED_ORIGINS
        )
    except (ValueError, DisallowedHost):  # it is no address, or the host is none of ALLOWED_HOSTS
        return False


def _parts(origin: str) -> Origin:
    """Raises ValueError."""
    parts = urlsplit(origin)
    if not parts.hostname:
        raise ValueError(origin)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _trusts(trusted: Origin, page: Origin) -> bool:
    """`trusted`, whose host begins with a point where it means all hosts under it."""
    return (trusted[0], trusted[2]) == (page[0], page[2]) and is_same_domain(page[1], trusted[1])


def _ticket(scope: dict[str, Any]) -> str:
    asked = parse_qs(str(scope["query_string"], "latin-1"))
    return asked.get("ticket", [""])[0]


async def _proof(scope: dict[str, Any]) -> Proof | None:
    if secret := _ticket(scope):
        ticket = await SocketTicket.redeem(secret)
        return Proof(ticket.token_id, ticket.session) if ticket else None
    key = scope["cookies"].get(settings.SESSION_COOKIE_NAME)
    return Proof(None, kept_as(key)) if key else None


async def identify(scope: dict[str, Any], proof: Proof | None) -> None:
    """Set who the socket belongs to, as it is now."""
    caller = await proof.caller() if proof else None
    scope["user"] = caller.user if caller else AnonymousUser()
    scope["token"] = caller.token if caller else None
    scope["proof"] = proof if caller else None


class Rightful:
    """For consumers of Channels, before their own base class; see the module."""

    scopes: frozenset[str] = frozenset(Scope.values)
    scope: dict[str, Any]
    channel_name: str
    channel_layer: Any
    close: Callable[..., Awaitable[None]]
    send: Callable[..., Awaitable[None]]
    _watching: asyncio.Task[None] | None = None

    def refusal(self) -> int | None:
        """The code to close with, if who they are now may not have this socket."""
        user, token = self.scope["user"], self.scope.get("token")
        if not user.is_authenticated:
            return NOT_SIGNED_IN
        return NOT_ALLOWED if token and not self.scopes & set(token.scopes) else None

    async def turn_away(self, code: int) -> None:
        """Say why the accepted socket cannot be had, and close it."""
        message = refusal(self.scope, code)
        await self.send(text_data=json.dumps(message, ensure_ascii=False))
        await self.close(code, message["message"])

    async def reconsider(self) -> None:
        """Close where it must be, at once: nothing that is under way reaches the client any more."""
        if code := self.refusal():
            await self.turn_away(code)
            await self.websocket_disconnect({"type": "websocket.disconnect", "code": code})

    async def rights_changed(self, _event: Any) -> None:
        await identify(self.scope, self.scope.get("proof"))
        await self.reconsider()

    async def websocket_connect(self, message: Any) -> None:
        if self.scope.get("proof"):
            self._group = rights_group(self.scope["user"].pk)
            await self.channel_layer.group_add(self._group, self.channel_name)
            await identify(self.scope, self.scope["proof"])  # what changed before the group was joined
            self._watching = asyncio.create_task(self._look_again())
        await super().websocket_connect(message)  # type: ignore[misc]

    async def websocket_disconnect(self, message: Any) -> None:
        if self._watching:
            self._watching.cancel()
            await self.channel_layer.group_discard(self._group, self.channel_name)
        await super().websocket_disconnect(message)  # type: ignore[misc]

    async def _look_again(self) -> None:
        while self.scope["proof"]:
            expires = self.scope["token"] and self.scope["token"].expires_at
            left = (expires - timezone.now()).total_seconds() if expires else LOOK_AGAIN
            await asyncio.sleep(min(max(left, AGAIN_SOON), LOOK_AGAIN))
            with suppress(ChannelFull):  # its client reads slowly; asked again
                await self.channel_layer.send(self.channel_name, {"type": RIGHTS_CHANGED})
