"""Cleans and bounds the texts that people type: titles, prompts, corrections and file names."""

import unicodedata
from collections.abc import Callable
from typing import Annotated

from django.utils.translation import gettext as _
from pydantic import AfterValidator, Field

from transcription import languages
from transcription.writing import head

# Cc: control characters; Cs: halves of surrogate pairs; Zl, Zp: Unicode's separators of lines and paragraphs.
UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}


def one_line(text: str) -> str:
    """The text on one line: every control character and every run of white space is one space."""
    return " ".join("".join(" " if unicodedata.category(c) in UNPRINTABLE else c for c in text).split())


def lines(text: str) -> str:
    """The text with each of its lines cleaned by `one_line`, and without empty lines."""
    return "\n".join(filter(None, map(one_line, text.splitlines())))


def filename_fault(name: str) -> str | None:
    """A sentence that says what is wrong with a file's name, or None if nothing is."""
    if len(name) > 255:
        return _("The file’s name is longer than 255 characters.")
    if "/" in name or "\\" in name or name in {".", ".."}:
        return _("The file’s name is a path. Send the name alone, without “/”, “\\” or “..”.")
    if any(unicodedata.category(c) in UNPRINTABLE for c in name):
        return _("The file’s name has control characters in it.")
    return None


def download_name(title: str, suffix: str) -> str:
    """A file name for every file system and HTTP header: the title, in any script, and the suffix (“.srt”)."""
    name = one_line(title).translate(dict.fromkeys(map(ord, '/\\:*?"<>|'), "_")).strip(" .")
    return (head(name, 100) or "recording") + suffix


def language_code(text: str) -> str:
    """Whisper's code for a language in any usual form (“zh-CN”, “Chinese”); "" for “auto”, “unknown” and no text.

    Raises ValueError for every other text.
    """
    code = languages.code(text)
    if code is None:
        raise ValueError(_("Whisper does not know this language. Use a code such as “en” or “zh”."))
    return code


def _checked(clean: Callable[[str], str], longest: int) -> Callable[[str], str]:
    def check(text: str) -> str:
        cleaned = clean(text)
        if len(cleaned) > longest:
            raise ValueError(_("This is longer than %(longest)d characters.") % {"longest": longest})
        return cleaned

    return check


TokenName = Annotated[str, AfterValidator(_checked(one_line, 100)), Field(min_length=1)]  # of what is left
Title = Annotated[str, AfterValidator(_checked(one_line, 255))]
# Whisper reads at most the last 224 tokens of a prompt (half its context of 448): about 1,000 characters. Twice
# that is kept for people who list more.
Prompt = Annotated[str, AfterValidator(_checked(one_line, 2_000))]
LONGEST_CORRECTION = 10_000  # characters: much more than anybody says in the 30 s of a segment
Correction = Annotated[str, AfterValidator(_checked(lines, LONGEST_CORRECTION))]
# What is sought in a text, and what takes its place: a name, a term, at most a sentence.
Phrase = Annotated[str, AfterValidator(_checked(one_line, 500))]
SoughtPhrase = Annotated[Phrase, Field(min_length=1)]  # of what is left: an empty one would be found everywhere
Language = Annotated[str, AfterValidator(language_code)]
