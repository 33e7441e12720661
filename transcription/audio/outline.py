"""The structure of a file, read from its heads alone: the end of its sound, a file joined behind it, and lengths that
only mark "not known yet".

A program that writes into a pipe cannot go back to write the length, so it leaves a mark: 0, all bits set, or the
largest length less some header. FFmpeg takes some of these marks for lengths, and then reads nothing.

The module is long because each of the eight families of formats needs a walk of its own; nothing else is in it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import SEEK_END
from typing import BinaryIO, Literal

_MOST_PARTS = 200_000  # of one file: 12 hours of MP4 in fragments of half a second are 173,000
_SLACK = 64 * 1024  # bytes; some writers are off by a little
_NEAR = 8192  # bytes: as far from its round number as marks are found, for the headers and pages that writers take off
_BOXES = frozenset(b"ftyp styp moov mdat moof mfra sidx free skip wide uuid meta emsg".split())


@dataclass(slots=True)
class Outline:
    """The structure of one file.

    missing: bytes of sound that the file announces and does not have; 0 where it announces none.
    next: position of another file that was joined behind this one; None without one.
    mended: (position, bytes) that write the true length over a mark which FFmpeg takes for a length.
    indexed: False for an MP4 without its index, which nothing can be read without.
    fragmented: an MP4 whose index is spread over the file, as in live streams.
    """

    missing: int = 0
    next: int | None = None
    mended: list[tuple[int, bytes]] = field(default_factory=list)
    indexed: bool = True
    fragmented: bool = False


def outline(file: BinaryIO, start: int = 0) -> Outline:
    """The outline of the file that begins at `start`. Reads heads only; raises the errors of reading."""
    size = file.seek(0, SEEK_END)
    file.seek(start)
    head = file.read(16)
    if head[4:8] in _BOXES:
        return _boxes_outline(file, start, size)
    if head.startswith(_EBML):
        return _matroska_outline(file, start, size)
    if head.startswith(b"OggS"):
        return _ogg_outline(file, start, size)
    if head.startswith(b".snd"):
        return _au_outline(head, start, size)
    for magic, layout in _LAYOUTS.items():
        if head.startswith(magic):
            return _chunks_outline(file, start, size, layout)
    if head.startswith(b"G") and _sync(file, start + 188) == b"G":  # an MPEG transport stream, in packets of 188 bytes
        return Outline(-(size - start) % 188)
    for magic, beginning in _BEGINNINGS.items():
        if head.startswith(magic):
            return Outline(next=next((at for at in _found(file, beginning, start, size) if at > start), None))
    return Outline(_missing(_xing_end(file, start), size))


def _sync(file: BinaryIO, position: int) -> bytes:
    file.seek(position)
    return file.read(1)


def is_mark(length: int) -> bool:
    """Whether a length, in any unit, only marks "not known"."""
    all_bits_set = length & (length + 1) == 0 and length >= 2**31 - 1
    return length <= 0 or all_bits_set or length >= 2**62


def _is_mark(length: int) -> bool:
    """Whether a length in bytes is such a mark, perhaps less some headers. SoX writes 0x7F000000 for AIFF."""
    return is_mark(length) or any(abs(length - mark) <= _NEAR for mark in (0x7F000000, 2**31, 2**32))


def _missing(promised: int, size: int) -> int:
    return promised - size if promised - size > min(_SLACK, promised // 100) else 0


# --- WAV, RF64, AVI, AIFF, CAF, W64, ASF: chunks, each with a name and a length --------------------


@dataclass(frozen=True, slots=True)
class _Layout:
    first: int  # bytes before the first chunk
    name: int  # bytes of a name
    length: int  # bytes of a length
    order: Literal["little", "big"]
    whole: bool  # the length counts name and length too
    align: int
    sound: re.Pattern[bytes]  # how a chunk begins that holds it
    again: bytes  # the beginning of a chunk that is another file


_DATA = re.compile(rb"data")
_ASF_HEADER, _ASF_DATA = bytes.fromhex("3026b275"), re.compile(re.escape(bytes.fromhex("3626b2758e66cf11a6d9")))
_LAYOUTS = {
    b"RIFF": _Layout(12, 4, 4, "little", False, 2, re.compile(rb"data|LIST....movi|RIFF....AVIX", re.DOTALL), b"RIFF"),
    b"RF64": _Layout(12, 4, 4, "little", False, 2, _DATA, b"RF64"),
    b"FORM": _Layout(12, 4, 4, "big", False, 2, re.compile(rb"SSND"), b"FORM"),
    b"caff": _Layout(8, 4, 8, "big", False, 1, _DATA, b"caff"),
    b"riff": _Layout(40, 16, 8, "little", True, 8, _DATA, b"riff"),  # Wave64
    _ASF_HEADER: _Layout(0, 16, 8, "little", True, 1, _ASF_DATA, _ASF_HEADER),
}


def _chunks_outline(file: BinaryIO, start: int, size: int, layout: _Layout) -> Outline:
    found = Outline()
    position = start + layout.first
    end = 0  # of the sound
    long = long_at = frames_at = 0
    for _ in range(_MOST_PARTS):
        if position >= size:
            break
        file.seek(position)
        head = file.read(32)
        at = position + layout.name
        body = at + layout.length
        length = int.from_bytes(head[layout.name : layout.name + layout.length], layout.order, signed=layout.length > 4)
        if layout.whole:
            length -= layout.name + layout.length
        if position > start and head.startswith(layout.again) and not layout.sound.match(head):
            found.next = position
            break
        if head.startswith(b"ds64"):  # of RF64: the length of its data, which its own head is too small for
            long, long_at = int.from_bytes(head[16:24], "little"), body + 8
        elif head.startswith(b"COMM"):
            frames_at = body + 2
        elif layout.sound.match(head):
            if long_at:
                at, length = long_at, long
            if _is_mark(length - 8 * head.startswith(b"SSND")):  # which counts two fields of its own
                found.mended = list(_mended(layout, start, size, (at, body), frames_at, long=bool(long_at)))
                return found
            end = max(end, body + length)
        elif length < 0:
            break
        position = body + length + (-(body + length - start) % layout.align)
    found.missing = _missing(end - start, size - start)
    return found


def _mended(
    layout: _Layout, start: int, size: int, sound: tuple[int, int], frames_at: int, *, long: bool
) -> Iterator[tuple[int, bytes]]:
    """Lengths as if the sound went to the end of the file. `sound`: positions of its length and of its content."""
    at, body = sound
    head = layout.name + layout.length

    def length(count: int, width: int) -> bytes:
        largest = (1 << (8 * width - 1)) - 1
        return min(count + head * layout.whole, largest).to_bytes(width, layout.order)

    yield at, length(size - body, 8 if long else layout.length)
    if long:
        yield at + 8, bytes(8)  # RF64's number of samples: none, so that the bytes count
    if frames_at:
        yield frames_at, bytes(4)  # AIFF's
    if layout.first > head:
        yield start + layout.name, length(size - start - head, layout.length)


def _au_outline(head: bytes, start: int, size: int) -> Outline:
    body, length = start + int.from_bytes(head[4:8]), int.from_bytes(head[8:12])
    if _is_mark(length):
        return Outline(mended=[(start + 8, b"\xff\xff\xff\xff")])  # the one mark that FFmpeg knows
    return Outline(_missing(body + length - start, size - start))


# --- MP4 and MOV -------------------------------------------------------------------------------------


def _boxes_outline(file: BinaryIO, start: int, size: int) -> Outline:
    kinds: set[bytes] = set()
    promised = start
    following = None
    for kind, position, end in _boxes(file, start, size):
        if kind == b"ftyp" and {b"moov", b"mdat"} <= kinds:
            following = position
            break
        kinds.add(kind)
        promised = max(promised, end)
    return Outline(
        _missing(promised - start, size - start),
        following,
        indexed=b"moov" in kinds,
        fragmented=b"moof" in kinds,
    )


def _boxes(file: BinaryIO, start: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each top-level box of an MP4 file. Ends at bytes that are no box."""
    position = start
    for _ in range(_MOST_PARTS):
        if position >= size:
            return
        file.seek(position)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4]), head[4:8]
        if kind not in _BOXES:
            return
        if length == 1:
            length = int.from_bytes(head[8:16])
        if length < 8:  # 0: as far as the file goes; less than its own head: damaged
            length = size - position
        yield kind, position, position + length
        position += length


