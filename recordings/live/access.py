"""Who may watch a live session."""

from recordings.live.messages import tell_changed
from recordings.models import LiveSession


async def open_to(session: LiveSession, *, everyone: bool) -> None:
    """Let everyone who has the link watch, or only the owner. Viewers who may not watch any more are sent away."""
    session.public = everyone
    await LiveSession.objects.filter(pk=session.pk).aupdate(public=everyone)
    await tell_changed(session.pk)
