"""The errors of the protocol, from the table `web.codes`: how each closes the socket, and its sentence."""

from django.conf import settings

from recordings.storage.quota import size_words
from web.codes import CODES, Words

# For each code of a socket: the close code, or None where the socket stays open, and the sentence.
REFUSALS: dict[str, tuple[int | None, Words]] = {
    code: (row.close or None, row.live or row.words) for code, row in CODES.items() if row.close is not None
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
