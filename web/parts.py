"""The heads of the parts of a multipart form (RFC 7578), as programs write them: with more faults than the RFC allows.

Headers may be folded, quoted oddly or end in bare line feeds; a name may come in `filename*` (RFC 2231), as encoded
words (RFC 2047), or in the character set of the sender's system.
"""

import codecs
import re
from contextlib import suppress
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Protocol
from urllib.parse import unquote_to_bytes

LONGEST_HEAD = 16 * 1024  # bytes: a name of 255 Chinese characters in two spellings takes 3,100
GUESSED = 4096  # bytes; the character set of a longer text is not guessed

_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_PARAMETER = re.compile(rb';\s*([^\s=;"]+?)\s*=\s*("(?:[^"\\]|\\.)*"(?=\s*(?:;|$))|[^;]*)')
_EXTENDED = re.compile(rb"([\w!#$%&+^`{}~.:-]*)'[^']*'(.*)", re.DOTALL)  # RFC 8187: charset'language'text
_MEDIA = re.compile(rb"(?:audio|video)/|application/(?:octet-stream|ogg|mp4)\b")


class Stream(Protocol):
    def read(self, size: int) -> bytes: ...

    def unget(self, bytes: bytes) -> None: ...


class HeadTooLong(Exception):
    """The headers of a part are longer than LONGEST_HEAD."""


@dataclass(frozen=True, slots=True)
class Head:
    """The headers of a part. `is_file`: the body is a file, not the value of a field."""

    name: str
    filename: str
    content_type: str
    is_file: bool
    base64: bool


def read_head(stream: Stream) -> Head | None:
    """The headers at the beginning of a part; None for the text around the parts.

    Raises HeadTooLong.
    """
    start = stream.read(LONGEST_HEAD)
    if not (end := _END.search(start)):
        if len(start) == LONGEST_HEAD:
            raise HeadTooLong
        return None
    stream.unget(start[end.end() :])
    lines = re.split(rb"\r?\n", _FOLD.sub(b" ", start[: end.start()]))
    headers = {name.strip().lower(): value.strip() for name, _colon, value in (line.partition(b":") for line in lines)}
    parameters = _parameters(headers.get(b"content-disposition", b""))
    if (name := _text_of(parameters, b"name")) is None:
        return None
    filename, content_type = _text_of(parameters, b"filename"), headers.get(b"content-type", b"").lower()
    return Head(
        name,
        filename or "",
        content_type.partition(b";")[0].decode("latin-1"),
        # Programs forget the file's name. An empty name comes from a page on which no file was chosen.
        is_file=bool(filename) or name == "file" or (filename is None and bool(_MEDIA.match(content_type))),
        base64=headers.get(b"content-transfer-encoding", b"").lower() == b"base64",
    )


def _parameters(header: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, value in _PARAMETER.findall(header):
        value = value.strip()
        for quote in (b'"', b"'"):
            if len(value) > 1 and value[:1] == value[-1:] == quote:
                value = re.sub(rb'\\(["\\])', rb"\1", value[1:-1]) if quote == b'"' else value[1:-1]
                break
        found.setdefault(name.lower(), value)
    return found


def _text_of(parameters: dict[bytes, bytes], name: bytes) -> str | None:
    """The parameter's text, from its extended form if there is one; None where there is no such parameter."""
    pieces = [value for key, value in sorted(parameters.items()) if re.fullmatch(re.escape(name) + rb"\*\d+\*?", key)]
    extended = parameters.get(name + b"*") or b"".join(pieces)
    if extended and (text := _extended(extended)):
        return text
    if name not in parameters:
        return None
    text = decoded(parameters[name])
    if "=?" in text:
        with suppress(HeaderParseError, LookupError, UnicodeError, ValueError):
            return str(make_header(decode_header(text)))
    return text


def _extended(value: bytes) -> str:
    charset, text = match.groups() if (match := _EXTENDED.fullmatch(value)) else (b"", value)
    raw = unquote_to_bytes(text)
    with suppress(LookupError, UnicodeError):
        if charset and codecs.lookup(charset.decode())._is_text_encoding:
            return raw.decode(charset.decode())
    return decoded(raw)


def decoded(raw: bytes) -> str:
    """Text of bytes in UTF-8, or in the character set that they are most likely in; U+FFFD stands for unreadable bytes.

    Only likely guesses are made: Western European letters among ASCII ones, or a text in common
    Chinese or Japanese characters. Cyrillic and Arabic are not guessed: their bytes are rare Chinese characters.
    Korean in EUC-KR is taken for Chinese, as its bytes are common Chinese characters.
    """
    with suppress(UnicodeDecodeError):
        return raw.decode()
    if len(raw) <= GUESSED:
        for charset, fits in _GUESSES:
            with suppress(UnicodeDecodeError):
                if fits(text := raw.decode(charset), raw):
                    return text
    return re.sub("\ufffd+", "\ufffd", raw.decode(errors="replace"))


def _western(text: str, raw: bytes) -> bool:
    """Whether accented letters stand in ones or twos beside plain letters, as in Gespräch, Müßig, été."""
    runs = re.findall(r"([A-Za-z]?)([^\x00-\x7f]+)(?=([A-Za-z]?))", text)
    return all(
        len(run) <= 2 and (before or after) and not re.search("[^À-ÖØ-öø-ÿŒœŠšŽžŸ]", run) for before, run, after in runs
    )


def _simplified(text: str, raw: bytes) -> bool:
    return _mostly(raw, rb"[\x81-\xfe][\x40-\xfe]", rb"[\xb0-\xd7][\xa1-\xfe]")  # GB 2312's common characters


def _traditional(text: str, raw: bytes) -> bool:
    return _mostly(raw, rb"[\x81-\xfe][\x40-\xfe]", rb"[\xa4-\xc6][\x40-\xfe]")  # Big5's common characters


def _japanese(text: str, raw: bytes) -> bool:
    """Whether most are kana or common characters (JIS level 1). Half-width kana are bytes of other character sets."""
    if re.search("[\uff61-\uff9f]", text):
        return False
    return _mostly(raw, rb"[\x81-\x9f\xe0-\xfc][\x40-\xfc]", rb"\x82[\x9f-\xf1]|\x83[\x40-\x96]|[\x88-\x98][\x40-\xfc]")


def _mostly(raw: bytes, character: bytes, common: bytes) -> bool:
    found = re.findall(character, raw)
    return bool(found) and 2 * sum(bool(re.fullmatch(common, each)) for each in found) > len(found)


_GUESSES = (
    ("cp1252", _western),
    ("gb2312", _simplified),
    ("cp932", _japanese),
    ("big5", _traditional),
    ("gbk", _simplified),
)
