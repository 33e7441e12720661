"""Tickets for WebSockets."""

from typing import Any

from ninja import Router

from accounts.auth import ApiRequest, Scope, needs
from accounts.models import SocketTicket
from accounts.sessions import kept_as
from recordings.api.schemas import (
    SocketTicketOut,
    errors,
)

router = Router(tags=["sockets"])


@router.post(
    "ws-ticket",
    auth=needs(*Scope.values),
    response={200: SocketTicketOut, **errors()},
    summary="Get a ticket for a WebSocket",
)
async def socket_ticket(request: ApiRequest) -> dict[str, Any]:
    """Append it as `?ticket=…`: it opens one socket, once, with the rights of the token or the session that asks."""
    token = request.auth.token
    secret = await SocketTicket.issue(token, "" if token else kept_as(request.session.session_key or ""))
    return {"ticket": secret, "expires_in": int(SocketTicket.LIFE.total_seconds())}
