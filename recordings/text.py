"""Text that people type: cleaned of what no title, prompt or correction needs, and names no path."""

import unicodedata
from collections.abc import Callable
from typing import Annotated

from django.utils.translation import gettext as _
from pydantic import AfterValidator, StringConstraints

from transcription.writing import head

# Cc: control characters; Cs: halves of surrogate pairs; Zl, Zp: line breaks that only Unicode knows.
UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}


def one_line(text: str) -> str:
    """The text on one line: every control character and every run of white space is one space."""
    return " ".join("".join(" " if unicodedata.category(c) in UNPRINTABLE else c for c in text).split())


def lines(text: str) -> str:
    """As `one_line`, but for the line breaks that somebody made; empty lines go."""
    return "\n".join(filter(None, map(one_line, text.splitlines())))


def filename_fault(name: str) -> str | None:
    """What is wrong with a file's name, as a sentence; None where it can be kept as it is."""
    if len(name) > 255:
        return _("The file’s name is longer than 255 characters.")
    if "/" in name or "\\" in name or name in {".", ".."}:
        return _("The file’s name is a path. Send the name alone, without “/”, “\\” or “..”.")
    if any(unicodedata.category(c) in UNPRINTABLE for c in name):
        return _("The file’s name has control characters in it.")
    return None


def download_name(title: str, suffix: str) -> str:
    """A file name from a title, in any script, that no file system or header stumbles over."""
    name = one_line(title).translate(dict.fromkeys(map(ord, '/\\:*?"<>|'), "_")).strip(" .")
    return (head(name, 100) or "recording") + suffix


# The languages Whisper was trained on, its own codes and names (openai/whisper, tokenizer.py: LANGUAGES).
_NAMED = (
    "af afrikaans, am amharic, ar arabic, as assamese, az azerbaijani, ba bashkir, be belarusian, bg bulgarian, "
    "bn bengali, bo tibetan, br breton, bs bosnian, ca catalan, cs czech, cy welsh, da danish, de german, "
    "el greek, en english, es spanish, et estonian, eu basque, fa persian, fi finnish, fo faroese, fr french, "
    "gl galician, gu gujarati, ha hausa, haw hawaiian, he hebrew, hi hindi, hr croatian, ht haitian creole, "
    "hu hungarian, hy armenian, id indonesian, is icelandic, it italian, ja japanese, jw javanese, ka georgian, "
    "kk kazakh, km khmer, kn kannada, ko korean, la latin, lb luxembourgish, ln lingala, lo lao, lt lithuanian, "
    "lv latvian, mg malagasy, mi maori, mk macedonian, ml malayalam, mn mongolian, mr marathi, ms malay, "
    "mt maltese, my myanmar, ne nepali, nl dutch, nn nynorsk, no norwegian, oc occitan, pa punjabi, pl polish, "
    "ps pashto, pt portuguese, ro romanian, ru russian, sa sanskrit, sd sindhi, si sinhala, sk slovak, "
    "sl slovenian, sn shona, so somali, sq albanian, sr serbian, su sundanese, sv swedish, sw swahili, ta tamil, "
    "te telugu, tg tajik, th thai, tk turkmen, tl tagalog, tr turkish, tt tatar, uk ukrainian, ur urdu, uz uzbek, "
    "vi vietnamese, yi yiddish, yo yoruba, yue cantonese, zh chinese"
)
LANGUAGES = {code: name for code, _space, name in (language.partition(" ") for language in _NAMED.split(", "))}


def language_code(text: str) -> str:
    """A language Whisper knows; empty or “auto” means that it shall find out by itself."""
    code = text.strip().lower()
    if code in {"", "auto"}:
        return ""
    if code not in LANGUAGES:
        raise ValueError(_("Whisper does not know this language. Use a code such as “en” or “zh”."))
    return code


def _checked(clean: Callable[[str], str], longest: int) -> Callable[[str], str]:
    def check(text: str) -> str:
        cleaned = clean(text)
        if len(cleaned) > longest:
            raise ValueError(_("This is longer than %(longest)d characters.") % {"longest": longest})
        return cleaned

    return check


Title = Annotated[str, AfterValidator(_checked(one_line, 255))]
# Whisper reads at most the last 224 tokens of a prompt (half its context of 448): about 1,000 characters. Twice
# that is kept for people who list more.
Prompt = Annotated[str, AfterValidator(_checked(one_line, 2_000))]
# Nobody says more in the 30 s of a segment; people who paste a chapter have the wrong field.
Correction = Annotated[str, AfterValidator(_checked(lines, 10_000))]
Language = Annotated[str, AfterValidator(language_code), StringConstraints(max_length=16)]
