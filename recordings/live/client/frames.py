"""Sound for a live session, from a file or a pipe, in pieces of the size of a frame."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress

import av
from av.audio.resampler import AudioResampler
from django.conf import settings

from recordings.live.client.client import FRAME, SECOND
from transcription.audio import RATE
from transcription.audio.media import opened
from transcription.audio.sound import Sound
from transcription.audio.waveform import Downmix
from transcription.errors import BadAudio

READ = 4096  # bytes that are read at once: an eighth of a second of raw sound
AHEAD = 10  # frames that are read before they are sent, at most
# The first bytes of each container that can be read from a pipe, and its name in FFmpeg.
CONTAINERS = {b"RIFF": "wav", b"fLaC": "flac", b"OggS": "ogg", b"ID3\x03": "mp3", b"\x1aE\xdf\xa3": "matroska"}


def from_file(path: str) -> Iterator[bytes]:
    """The sound as 16-bit mono samples at 16 kHz. Raises BadAudio and OSError."""
    downmix = Downmix()
    with open(path, "rb") as file, opened(file) as media:
        for piece in Sound(media, rate=RATE, max_hours=settings.MAX_AUDIO_HOURS):
            yield downmix(piece).tobytes()


def from_pipe(pipe: int) -> Iterator[bytes]:
    """The same from a file descriptor that cannot seek: raw sound, or one of CONTAINERS."""
    head = b""
    while len(head) < 4 and (data := os.read(pipe, 4 - len(head))):
        head += data
    if container := CONTAINERS.get(head):
        yield from _decoded(_Rest(head, pipe), container)
        return
    yield head
    while data := os.read(pipe, READ):
        yield data


class _Rest:
    """A pipe as a file for FFmpeg. `head`: bytes that were read from it before."""

    def __init__(self, head: bytes, pipe: int) -> None:
        self._head = head
        self._pipe = pipe

    def read(self, size: int) -> bytes:
        head, self._head = self._head, b""
        return head or os.read(self._pipe, size)


def _decoded(rest: _Rest, container: str) -> Iterator[bytes]:
    resampler = AudioResampler(format="s16", layout="mono", rate=RATE)
    try:
        with av.open(rest, mode="r", format=container, buffer_size=READ) as media:
            for frame in media.decode(audio=0):
                for resampled in resampler.resample(frame):
                    yield resampled.to_ndarray().tobytes()
        for resampled in resampler.resample(None):
            yield resampled.to_ndarray().tobytes()
    except (av.FFmpegError, IndexError):
        raise BadAudio("not_audio", f"The sound begins like {container}, but cannot be read as that.") from None


async def frames(pieces: Iterator[bytes], *, pace: bool) -> AsyncGenerator[bytes, None]:
    """The sound in pieces of FRAME bytes, read in a thread. pace=True: no faster than it is spoken.

    If nothing comes through the pipe any more, the thread waits for ever. It does not keep the process from ending.
    """
    loop, line = asyncio.get_running_loop(), asyncio.Queue[bytes | Exception | None]()
    room, given_up = threading.Semaphore(AHEAD), threading.Event()

    def put(what: bytes | Exception | None) -> None:
        with suppress(RuntimeError):  # the loop is closed, so nobody waits for it
            loop.call_soon_threadsafe(line.put_nowait, what)

    def read() -> None:
        try:
            for frame in _framed(pieces):
                room.acquire()
                if given_up.is_set():
                    return
                put(frame)
        except Exception as error:
            put(error)
        else:
            put(None)

    threading.Thread(target=read, name="sound", daemon=True).start()
    due = time.monotonic()
    try:
        while (what := await line.get()) is not None:
            if isinstance(what, Exception):
                raise what
            room.release()
            if pace:
                due += len(what) / SECOND  # the moment when its last sample is spoken
                await asyncio.sleep(due - time.monotonic())
            yield what
    finally:
        given_up.set()
        room.release()


def _framed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= FRAME:
            yield bytes(waiting[:FRAME])
            del waiting[:FRAME]
    if len(waiting) > 1:
        yield bytes(waiting[: len(waiting) // 2 * 2])
