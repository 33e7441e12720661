"""Links by which guests read a recording without an account: made, renewed, ended, and found by their secret.

Only a digest of the secret is kept. The secret is told once, to the person who makes the link.
"""

import secrets
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.db import transaction
from django.utils import timezone

from accounts.models import digest, kept_of
from recordings.models import GuestLink, Recording
from web.problems import Problem, not_found

MOST = 50  # links of one recording: one for each person of a large meeting


@transaction.atomic
def make_link(recording: Recording, *, audio: bool, days: int) -> tuple[GuestLink, str]:
    """Make a link that works for so many days. Returns its row and its secret, which is kept nowhere.

    Where there are MOST already, those that have expired make room. Raises Problem 409 where none has, and 404 where
    the recording was deleted meanwhile.
    """
    # One at a time for each recording, so that the count is right.
    if not Recording.objects.select_for_update().filter(pk=recording.pk).exists():
        raise not_found()
    links = GuestLink.objects.filter(recording=recording)
    if links.count() >= MOST:
        links.filter(expires_at__lte=timezone.now()).delete()
    if links.count() >= MOST:
        raise Problem("too_many_links", most=MOST)
    secret = _new_secret()
    link = links.create(
        recording=recording,
        audio=audio,
        expires_at=timezone.now() + timedelta(days=days),
        **kept_of(secret),
    )
    return link, secret


amake_link = sync_to_async(make_link)


def renew_link(owner_id: int, link_id: int) -> tuple[GuestLink, str]:
    """Give one of the owner's links another secret; the earlier one stops working. Raises Problem 404."""
    secret = _new_secret()
    links = GuestLink.objects.filter(pk=link_id, recording__owner=owner_id)
    if not GuestLink.objects.filter(pk__in=links.values("pk")).update(**kept_of(secret)):
        raise not_found()
    return links.get(), secret


arenew_link = sync_to_async(renew_link)


def end_link(recording: Recording, link_id: int) -> None:
    """Make a link of the recording stop working, for good. Raises Problem 404 where the recording has no such link."""
    if not GuestLink.objects.filter(recording=recording, pk=link_id).delete()[0]:
        raise not_found()


aend_link = sync_to_async(end_link)


def links_of(recording: Recording) -> list[GuestLink]:
    """The links of the recording, the newest first; also those that have expired."""
    return list(recording.links.order_by("-id"))


alinks_of = sync_to_async(links_of)


def opened(secret: str) -> GuestLink | None:
    """The link with this secret, if it works now, with its recording.

    One that has expired, one that was ended and one that never was are the same to the caller. For all of them the
    database does the same work: it looks for one digest.
    """
    return GuestLink.working().select_related("recording").filter(digest=digest(secret)).first()


aopened = sync_to_async(opened)


def works(link: GuestLink) -> bool:
    """Whether a link that was opened still works."""
    return GuestLink.working().filter(pk=link.pk).exists()


aworks = sync_to_async(works)


def _new_secret() -> str:
    return secrets.token_urlsafe(32)  # 256 bits
