"""The caller of a WebSocket, and the end of the socket when the caller loses the right to it.

`SocketDoor` stands before the consumers and sets `scope["user"]` (AnonymousUser for nobody) and `scope["token"]` (None
for a session). A consumer that inherits from `Rightful` closes when these lose the right:

    class Captions(Rightful, AsyncJsonWebsocketConsumer):
        scopes = frozenset({Scope.READ})  # a token needs one of them; left out: any token is accepted

        async def connect(self) -> None:
            await self.accept()  # also before a refusal: a close code only reaches the browser on an open socket
            if code := self.refusal():
                await self.turn_away(code)

When a token is revoked, changed or expires, a session ends (sign-out, a new password), or a user is deactivated,
changed or deleted, `scope["user"]` and `scope["token"]` are set anew and `reconsider` is called, which closes the
socket if `refusal` returns a code. A consumer that closes in its own way, or admits people who are not signed in,
overrides `reconsider`; one with rules of its own (staff only) overrides `refusal`. `websocket_disconnect` must reach
`Rightful`, as it does where only `disconnect` is overridden.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from channels.exceptions import ChannelFull
from channels.sessions import CookieMiddleware
from django.conf import settings
from django.contrib.auth import aget_user
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.utils import timezone, translation

from accounts.auth import Caller, Scope
from accounts.models import ApiToken, SocketTicket
from accounts.rights import RIGHTS_CHANGED, rights_group
from accounts.sessions import StoredSession, kept_as
from web.codes import CODES
from web.origins import is_own_page

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

NOT_SIGNED_IN = 4401
NOT_ALLOWED = 4403
NOT_FOUND = 4404
# For each close code, the code of the error and its sentence. The sentence is the reason of the close too, which has at
# most 123 bytes (RFC 6455, section 5.5), Chinese ones as well.
REFUSALS = {
    close: (code, CODES[code].socket or CODES[code].words)
    for close, code in ((NOT_SIGNED_IN, "not_signed_in"), (NOT_ALLOWED, "not_allowed"), (NOT_FOUND, "not_found"))
}
# Changes of rights are told at once, but not from a command beside a single process (see `rights`).
LOOK_AGAIN = 30.0  # seconds between two checks of a socket's rights
AGAIN_SOON = 0.2  # seconds until the next check, where a token has expired and the consumer is still busy


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof of identity that opened a socket: the id of a token, or the name of a session's row."""

    token: int | None
    session: str

    async def caller(self) -> Caller | None:
        """The caller whom it proves now; None once it proves nothing any more."""
        if self.token is not None:
            token = await ApiToken.living().filter(pk=self.token).afirst()
            return Caller(token.user, token) if token else None
        request = HttpRequest()
        request.session = StoredSession(self.session)
        user = await aget_user(request)
        return Caller(user) if isinstance(user, User) else None


class SocketDoor:
    """ASGI middleware that identifies the caller of a WebSocket, by `?ticket=` or else by the session cookie.

    A browser sends cookies from any page, so the Origin must be a page of the product. A program sends no Origin and
    needs a ticket. A refused client is told so on an open socket, since a close code does not reach it otherwise.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._with_cookies = CookieMiddleware(self._admit)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        origin = next((str(value, "latin-1") for name, value in scope["headers"] if name == b"origin"), None)
        if _ticket(scope) and origin is None:
            await self._admit(scope, receive, send)
        elif is_own_page(scope, origin or ""):
            await self._with_cookies(scope, receive, send)
        else:
            await turn_away(scope, send, NOT_SIGNED_IN if origin is None else NOT_ALLOWED)

    async def _admit(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await identify(scope, await _proof(scope))
        await self._app(scope, receive, send)


async def no_socket(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    """ASGI application for every address without a socket: refuses with NOT_FOUND."""
    await turn_away(scope, send, NOT_FOUND)


async def turn_away(scope: dict[str, Any], send: Any, code: int) -> None:
    """Accept the socket, send the reason of the refusal, and close it."""
    message = refusal(scope, code)
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    await send({"type": "websocket.send", "text": json.dumps(message, ensure_ascii=False)})
    await send({"type": "websocket.close", "code": code, "reason": message["message"]})


def refusal(scope: dict[str, Any], code: int) -> dict[str, str]:
    """The message that is sent before a close with this code, in the client's language."""
    name, sentence = REFUSALS[code]
    with translation.override(language_of(scope)):
        return {"type": "error", "code": name, "message": str(sentence)}


def language_of(scope: dict[str, Any]) -> str:
    """The client's language, as Django finds it for a page: from the cookie, else from `Accept-Language`."""
    request = HttpRequest()
    request.COOKIES = scope.get("cookies", {})
    headers = dict(scope["headers"])
    request.META["HTTP_ACCEPT_LANGUAGE"] = headers.get(b"accept-language", b"").decode("latin-1")
    return translation.get_language_from_request(request)


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
    """Set `user`, `token` and `proof` in the scope, as the proof stands now."""
    caller = await proof.caller() if proof else None
    scope["user"] = caller.user if caller else AnonymousUser()
    scope["token"] = caller.token if caller else None
    scope["proof"] = proof if caller else None


class Rightful:
    """Base class of consumers, before Channels' own, that closes a socket whose caller loses the right."""

    scopes: frozenset[str] = frozenset(Scope.values)
    scope: dict[str, Any]
    channel_name: str
    channel_layer: Any
    close: Callable[..., Awaitable[None]]
    send: Callable[..., Awaitable[None]]
    _watching: asyncio.Task[None] | None = None

    def refusal(self) -> int | None:
        """Close code for a caller who may not have this socket now; None for one who may."""
        user, token = self.scope["user"], self.scope.get("token")
        if not user.is_authenticated:
            return NOT_SIGNED_IN
        return NOT_ALLOWED if token and not self.scopes & set(token.scopes) else None

    async def turn_away(self, code: int) -> None:
        """Send the reason of the refusal on the accepted socket, and close it."""
        message = refusal(self.scope, code)
        await self.send(text_data=json.dumps(message, ensure_ascii=False))
        await self.close(code, message["message"])

    async def reconsider(self) -> None:
        """Close the socket where the caller has lost the right. Nothing under way reaches the client any more."""
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
            await identify(self.scope, self.scope["proof"])  # again, for changes before the group was joined
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
            with suppress(ChannelFull):  # its client reads slowly; tried again
                await self.channel_layer.send(self.channel_name, {"type": RIGHTS_CHANGED})
