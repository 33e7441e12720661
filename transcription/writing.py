"""How scripts are written: which ones put no spaces between words, and which characters belong together.

The ranges are Unicode's blocks (unicode.org/Public/UNIDATA/Blocks.txt), written for use inside a character class.
"""

from collections.abc import Iterable
from itertools import takewhile

import regex

# Chinese and Japanese: neither words nor sentences have spaces between them.
CJK = (
    "\u3005-\u3007\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff"
)
# Thai, Lao, Tibetan, Burmese, Khmer: words have no spaces between them, phrases and sentences do.
SOUTHEAST = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f"
# Full-width punctuation of Chinese and Japanese, which brings its own space.
CJK_PUNCTUATION = "\u3001-\u3003\u3008-\u301f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"

# A vowel that is written before its consonant and spoken after it. UAX 29 allows a cut between the two; readers do not.
_LEADING_VOWELS = "\u0e40-\u0e44\u0ec0-\u0ec4"
# A grapheme cluster of UAX 29: what a reader takes for one letter, with all the marks on it; or one emoji.
CLUSTER = rf"(?:[{_LEADING_VOWELS}](?=[\u0e00-\u0eff]))?\X"

# Quotation marks and dots stand in texts of every script, so the letters beside them decide.
_ANY_SCRIPT = "“”‘’…—\"'"
_ENDS_CJK = regex.compile(rf"[{CJK}{CJK_PUNCTUATION}]")


def clusters(text: str) -> list[str]:
    """The text cut into grapheme clusters; joined they are the text. A line may end after each of them."""
    return list(text) if text.isascii() else _CLUSTER.findall(text)


_CLUSTER = regex.compile(CLUSTER, regex.DOTALL)


def gap(before: str, after: str) -> str:
    """What is written between two texts that follow each other: a space, but none between Chinese or Japanese ones
    and none beside an empty text."""
    if not before or not after:
        return ""
    last, first = _deciding(reversed(before)), _deciding(iter(after))
    return "" if _ENDS_CJK.match(last) and _ENDS_CJK.match(first) else " "


def _deciding(characters: Iterable[str]) -> str:
    return next((char for char in characters if char not in _ANY_SCRIPT), "")


def join(texts: Iterable[str]) -> str:
    """Texts one after the other, with the gaps that their scripts call for."""
    pieces: list[str] = []
    for text in filter(None, texts):
        if pieces:
            pieces.append(gap(pieces[-1], text))
        pieces.append(text)
    return "".join(pieces)


def head(text: str, most: int) -> str:
    """The beginning of the text that has at most `most` characters, cut between two clusters."""
    ends = (match.end() for match in _CLUSTER.finditer(text))
    return text[: max(takewhile(lambda end: end <= most, ends), default=0)]


def tail(text: str, most: int) -> str:
    """The end of the text that has at most `most` characters, cut between two clusters."""
    starts = (match.start() for match in _CLUSTER.finditer(text))
    return text[next((start for start in starts if len(text) - start <= most), len(text)) :]
