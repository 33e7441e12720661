"""Links for guests: make one, list them, end one."""

from typing import Any

from django.http import HttpResponse
from ninja import Router, Status

from accounts.auth import ApiRequest, Scope, needs
from recordings.api.schemas import LinkIn, LinkList, LinkMade, errors
from recordings.api.shapes import link_json, made_link_json
from recordings.library.listing import afind
from recordings.library.sharing import aend_link, alinks_of, amake_link
from web.compression import UNCOMPRESSED

router = Router(tags=["links"])


@router.post(
    "recordings/{int:id}/links",
    auth=needs(Scope.WRITE),
    response={201: LinkMade, **errors(400, 404, 409)},
    summary="Make a link for guests",
)
async def make_link(request: ApiRequest, response: HttpResponse, id: int, options: LinkIn | None = None) -> Any:
    """Whoever has the link reads the recording’s text, as it is at that moment, without an account. Needs the scopes
    `write` and `read`. The address is in this answer only: it is not kept, so the answer to the same `Idempotency-Key`
    has a new one for the same link, and the one before stops working."""
    request.auth.require(Scope.READ)
    recording = (await afind(request.auth.user.pk, id)).recording
    link, secret = await amake_link(recording, **(options or LinkIn()).model_dump())
    response["Cache-Control"] = UNCOMPRESSED
    return Status(201, made_link_json(request, link, secret))


@router.get(
    "recordings/{int:id}/links",
    response={200: LinkList, **errors(404)},
    summary="Its links for guests, newest first",
)
async def list_links(request: ApiRequest, id: int) -> dict[str, Any]:
    """Those that have expired are among them until others take their place."""
    recording = (await afind(request.auth.user.pk, id)).recording
    return {"items": [link_json(link) for link in await alinks_of(recording)]}


@router.delete(
    "recordings/{int:id}/links/{int:link}",
    auth=needs(Scope.WRITE),
    response={204: None, **errors(404)},
    summary="End a link for guests",
)
async def end_link(request: ApiRequest, id: int, link: int) -> Any:
    """It stops working at once, for good. A guest who listens just now hears what the browser has loaded."""
    await aend_link((await afind(request.auth.user.pk, id)).recording, link)
    return Status(204, None)
