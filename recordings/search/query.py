"""What a person typed into a search: words in any order, and “phrases”."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import regex

from recordings.search.terms import UNSPACED, WORD, fold, folded_with_places, runs, terms

LONGEST = 200  # characters of a query
_PIECE = regex.compile(r'["“”„＂](?P<phrase>[^"“”„＂]*)(?P<end>["“”„＂])?|(?P<word>[^\s"“”„＂]+)')
# A word with another sign in it (“C++”, “100%”) is found with this sign only. People leave these out, or write them
# differently than Whisper does.
_COMMON = regex.compile(r"[\s.,;:!?…'’‘()\[\]{}«»*/\\·、。，！？；：「」『』（）《》〈〉【】\-–—‐‑]+")
_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\%_"})
_SIGN = regex.compile(rf"[^{WORD}]")
_SPACED = rf"[[{WORD}]--[{UNSPACED}]]"


@dataclass(frozen=True)
class Term:
    """One word or phrase of a query.

    terms: what must stand side by side in the index. open: the last of them is a beginning.
    literal: what the text must have besides, as it was typed; "" for nothing.
    """

    terms: tuple[str, ...]
    open: bool
    literal: str
    runs: tuple[tuple[str, bool], ...]

    @cached_property
    def pattern(self) -> "regex.Pattern[str]":
        """Where a folded text has it."""
        pieces = [] if self.runs[0][1] else [f"(?<!{_SPACED})"]
        for number, (run, unspaced) in enumerate(self.runs):
            if number:
                pieces.append(f"[^{WORD}]" + ("+" if unspaced == self.runs[number - 1][1] else "*"))
            pieces.append(regex.escape(run))
        if not self.open and not self.runs[-1][1]:
            pieces.append(f"(?!{_SPACED})")
        return regex.compile("".join(pieces), regex.V1)


@dataclass(frozen=True)
class Query:
    """A query taken apart. `terms`: all of them must be found; where there are none, nothing is."""

    typed: str
    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, typed: str) -> Self:
        """`typed` may be anything. PostgreSQL takes no NUL, so it is left out."""
        typed = typed.replace("\0", "")[:LONGEST]
        pieces = list(_PIECE.finditer(typed))
        found = []
        for piece in pieces:
            last = piece is pieces[-1] and not typed[-1].isspace() and not piece["end"]
            if piece["word"]:
                found.append(_term(piece["word"], 2 if last else 4, signs=True))
            else:
                found.append(_term(piece["phrase"], 2 if last else None, signs=False))
        return cls(typed.strip(), tuple(filter(None, found)))

    @property
    def likes(self) -> list[str]:
        """Patterns of SQL’s LIKE that a text must match besides. A backslash escapes."""
        return [f"%{term.literal.translate(_ESCAPED)}%" for term in self.terms if term.literal]

    def __bool__(self) -> bool:
        return bool(self.terms)

    def places(self, text: str) -> list[tuple[int, int, int]]:
        """Where the text has the terms: [start, end) of each match, and the number of the term. In order, and none
        overlaps another."""
        folded, origin = folded_with_places(text)
        found = sorted(self._matches(folded))
        result: list[tuple[int, int, int]] = []
        for start, end, number in found:
            begin, until = origin[start], origin[end]
            if until == origin[end - 1]:  # the match ends inside of what one character became
                until += 1
            if not result or begin >= result[-1][1]:
                result.append((begin, until, number))
        return result

    def _matches(self, folded: str) -> Iterator[tuple[int, int, int]]:
        for number, term in enumerate(self.terms):
            for match in term.pattern.finditer(folded):
                yield match.start(), match.end(), number


def _term(piece: str, open_from: int | None, *, signs: bool) -> Term | None:
    """The term of a piece; None where it has neither a letter nor a digit.

    open_from: a last word of so many letters may be the beginning of one. None: it is whole.
    """
    found = runs(fold(piece))
    if not found:
        return None
    listed = [term for run in found for term in terms(*run)]
    last, unspaced = found[-1]
    if unspaced and len(last) > 1:
        listed.pop()  # the last character alone: the text may go on
    is_open = len(last) == 1 if unspaced else open_from is not None and len(last) >= open_from
    bare = _COMMON.sub("", piece)
    literal = _COMMON_ENDS.sub("", piece) if signs and _SIGN.search(bare) else ""
    return Term(tuple(listed), is_open, literal, tuple(found))


_COMMON_ENDS = regex.compile(rf"^{_COMMON.pattern}|{_COMMON.pattern}$")
