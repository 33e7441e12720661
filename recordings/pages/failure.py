"""A failed transcription in words: what happened, what was kept, and what the person can do."""

from dataclasses import dataclass
from functools import cached_property

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from recordings.models import Transcription
from recordings.templatetags.reading import clock
from web.codes import error_words

MOST_ATTEMPTS = 10  # that are listed


@dataclass(frozen=True)
class Remedy:
    """What helps against some of the errors.

    words: the advice. button: what the page offers for it: "retry", "options" (the dialog with language and model),
    or "upload" (the library).
    """

    words: Promise
    button: str


_AGAIN = Remedy(_("Retry. If it fails again, tell your administrator."), "retry")
_OPTIONS = Remedy(_("Transcribe it with another language, model or sound track."), "options")
_ADMIN = Remedy(_("Tell your administrator: the details below help to find the cause. Then retry."), "retry")
_FILE = Remedy(_("Upload the file once more, from where it came, or in another format."), "upload")
_PARTS = Remedy(_("Upload it in shorter parts."), "upload")

# The remedy for each code with which a job can end; a code of an older version has the first one.
REMEDIES = {
    "bypass_refused": _ADMIN,
    "crashed_decoder": _ADMIN,
    "damaged": _FILE,
    "deadline_exceeded": _AGAIN,
    "empty_file": _FILE,
    "internal_error": _ADMIN,
    "misconfigured": _ADMIN,
    "nested_permit": _ADMIN,
    "no_sound": _FILE,
    "no_such_track": _OPTIONS,
    "not_admitted": _AGAIN,
    "not_audio": _FILE,
    "out_of_memory": _AGAIN,
    "poison": _ADMIN,
    "protocol_error": _ADMIN,
    "queue_full": _AGAIN,
    "rejected": _OPTIONS,
    "server_busy": _AGAIN,
    "server_error": _AGAIN,
    "source_missing": _ADMIN,
    "superseded": _AGAIN,
    "timed_out": _AGAIN,
    "too_complex": _PARTS,
    "too_long": _PARTS,
    "transcription_failed": _AGAIN,
    "truncated": _FILE,
    "unknown_codec": _FILE,
    "unreachable": _AGAIN,
}


@dataclass(frozen=True)
class Failure:
    """A transcription that failed."""

    run: Transcription

    @property
    def what(self) -> str:
        return error_words(self.run.error_code)

    @property
    def kept(self) -> str:
        sound = self.run.error_code != "source_missing"
        if self.run.segments_done:
            values = {"time": clock(self.run.seconds_done)}
            if sound:
                return gettext("The recording and the text of its first %(time)s are kept.") % values
            return gettext("The text of its first %(time)s is kept.") % values
        return gettext("The recording is kept.") if sound else ""

    @property
    def remedy(self) -> Remedy:
        return REMEDIES.get(self.run.error_code, _AGAIN)

    @cached_property
    def attempts(self) -> list["Failure"]:
        """The transcriptions of the recording that failed one after the other, up to this one; the newest first."""
        runs = Transcription.objects.filter(recording=self.run.recording_id, pk__lte=self.run.pk).order_by("-pk")
        failed = []
        for run in runs[:MOST_ATTEMPTS]:
            if run.status != Transcription.Status.FAILED:
                break
            failed.append(Failure(run))
        return failed
