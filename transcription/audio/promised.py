"""How many bytes a file says it has, by its structure: so one that was cut off is told from a short one."""

from collections.abc import Iterator
from io import SEEK_END
from typing import BinaryIO, Literal

_BOXES = frozenset(b"ftyp styp moov mdat moof mfra sidx free skip wide uuid meta".split())
_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")
_UNKNOWN = (0, 0xFFFFFFFF)  # what a live stream states as a length
_MOST_PARTS = 200_000  # of one file: 12 hours of MP4 in fragments of half a second are 173,000
_SLACK = 64 * 1024  # bytes; some writers are off by a little


def breaks_off(file: BinaryIO, *, complete: bool) -> bool:
    """Whether the file ends clearly before the end its structure states.

    Knows MP4, MOV, Matroska, WebM, WAV, W64, AVI, AIFF, CAF, and MP3 with a Xing header; of others it
    says no. With `complete=False` the file could not be opened, and an MP4 without an index counts as
    broken off too.
    """
    size = file.seek(0, SEEK_END)
    file.seek(0)
    head = file.read(16)
    if head[4:8] in _BOXES:
        boxes = list(_boxes(file, size))
        promised = max((end for _, end in boxes), default=0)
        if not complete and b"moov" not in {kind for kind, _ in boxes}:
            return True
    elif head.startswith(_EBML):
        promised = _segment_end(file)
    elif head[:4] in (b"RIFF", b"RF64", b"FORM"):
        promised = _chunks_end(file, size)
    elif head.startswith(b"caff"):
        promised = _caf_end(file, size)
    elif head.startswith(b"riff"):  # Wave64: its first length is that of the whole file
        promised = int.from_bytes(file.read(8), "little")
    else:
        promised = _xing_end(file)
    return promised - size > min(_SLACK, promised // 100)


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Kind and end of each box at the top of an MP4 file, up to what is no box: writers append things."""
    position = 0
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
            return
        position += length
        yield kind, position


def _chunks_end(file: BinaryIO, size: int) -> int:
    """Where the last chunk of a WAV, AVI or AIFF file ends; 0 where its writer did not know."""
    file.seek(0)
    head = file.read(8)
    order: Literal["little", "big"] = "big" if head.startswith(b"FORM") else "little"
    whole = int.from_bytes(head[4:], order)
    if whole not in _UNKNOWN:
        size = min(size, 8 + whole)  # some writers append things
    position = 12
    long = 0  # an RF64 file states the length of its data before, because a chunk's head is too small for it
    for _ in range(_MOST_PARTS):
        if position >= size:
            break
        file.seek(position)
        head = file.read(24)
        kind, length = head[:4], int.from_bytes(head[4:8], order)
        if kind == b"ds64":
            long = int.from_bytes(head[16:24], "little")
        elif kind == b"data" and long:
            length = long
        elif kind == b"data" and length in _UNKNOWN:
            return 0
        position += 8 + length + length % 2
    return position


def _caf_end(file: BinaryIO, size: int) -> int:
    """Where the last chunk of a Core Audio file ends; 0 where its writer did not know."""
    position = 8
    for _ in range(_MOST_PARTS):
        if position >= size:
            break
        file.seek(position + 4)
        length = int.from_bytes(file.read(8), signed=True)
        if length < 0:
            return 0
        position += 12 + length
    return position


def _segment_end(file: BinaryIO) -> int:
    """Where the one segment of a Matroska file ends; 0 where its writer did not know, as in a live stream."""
    file.seek(0)
    head = file.read(4096)
    at = head.find(_SEGMENT)
    if at < 0 or len(head) < at + 12 or not (first := head[at + 4]):
        return 0
    width = 9 - first.bit_length()  # an EBML number: as many zero bits before the first one as bytes follow
    value = int.from_bytes(head[at + 4 : at + 4 + width]) & ((1 << 7 * width) - 1)
    unknown = value == (1 << 7 * width) - 1
    return 0 if unknown else at + 4 + width + value


def _xing_end(file: BinaryIO) -> int:
    """Where an MP3 file ends by the count in its Xing or Info frame; 0 if it has none."""
    file.seek(0)
    head = file.read(10)
    start = 0
    if head.startswith(b"ID3"):
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    file.seek(start)
    frame = file.read(192)
    if len(frame) < 192 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:
        return 0
    for tag in (b"Xing", b"Info"):
        at = frame.find(tag, 4, 64)
        if at > 0:
            flags = int.from_bytes(frame[at + 4 : at + 8])
            counted = at + 8 + (4 if flags & 1 else 0)
            return start + int.from_bytes(frame[counted : counted + 4]) if flags & 2 else 0
    return 0
