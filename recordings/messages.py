"""What the product says to people: one sentence per error code, and times and places in words."""

from typing import Protocol

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

ERRORS: dict[str, Promise] = {
    # the gate
    "queue_full": _("The queue is full. Try again in a few minutes."),
    "deadline_exceeded": _("This waited longer than it was allowed to, so it was dropped."),
    "superseded": _("A newer request took its place."),
    "not_admitted": _("The request was not let through to the Whisper server."),
    "nested_permit": _("Something went wrong inside the product. The administrator finds the details in the log."),
    "bypass_refused": _("The request asked to skip the line, which is not allowed here."),
    # the Whisper server's answer
    "out_of_memory": _("The Whisper server ran out of GPU memory."),
    "server_busy": _("The Whisper server was too busy to answer."),
    "unreachable": _("The Whisper server cannot be reached. The recording is safe."),
    "poison": _("The Whisper server broke down each time it was given a certain part of this recording."),
    "timed_out": _("The Whisper server took too long, so we stopped waiting."),
    "server_error": _("The Whisper server reported an error."),
    "protocol_error": _("The Whisper server gave an answer that makes no sense."),
    "rejected": _("The Whisper server refused this: the audio, or the model or language asked for, may be wrong."),
    "misconfigured": _("The Whisper server does not fit this product’s settings. The administrator has to mend that."),
    "transcription_failed": _("The transcription failed."),
    # uploads
    "not_audio": _("This isn’t audio or video we can read."),
    "unknown_codec": _("We can’t read sound of this kind: %(detail)s."),
    "empty_file": _("The file is empty."),
    "no_sound": _("The file has no sound in it."),
    "truncated": _("The file is cut off before anything that could be read."),
    "damaged": _("The file is damaged and cannot be read."),
    "source_missing": _("The audio file is no longer on the server."),
    "no_such_track": _("There is no sound track of this number: the file has %(detail)s."),
    "too_long": _("The recording is longer than this server accepts."),
    "too_complex": _("To read this file takes far more memory or time than a recording of its size should."),
    "crashed_decoder": _("The program that reads recordings broke down on this file."),
    "too_large": _("The file is larger than this server accepts."),
    "invalid_filename": _("The file’s name cannot be used. Rename it and try again."),
    "disk_full": _("The server’s disk is full. Nothing was kept of this upload."),
}


def error_words(code: str, detail: str = "") -> str:
    """The sentence for an error code in the active language; a code without one gets the general sentence.

    detail: what the sentence names, where it names something; a "?" stands for what is not known.
    """
    return str(ERRORS.get(code, ERRORS["transcription_failed"])) % {"detail": detail or "?"}


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
