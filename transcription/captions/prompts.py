"""The prompt of each recognition: names and terms that people expect, and the end of the text so far."""

PROMPT = 200  # Whisper's tokens, about; it takes 224
RECENT = 60  # of them, at most, for the text so far
TOKEN_ASCII, TOKEN_OTHER = 0.3, 1.5  # Whisper's tokens for one character, about


class Prompt:
    """`terms`: the names and terms that people expect, as they wrote them."""

    def __init__(self, terms: str) -> None:
        self._terms = terms.strip()
        self._recent = ""

    def add(self, text: str) -> None:
        """Note the text of a final caption."""
        self._recent = _last_part(f"{self._recent} {text}".strip(), PROMPT)

    def text(self, *, continues: bool) -> str:
        """The prompt for an utterance. `continues`: the utterance was cut off from speech before it.

        Only then the text so far is given. Measured: after a pause it makes small models invent more sentences than it
        prevents mistakes.
        """
        room = min(RECENT, PROMPT - _cost(self._terms))
        recent = _last_part(self._recent, room) if continues else ""
        return f"{self._terms} {recent}".strip()


def _cost(text: str) -> float:
    """The number of Whisper's tokens in a text, about."""
    return sum(TOKEN_ASCII if char.isascii() else TOKEN_OTHER for char in text)


def _last_part(text: str, room: float) -> str:
    """The longest end of a text that costs at most `room` tokens and begins with a whole word."""
    at = len(text)
    while at and (room := room - _cost(text[at - 1])) >= 0:
        at -= 1
    part = text[at:]
    if at and part.isascii() and " " in part:
        part = part[part.index(" ") + 1 :]
    return part
