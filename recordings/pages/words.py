"""Times and places in line, in words."""

from django.utils.translation import gettext

from recordings.work.places import Place


def place_words(place: Place | None) -> str:
    """A place in line: “Next in line · about 2 min”, or “Waiting” where it is not known."""
    if place is None or place.position is None:
        return gettext("Waiting")
    if place.position == 1:
        words = gettext("Next in line")
    else:
        words = gettext("Number %(position)d in line") % {"position": place.position}
    if place.eta_seconds is None:
        return words
    return f"{words} · {about(place.eta_seconds)}"


def work_words(place: Place | None, percent: int) -> str:
    """How a job at work stands: “Transcribing 40% · about 2 min left”."""
    state = place.state if place else "transcribing"
    if state == "halted":
        return gettext("Waiting for Whisper · %(percent)d%%") % {"percent": percent}
    if state == "taking turns":
        words = gettext("Taking turns · %(percent)d%%") % {"percent": percent}
    else:
        words = gettext("Transcribing %(percent)d%%") % {"percent": percent}
    if place is None or place.eta_seconds is None:
        return words
    return words + " · " + gettext("%(time)s left") % {"time": about(place.eta_seconds)}


def about(seconds: float) -> str:
    """A time to wait. It is an estimate, so it is never told in seconds."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return gettext("less than a minute")
    if minutes < 60:
        return gettext("about %(count)d min") % {"count": minutes}
    hours = round(minutes / 60)
    return gettext("about %(count)d h") % {"count": hours}
