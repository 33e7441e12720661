"""Times and places in line, in words."""

from typing import Protocol

from django.utils.translation import gettext


class Place(Protocol):
    """Where a transcription stands: `position` 1 is next in line, None is running."""

    @property
    def position(self) -> int | None: ...

    @property
    def eta_seconds(self) -> float | None: ...


def place_words(place: Place | None) -> str:
    """“Next in line · about 2 min”; a queued transcription whose place is not known just waits."""
    if place is None or place.position is None:
        return gettext("Waiting")
    if place.position == 1:
        words = gettext("Next in line")
    else:
        words = gettext("Number %(position)d in line") % {"position": place.position}
    if place.eta_seconds is None:
        return words
    return f"{words} · {about(place.eta_seconds)}"


def about(seconds: float) -> str:
    """A time to wait, as coarse as it is known: never seconds."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return gettext("less than a minute")
    if minutes < 60:
        return gettext("about %(count)d min") % {"count": minutes}
    hours = round(minutes / 60)
    return gettext("about %(count)d h") % {"count": hours}


def took(seconds: float) -> str:
    """A time that has passed: exact while short."""
    if seconds < 60:
        return gettext("%(count)d s") % {"count": max(1, round(seconds))}
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return gettext("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest}
    hours, minutes = divmod(minutes, 60)
    return gettext("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
