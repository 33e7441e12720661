"""How many bytes one person may store: USER_MAX_BYTES, or any number where that is 0."""

from contextlib import suppress

from django.conf import settings
from django.db.models import Sum
from django.template.defaultfilters import filesizeformat
from django.utils.functional import lazy

from recordings.models import LiveSession, Recording, Upload
from web.problems import Problem

size_words = lazy(filesizeformat, str)  # “1.5 GB”, in the language of the person that reads it


def used(owner_id: int, besides: Upload | None = None) -> int:
    """Bytes that a person's recordings take: files as they came, uploads under way as announced (except `besides`), and
    the sound of live sessions so far. Copies for browsers do not count: the person did not ask for them."""
    recordings = Recording.objects.filter(owner=owner_id).aggregate(bytes=Sum("bytes", default=0))["bytes"]
    uploads = Upload.objects.filter(owner=owner_id, recording=None)
    if besides:
        uploads = uploads.exclude(pk=besides.pk)
    return int(recordings + uploads.aggregate(bytes=Sum("bytes", default=0))["bytes"]) + _spoken(owner_id)


def _spoken(owner_id: int) -> int:
    size = 0
    for session in LiveSession.objects.filter(owner=owner_id, recording=None):
        with suppress(FileNotFoundError):  # no sound yet, or it became a recording meanwhile
            size += session.sound.stat().st_size
    return size


def left(owner_id: int, besides: Upload | None = None) -> float:
    """Bytes that a person may still store; infinity where USER_MAX_BYTES is 0."""
    return settings.USER_MAX_BYTES - used(owner_id, besides) if settings.USER_MAX_BYTES else float("inf")


def require(owner_id: int, more: int, besides: Upload | None = None) -> None:
    """Raise Problem 413 where a person may not store `more` bytes besides what is there."""
    if not settings.USER_MAX_BYTES:
        return
    taken = used(owner_id, besides)
    if taken + more > settings.USER_MAX_BYTES:
        raise Problem("quota_exceeded", used=size_words(taken), most=size_words(settings.USER_MAX_BYTES))
