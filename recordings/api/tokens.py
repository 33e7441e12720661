"""API tokens: make one, list them, revoke one. `accounts.tokens` says what a token may do with tokens."""

from typing import Any

from django.http import HttpResponse
from ninja import Router, Status

from accounts.auth import ApiRequest, Scope, needs
from accounts.models import ApiToken
from accounts.tokens import alisted_tokens, amake_token, arevoke_token
from recordings.api.schemas import TokenIn, TokenList, TokenMade, errors
from recordings.api.shapes import made_token_json, token_json
from web.compression import UNCOMPRESSED

router = Router(tags=["tokens"])


@router.post(
    "tokens",
    auth=needs(*Scope.values),
    response={201: TokenMade, **errors(409)},
    summary="Make an API token",
)
async def make_token(request: ApiRequest, response: HttpResponse, options: TokenIn) -> Any:
    """A token makes tokens with a part of its own rights: of its scopes, no higher lane or weight, no later expiry.
    They end with it, and make none themselves. The secret is in this answer only: it is not kept, so the answer to the
    same `Idempotency-Key` has a new one for the same token, and the one before stops working."""
    caller = request.auth
    lane = options.lane or (caller.token.lane if caller.token else ApiToken.Lane.INTERACTIVE)
    token, secret = await amake_token(
        caller.user,
        options.name,
        scopes=options.scopes,
        days=options.days,
        lane=lane,
        weight=options.weight,
        by=caller.token,
    )
    response["Cache-Control"] = UNCOMPRESSED
    return Status(201, made_token_json(token, secret))


@router.get(
    "tokens",
    auth=needs(*Scope.values),
    response={200: TokenList, **errors()},
    summary="List API tokens, newest first",
)
async def list_tokens(request: ApiRequest) -> dict[str, Any]:
    """A person sees all of their own that are not revoked; a token sees itself and those that it made."""
    found = await alisted_tokens(request.auth.user, request.auth.token)
    return {"items": [token_json(token) for token in found]}


@router.delete(
    "tokens/{int:id}",
    auth=needs(*Scope.values),
    response={204: None, **errors(404)},
    summary="Revoke an API token",
)
async def revoke_token(request: ApiRequest, id: int) -> Any:
    """It stops working at once, for good, and with it all tokens that it made. A token may revoke itself, and those."""
    await arevoke_token(request.auth.user, id, request.auth.token)
    return Status(204, None)
