"""The JSON API under /api: its routes, put together by subject."""

from django.conf import settings
from django.http import HttpRequest
from ninja import Router

from accounts.auth import Scope, needs
from recordings.api import links, live, recordings, search, stats, tickets, tokens, transcriptions, transcripts
from recordings.api.framework import JsonApi
from web.problems import not_found

api = JsonApi(
    title="Stile 听序",
    version=settings.VERSION,
    urls_namespace="api-1",
    description="Recordings in, text out, through one gate that never overloads the Whisper server.\n\n"
    "Send `Authorization: Bearer <token>`; Settings, API tokens makes one. Errors are always "
    '`{"error": {"code", "message"}}`.\n\n'
    "A token reads titles, texts and sound with the scope `read` only. Without it, the answer to a change has the ids "
    "and the status of what was changed, and nothing else.",
    auth=needs(Scope.READ),
)
rest = Router()


@rest.api_operation(
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], "{path:rest}", auth=None, include_in_schema=False
)
async def nothing_here(request: HttpRequest, rest: str) -> None:
    raise not_found()


for room in (stats, recordings, search, links, live, tickets, tokens, transcriptions, transcripts):
    api.add_router("", room.router)
api.add_router("", rest)
