"""The terms of a text: what the index knows of it, in the same way on both databases.

A term is a word: a run of letters, digits and marks, in lower case, its Latin letters without accents. Scripts that
write no spaces (Chinese, Japanese, Thai …) and Korean, which writes compounds and endings without them, give two
characters that stand side by side as a term, and the last character of a run alone:

    GPU服务器 v2  →  gpu 服务 务器 器 v2

So a word of two characters or more is found inside of a longer run, and one character as the beginning of a term.
"""

import sys
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from unicodedata import normalize

import regex

from transcription.writing import CJK, SOUTHEAST

UNSPACED = CJK + SOUTHEAST + "\uac00-\ud7a3"  # inside a character class
LONGEST = 10_000  # characters of a text that are looked at: as many as a correction may have
WORD = r"\p{L}\p{N}\p{M}\p{Co}"  # inside a character class: what words consist of, as for SQLite's tokenizer
_RUN = regex.compile(rf"[{UNSPACED}]+|[[{WORD}]--[{UNSPACED}]]+", regex.V1)
_ACCENTS = regex.compile("(?<=[A-Za-z])[\u0300-\u036f]+")


def fold(text: str) -> str:
    """The text in lower case, its Latin letters without accents."""
    return text.lower() if text.isascii() else normalize("NFC", _ACCENTS.sub("", normalize("NFD", text))).lower()


def folded_with_places(text: str) -> tuple[str, list[int]]:
    """The folded text, and for each of its characters, and its end, the place in `text` that it comes from."""
    if text.isascii():
        return text.lower(), list(range(len(text) + 1))
    pieces: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        piece = fold(character)
        if "\u0300" <= character <= "\u036f" and pieces and pieces[-1].isascii():
            piece = ""  # the accent of the letter before
        pieces.append(piece)
        places += [place] * len(piece)
    return "".join(pieces), [*places, len(text)]


def runs(folded: str) -> list[tuple[str, bool]]:
    """The words of a folded text, cut where the script changes; each with whether its script writes no spaces."""
    return [(run, bool(_UNSPACED.match(run))) for run in _RUN.findall(folded)]


_UNSPACED = regex.compile(f"[{UNSPACED}]")


def terms(run: str, unspaced: bool) -> Iterator[str]:
    """The terms of a run."""
    if not unspaced:
        yield run
        return
    for one, following in pairwise(run):
        yield one + following
    yield run[-1]


def separators() -> str:
    """All characters that belong to no word, as ranges for a character class of PostgreSQL, which knows no \\p."""
    ranges: list[list[int]] = []
    for code in range(1, sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category[0] in "PSZ" or category in ("Cc", "Cf"):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\U{first:08X}-\\U{last:08X}" for first, last in ranges)
