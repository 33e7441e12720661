"""Small files that make a decoder use too much memory or time, or crash it.

Every function returns the bytes of a file, or of a part of one. The default sizes are of files that once hurt the
product.
"""

import struct
import zlib

# --- MP4 and MOV -------------------------------------------------------------------------------


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def movie(packets: int, size: int, offsets: list[int], data: bytes, tracks: int = 1) -> bytes:
    """An MP4 with AMR. Its index claims `packets` packets of `size` bytes in each track, in chunks at `offsets`."""
    none = bytes(4)
    matrix = struct.pack(">9I", 65536, 0, 0, 0, 65536, 0, 0, 0, 0x40000000)
    entry = bytes(6) + b"\0\1" + bytes(8) + struct.pack(">4HI", 1, 16, 0, 0, 8000 << 16)
    each = packets // len(offsets)
    table = box(
        b"stbl",
        box(b"stsd", none, struct.pack(">I", 1), box(b"samr", entry)),
        box(b"stts", none, struct.pack(">3I", 1, packets, 160)),
        box(b"stsc", none, struct.pack(">4I", 1, 1, each, 1)),
        box(b"stsz", none, struct.pack(">2I", size, packets)),
        box(b"stco", none, struct.pack(f">{1 + len(offsets)}I", len(offsets), *offsets)),
    )
    media = box(
        b"mdia",
        box(b"mdhd", none, struct.pack(">5I", 0, 0, 8000, packets * 160 % 2**32, 0)),
        box(b"hdlr", none, bytes(4), b"soun", bytes(13)),
        box(b"minf", box(b"dinf", box(b"dref", none, struct.pack(">I", 1), box(b"url ", b"\0\0\0\1"))), table),
    )
    heads = [
        box(b"tkhd", b"\0\0\0\7", struct.pack(">5I", 0, 0, 1 + n, 0, 0), bytes(16), matrix, bytes(8))
        for n in range(tracks)
    ]
    return (
        box(b"ftyp", b"mp42", none) + box(b"moov", *(box(b"trak", head, media) for head in heads)) + box(b"mdat", data)
    )


def many_claims(tracks: int = 12) -> bytes:
    """Tracks that claim five million packets each. A decoder takes 24 bytes of memory for each claimed packet."""
    return movie(5_000_000, 1, [700], bytes(20_000 if tracks == 12 else 30_000), tracks)


# --- ID3 ---------------------------------------------------------------------------------------


def many_tags(size: int = 2_200_000) -> bytes:
    """An MP3 after `size` bytes of ID3 frames with different names. A reader compares each name with all before it."""
    frames = bytearray()
    number = 0
    while len(frames) < size:
        text = b"\0%x\0" % number
        frames += b"TXXX" + struct.pack(">IH", len(text), 0) + text
        number += 1
    length = bytes(len(frames) >> shift & 0x7F for shift in (21, 14, 7, 0))
    silence = b"\xff\xfb\x90\xc4" + bytes(413)
    return b"ID3\3\0\0" + length + bytes(frames) + silence * 20


# --- Matroska ----------------------------------------------------------------------------------


