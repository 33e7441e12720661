"""Live sessions: the link to one before it begins, and who may open it. Sound and captions go over the sockets."""

from asgiref.sync import sync_to_async
from django.urls import reverse
from ninja import Router

from accounts.auth import ApiRequest, Scope, needs
from recordings.api.schemas import LiveLink, LivePatch, errors
from recordings.live.access import open_to
from recordings.live.sessions import prepare
from recordings.models import LiveSession
from web.problems import not_found

router = Router(tags=["live"])


@router.post(
    "live/link",
    auth=needs(Scope.TRANSCRIBE),
    response={200: LiveLink, **errors()},
    summary="Get the link of the live session that begins next",
)
async def live_link(request: ApiRequest) -> LiveLink:
    """Viewers may wait at the link. The session begins when its id is sent in the `start` of `/ws/live`. Until then
    each call gives the same session."""
    return _link(request, await sync_to_async(prepare)(request.auth.user.pk))


@router.patch(
    "live/{slug:session}",
    auth=needs(Scope.TRANSCRIBE),
    response={200: LiveLink, **errors(400, 404)},
    summary="Open a live session to everyone who has the link, or close it",
)
async def patch_live(request: ApiRequest, session: str, patch: LivePatch) -> LiveLink:
    """At any time: while the session is only prepared, while it goes on, and when its text can be read at the link."""
    row = await LiveSession.objects.filter(pk=session, owner=request.auth.user).afirst()
    if row is None:
        raise not_found()
    await open_to(row, everyone=patch.public)
    return _link(request, row)


def _link(request: ApiRequest, row: LiveSession) -> LiveLink:
    link = request.build_absolute_uri(reverse("recordings:viewer", args=[row.pk]))
    return LiveLink(session=row.pk, link=link, public=row.public)