# --- Matroska and WebM -------------------------------------------------------------------------------

_EBML, _SEGMENT, _CLUSTER = (bytes.fromhex(kind) for kind in ("1a45dfa3", "18538067", "1f43b675"))
# Elements that may follow a cluster of unknown length.
_BEHIND = frozenset(
    (_EBML, _SEGMENT, _CLUSTER, *map(bytes.fromhex, ("114d9b74", "1549a966", "1654ae6b", "1c53bb6b", "1254c367")))
)


_LARGEST_CLUSTER = 64 * 1024**2  # bytes; five seconds of video. A cluster that announces more is damaged


def _matroska_outline(file: BinaryIO, start: int, size: int) -> Outline:
    """Walks over the clusters, and into those of unknown length."""
    position, end = start, 0
    inside = False
    for _ in range(_MOST_PARTS):
        if position >= size:
            break
        kind, body, length = _element(file, position)
        if not kind or (position > start and kind == _EBML):
            break
        if kind in _BEHIND:
            inside = kind == _CLUSTER
        if length is None or kind == _SEGMENT:
            position = body
        else:
            position = body + length
            if inside:
                end = position
    following = position if start < position < size and _element(file, position)[0] == _EBML else None
    return Outline(end - size if 0 < end - size <= _LARGEST_CLUSTER else 0, following)


