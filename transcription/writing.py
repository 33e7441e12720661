"""Rules of scripts: which of them write no spaces between words, and which characters belong together.

The ranges are blocks of Unicode (unicode.org/Public/UNIDATA/Blocks.txt), to be used inside a character class.
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
# Full-width punctuation of Chinese and Japanese. Its glyphs include the space.
CJK_PUNCTUATION = "\u3001-\u3003\u3008-\u301f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"

# Thai and Lao vowels that are written before their consonant. UAX 29 allows a cut between the two, but readers do not.
_LEADING_VOWELS = "\u0e40-\u0e44\u0ec0-\u0ec4"
# A grapheme cluster of UAX 29: one letter with all its marks, or one emoji.
CLUSTER = rf"(?:[{_LEADING_VOWELS}](?=[\u0e00-\u0eff]))?\X"

# Quotation marks and dots belong to every script. The letters beside them decide.
_ANY_SCRIPT = "“”‘’…—\"'"
_ENDS_CJK = regex.compile(rf"[{CJK}{CJK_PUNCTUATION}]")


def clusters(text: str) -> list[str]:
    """Cut the text into grapheme clusters. A line may be broken after each."""
    return list(text) if text.isascii() else _CLUSTER.findall(text)


_CLUSTER = regex.compile(CLUSTER, regex.DOTALL)


def gap(before: str, after: str) -> str:
    """The gap between two texts: a space, or nothing between two Chinese or Japanese texts and beside an empty one."""
    if not before or not after:
        return ""
    last, first = _deciding(reversed(before)), _deciding(iter(after))
    return "" if _ENDS_CJK.match(last) and _ENDS_CJK.match(first) else " "


def _deciding(characters: Iterable[str]) -> str:
    return next((char for char in characters if char not in _ANY_SCRIPT), "")


def join(texts: Iterable[str]) -> str:
    """Join texts, with the gaps of their scripts."""
    pieces: list[str] = []
    for text in filter(None, texts):
        if pieces:
            pieces.append(gap(pieces[-1], text))
        pieces.append(text)
    return "".join(pieces)


def head(text: str, most: int) -> str:
    """The beginning of the text, at most `most` characters, cut between two clusters."""
    ends = (match.end() for match in _CLUSTER.finditer(text))
    return text[: max(takewhile(lambda end: end <= most, ends), default=0)]


def tail(text: str, most: int) -> str:
    """The end of the text, at most `most` characters, cut between two clusters."""
    starts = (match.start() for match in _CLUSTER.finditer(text))
    return text[next((start for start in starts if len(text) - start <= most), len(text)) :]
