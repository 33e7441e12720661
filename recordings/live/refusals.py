"""The errors of the protocol: for each code the close code of the socket (None: it stays open) and a sentence."""

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from recordings.intake.space import size_words
from recordings.messages import ERRORS

BAD_REQUEST = 4400  # close code: the client breaks the protocol, and would fail again in the same way

REFUSALS: dict[str, tuple[int | None, str | Promise]] = {
    "not_signed_in": (4401, _("Sign in first.")),
    "not_allowed": (4403, _("This token may not be used to transcribe.")),
    "not_found": (4404, _("There is no such session, or it is not yours.")),
    "open_elsewhere": (4409, _("This session goes on in another window.")),
    "frame_too_large": (4413, _("A frame holds more than half a second of sound.")),
    "too_long": (4413, ERRORS["too_long"]),
    "quota_exceeded": (
        4413,
        _("You have used up the {most} that one person may store here. Delete recordings to make room."),
    ),
    "too_many_sessions": (4429, _("You have too many live sessions open. End one of them first.")),
    "unsupported_protocol": (BAD_REQUEST, _("This server speaks the subprotocol stile.live.1.")),
    "unsupported_sample_rate": (BAD_REQUEST, _("The sound must have a sample rate of 16000.")),
    "bad_message": (BAD_REQUEST, _("The message cannot be understood.")),
    "bad_frame": (
        BAD_REQUEST,
        _("A frame is a sequence number (32 bits) and some sound, in whole samples of 16 bits."),
    ),
    "sequence_gap": (BAD_REQUEST, _("Frames are missing. Resume, and send everything that was not acknowledged.")),
    "not_started": (BAD_REQUEST, _("The first message must be “start”.")),
    "already_started": (BAD_REQUEST, _("The session has been started already.")),
    "restarting": (1012, _("The server is restarting. Come back and resume; nothing is lost.")),
    "slow_client": (1013, _("You read more slowly than captions come. Come back and resume.")),
    "database_unavailable": (1013, _("The database is not answering. Try again.")),
    "internal_error": (1011, ERRORS["nested_permit"]),
    "stopped": (None, _("The session was stopped: no more sound is taken.")),
    "disk_full": (None, _("The server’s disk is full. Nothing is lost: it goes on as soon as there is room.")),
    "storage_failed": (None, _("The server cannot write to its disk. Nothing is lost: it is tried again.")),
}


class LiveRefused(Exception):
    """A client cannot have what it asks for. `words`: a sentence in the place of the one that its code has."""

    def __init__(self, code: str, words: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.words = words


def refusal(code: str, words: str = "") -> dict[str, str]:
    """The error message, in the active language."""
    words = words or str(REFUSALS[code][1]).replace("{most}", str(size_words(settings.USER_MAX_BYTES)))
    return {"type": "error", "code": code, "message": words}