def _element(file: BinaryIO, position: int) -> tuple[bytes, int, int | None]:
    """Kind, position of the content, and length (None: unknown) of an EBML element. The kind is empty without one."""
    file.seek(position)
    head = file.read(12)
    wide = 9 - (head[0] if head else 0).bit_length()  # an EBML number: as many zero bits before the first one as
    if wide > 4 or len(head) < wide + 1:  # bytes follow
        return b"", position, None
    long = 9 - head[wide].bit_length()
    if long > 8:
        return b"", position, None
    none = (1 << 7 * long) - 1
    length = int.from_bytes(head[wide : wide + long]) & none
    return head[:wide], position + wide + long, None if length == none else length


# --- Ogg, MP3, and others ------------------------------------------------------------------------------

_PAGE = re.compile(rb"OggS\x00([\x00-\x07])", re.DOTALL)
_FIRST_PAGE = re.compile(rb"OggS\x00[\x02\x03\x06\x07]")  # with the flag "first page of a stream"
_LONGEST_PAGE = 27 + 255 + 255 * 255  # bytes
_LONGEST_BEGINNING = 13  # bytes, of those below
_BLOCK = 1024**2

# Beginnings of files, long enough not to occur by chance.
_BEGINNINGS = {
    b"FLV": re.compile(rb"FLV\x01[\x01\x04\x05]\0\0\0\x09\0\0\0\0"),
    b"fLaC": re.compile(rb"fLaC\0\0\0\x22"),
    b"#!AMR\n": re.compile(rb"#!AMR\n"),
    b"#!AMR-WB\n": re.compile(rb"#!AMR-WB\n"),
}


def _ogg_outline(file: BinaryIO, start: int, size: int) -> Outline:
    """In a chain of streams, first pages follow again behind other pages."""
    begun = start
    for position in _found(file, _FIRST_PAGE, start, size):
        if position != begun:
            return Outline(next=position)
        begun = _page_end(file, position)
    tail = max(start, size - 2 * _LONGEST_PAGE)
    file.seek(tail)
    last = max((tail + page.start() for page in _PAGE.finditer(file.read())), default=None)
    return Outline(max(0, _page_end(file, last) - size) if last is not None else 0)


def _found(file: BinaryIO, what: re.Pattern[bytes], start: int, size: int) -> Iterator[int]:
    """Positions of the matches of a short pattern."""
    for position in range(start, size, _BLOCK):
        file.seek(position)
        for page in what.finditer(file.read(_BLOCK + _LONGEST_BEGINNING)):
            if page.start() < _BLOCK:
                yield position + page.start()


def _page_end(file: BinaryIO, position: int) -> int:
    file.seek(position)
    head = file.read(27 + 255)
    if len(head) < 27 or len(head) < 27 + head[26]:
        return position + 27 + 255
    return position + 27 + head[26] + sum(head[27 : 27 + head[26]])


def _xing_end(file: BinaryIO, start: int) -> int:
    """End of an MP3 file by the byte count in its Xing or Info frame; 0 without one."""
    file.seek(start)
    head = file.read(10)
    first = start
    if head.startswith(b"ID3"):
        first += 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    file.seek(first)
    frame = file.read(192)
    if len(frame) < 192 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:
        return 0
    for tag in (b"Xing", b"Info"):
        at = frame.find(tag, 4, 64)
        if at > 0:
            flags = int.from_bytes(frame[at + 4 : at + 8])
            counted = at + 8 + (4 if flags & 1 else 0)
            return first + int.from_bytes(frame[counted : counted + 4]) if flags & 2 else 0
    return 0


# Kilobits a second, by the index in a header of layer 3 (ISO/IEC 11172-3, 13818-3); then samples a second by another.
_KILOBITS = (
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
)
_RATES = (44_100, 48_000, 32_000)


def mp3_frame_size(head: bytes) -> int:
    """Bytes of the frame that begins with this header of 4 bytes; 0 where it is none of MP3."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2 or head[2] & 0x0C == 0x0C:
        return 0
    version = head[1] >> 3 & 3  # 3: MPEG 1, 2: MPEG 2 with half the rates, 0: MPEG 2.5 with a quarter
    rate = _RATES[head[2] >> 2 & 3] >> {3: 0, 2: 1}.get(version, 2)
    kilobits = _KILOBITS[version == 3][head[2] >> 4]
    return (144 if version == 3 else 72) * kilobits * 1000 // rate + (head[2] >> 1 & 1)
