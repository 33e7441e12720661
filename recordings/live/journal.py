"""The sound of a live session on disk: a WAV file that grows, and a file of acknowledgements beside it.

Acknowledged sound is on disk whatever happens next. After a crash, the last acknowledgement counts that the sound on
disk reaches. Sound behind it is cut off, because the speaker sends it again.
"""

import os
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
from django.conf import settings

from transcription.audio import RATE, wav_header

SAMPLE = 2  # bytes
SECOND = RATE * SAMPLE  # bytes
HEADER = len(wav_header(0))
LARGEST = 2**32 - 1 - HEADER  # bytes of sound: a WAV file counts in 32 bits

_ACK = struct.Struct("<IQ")  # the number of the last frame, and the bytes of sound up to its end


class Journal:
    """All methods block, so they belong into threads: one writes, while another may read.

    Each may raise OSError. Nothing is changed then, and it can be called again.

    size   bytes of sound written
    last   the number of the last frame written; -1: none
    acked  the number of the last frame that is surely on disk; -1: none
    """

    def __init__(self, folder: Path, session: str) -> None:
        self.path = folder / f"{session}.wav"
        self._acks_path = folder / f"{session}.acks"
        self._sound = self._acks = -1
        self.size = 0
        self.last = self.acked = -1

    def open(self) -> None:
        """Begin the files, or go on with them."""
        self.close()  # an earlier call may have failed half-way
        self.path.parent.mkdir(exist_ok=True)
        self._sound = _opened(self.path)
        self._acks = _opened(self._acks_path)
        reached = max(0, os.fstat(self._sound).st_size - HEADER)
        acks = os.pread(self._acks, os.fstat(self._acks).st_size, 0)
        whole = len(acks) // _ACK.size * _ACK.size
        self._acks_size = 0
        for offset in range(whole - _ACK.size, -1, -_ACK.size):
            last, size = _ACK.unpack_from(acks, offset)
            if size <= reached:
                self.last, self.size, self._acks_size = last, size, offset + _ACK.size
                break
        self.acked = self.last
        os.ftruncate(self._sound, HEADER + self.size)
        os.ftruncate(self._acks, self._acks_size)
        _write(self._sound, wav_header(0), 0)

    @property
    def seconds(self) -> float:
        return self.size / SECOND

    def write(self, sound: bytes, last: int) -> None:
        """Append sound, which ends with frame `last`."""
        _write(self._sound, sound, HEADER + self.size)
        self.size += len(sound)
        self.last = last

    def sync(self) -> int:
        """Force what was written onto the disk. Returns the number of the last frame, which may be acknowledged now."""
        last, size = self.last, self.size
        os.fdatasync(self._sound)
        _write(self._acks, _ACK.pack(last, size), self._acks_size)
        os.fdatasync(self._acks)
        self._acks_size += _ACK.size
        self.acked = last
        return last

    def read(self, start: int, most: int) -> npt.NDArray[np.int16]:
        """The sound from byte `start` on, at most `most` bytes."""
        sound = os.pread(self._sound, max(0, min(most, self.size - start)), HEADER + start)
        return np.frombuffer(sound, "<i2")

    def seal(self) -> None:
        """No more sound comes. Make a proper WAV file of it: with its length in the header."""
        _write(self._sound, wav_header(self.size), 0)
        os.fdatasync(self._sound)

    def close(self) -> None:
        for file in (self._sound, self._acks):
            if file >= 0:
                os.close(file)
        self._sound = self._acks = -1

    def remove(self) -> None:
        """Remove the files, the acknowledgements last: without sound they mean nothing."""
        self.path.unlink(missing_ok=True)
        self._acks_path.unlink(missing_ok=True)


def live_folder() -> Path:
    return Path(settings.LIVE_ROOT)


def sessions_on_disk(folder: Path) -> dict[str, list[Path]]:
    """The files of each session in the folder, by the id of the session."""
    found: dict[str, list[Path]] = {}
    for path in folder.glob("*.*"):
        found.setdefault(path.name.partition(".")[0], []).append(path)
    return found


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _write(file: int, content: bytes, offset: int) -> None:
    """Write all of it. If the disk fills up half-way, the next try writes over the first half."""
    while content:
        written = os.pwrite(file, content, offset)
        content, offset = content[written:], offset + written