def element(kind: str, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes.fromhex(kind) + (1 << 56 | len(content)).to_bytes(8) + content


def number(kind: str, value: int) -> bytes:
    return element(kind, value.to_bytes(8))


def matroska(
    codec: bytes,
    *clusters: tuple[int, bytes],
    more: bytes = b"",
    private: bytes = b"",
    rate: float = 48000,
    tags: bytes = b"",
) -> bytes:
    """A file with one track of sound. Each cluster is a time in milliseconds and its blocks."""
    sound = element("e1", element("b5", struct.pack(">d", rate)), number("9f", 1), number("6264", 16))
    track = element("ae", number("d7", 1), number("73c5", 1), number("83", 2), element("86", codec), sound, more)
    if private:
        track = element(
            "ae",
            number("d7", 1),
            number("73c5", 1),
            number("83", 2),
            element("86", codec),
            element("63a2", private),
            sound,
            more,
        )
    head = element("1a45dfa3", element("4282", b"matroska"))
    info = element("1549a966", number("2ad7b1", 1_000_000))
    parts = [element("1f43b675", number("e7", time), blocks) for time, blocks in clusters]
    return head + element("18538067", info, element("1654ae6b", track), tags, *parts)


def block(data: bytes, time: int = 0, laced: int = 0) -> bytes:
    """A block of one packet, or of `laced` packets of equal size."""
    lacing = bytes([4, laced - 1]) if laced else b"\0"
    return element("a3", b"\x81", struct.pack(">h", time), lacing, data)


def tiny_packets(size: int = 32_000_000) -> bytes:
    """Opus in packets of two bytes and 2.5 ms."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, 48000, 0, 0)
    blocks = block(b"\xe0\xff" * 256, laced=256)
    each = 640  # milliseconds of sound in a block
    clusters = [(each * n, blocks) for n in range(size // (len(blocks) + 40))]
    return matroska(b"A_OPUS", *clusters, private=head)


def long_gap(hours: float = 11.9) -> bytes:
    """Two packets with a gap of hours between them."""
    packet = block(bytes(3200))
    return matroska(b"A_PCM/INT/LIT", (0, packet), (round(hours * 3_600_000), packet), rate=16000)


def unfolding(packets: int = 45, each: int = 13_000_000) -> bytes:
    """Compressed packets that become a thousand times as long."""
    folded = zlib.compress(bytes(each))
    encoding = element("6d80", element("6240", element("5034", number("4254", 0))))
    return matroska(b"A_PCM/INT/LIT", *((n, block(folded)) for n in range(packets)), more=encoding, rate=16000)


def long_tag() -> bytes:
    """A tag with a duration whose number of hours has 400 digits."""
    simple = element("67c8", element("45a3", b"DURATION"), element("4487", b"9" * 400 + b":00:00.0"))
    tags = element("1254c367", element("7373", element("63c0", number("63c5", 1)), simple))
    return matroska(b"A_PCM/INT/LIT", (0, block(bytes(32_000))), rate=16000, tags=tags)


# --- WAV ---------------------------------------------------------------------------------------


def wave(channels: int, rate: int, data: bytes) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def one_hertz(size: int = 32_000) -> bytes:
    """Noise with one sample per second: hours of sound in a small file."""
    return wave(1, 1, bytes(n * n * 7 % 251 for n in range(size)))


def many_channels(channels: int = 65) -> bytes:
    return wave(channels, 16000, bytes(channels * 2 * 16000))


# --- FLV and ASF -------------------------------------------------------------------------------


def late_streams(size: int = 6_000_000) -> bytes:
    """An FLV of sound, and at its end pictures that the header does not name. A decoder expects no new stream there."""

    def tag(kind: int, milliseconds: int, data: bytes) -> bytes:
        head = bytes([kind]) + len(data).to_bytes(3) + milliseconds.to_bytes(3) + bytes(4)
        return head + data + (11 + len(data)).to_bytes(4)

    sound = [tag(8, n * 46, b"\x3e" + bytes(4096)) for n in range(size // 4096)]  # 44.1 kHz, one channel, 16 bits
    pictures = [tag(9, len(sound) * 46, b"\x22" + bytes(5))] * 3
    return b"FLV\1\4\0\0\0\x09" + bytes(4) + b"".join([*sound, *pictures])


def short_asf() -> bytes:
    """An ASF of 74 bytes: an empty header and the beginning of the data."""
    head, data = "3026b2758e66cf11a6d900aa0062ce6c", "3626b2758e66cf11a6d900aa0062ce6c"
    head_object = bytes.fromhex(head) + struct.pack("<QIBB", 30, 1, 1, 2)
    return head_object + bytes.fromhex(data) + struct.pack("<Q", 44) + bytes(20)
