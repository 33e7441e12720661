"""Work on people's files in child processes under limits, called from the event loop.

`audio_info`, `Speech` and `copy` do what `audio_info`, `SpeechReader` and `write_playable` of `transcription.audio` do,
each in a process of its own, which `worker`'s fork server makes. The process gets the open files and is bounded
(`confine`). It is killed when the call is canceled or the iterator is closed. A process that passes a limit raises
BadAudio `too_complex`, a process that dies raises CrashedDecoder.

People take turns. Each kind of work has its own number of processes, so jobs never hold up an upload; and each person
has a share of them, so the files of one never hold up those of another.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Literal
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

from transcription.audio.confine import Limits
from transcription.audio.info import AudioInfo
from transcription.audio.reader import Stretch
from transcription.audio.tracks import Track
from transcription.audio.worker import LENGTHS, STATUS
from transcription.errors import BadAudio, CrashedDecoder

Kind = Literal["check", "job", "call", "copy", "look"]
# By kind of work: processes in all, and for the files of one person. A check takes a moment. A job or a call keeps its
# process while it waits for Whisper: 32 jobs of each lane run at once. A copy takes a whole core.
ROOMS: dict[Kind, tuple[int, int]] = {"check": (4, 2), "job": (64, 8), "call": (32, 4), "copy": (2, 1), "look": (1, 1)}

LIMITS = Limits()

_MOST_TEXT = 4 * 1024**2  # bytes of an answer's JSON; 12 hours with damage in each second take 700 kB
_MOST_SOUND = 4 * 1024**2  # bytes of samples; a stretch of 30 s takes 960 kB
_AHEAD = 1024**2  # bytes of answers read ahead, so that the process of a short clip soon ends
# A process counts as dead after _PATIENCE seconds without an answer and _SLOW for each second of CPU time that it may
# take, since a busy machine gives it a quarter of a core. It answers for every minute of sound: under a second of CPU.
_PATIENCE, _SLOW = 60.0, 4.0
_LONGEST = 500  # characters of a message in an answer

Answer = tuple[dict[str, Any], bytes]  # JSON, and samples


async def audio_info(file: BinaryIO, *, max_hours: float, owner: Hashable, track: int | None = None) -> AudioInfo:
    """The facts about the file's sound (see `transcription.audio.info`). Raises BadAudio and OSError."""
    async with _answers("check", owner, {"task": "info", "max_hours": max_hours, "track": track}, file) as answers:
        return _info(await _end(answers))


class Speech:
    """Reads a file once, from its beginning, and yields its stretches of speech in order of time, as `SpeechReader`.

    Iterating raises BadAudio and OSError. After the last stretch `duration`, `peaks`, `damaged` and `tracks` are
    there. To stop early, close the iterator.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        max_hours: float,
        owner: Hashable,
        kind: Literal["job", "call"],
        track: int | None = None,
    ) -> None:
        self._file = file
        self._request = {"task": "speech", "max_hours": max_hours, "track": track}
        self._owner = owner
        self._kind: Literal["job", "call"] = kind
        self.duration = 0.0  # seconds
        self.peaks: list[float] = []
        self.damaged: list[tuple[float, float]] = []
        self.tracks: list[Track] = []

    async def __aiter__(self) -> AsyncGenerator[Stretch]:
        async with _answers(self._kind, self._owner, self._request, self._file) as answers:
            async for content, samples in answers:
                if stretch := content.get("stretch"):
                    yield _stretch(stretch, samples)
                elif end := content.get("end"):
                    self.duration, self.peaks = float(end["duration"]), [float(peak) for peak in end["peaks"]]
                    self.damaged = list(_spans(end["damaged"]))
                    self.tracks = [Track(**track) for track in end["tracks"]]


async def copy(
    file: BinaryIO, target: BinaryIO, *, max_hours: float, owner: Hashable, track: int | None = None
) -> AsyncGenerator[float]:
    """Write a copy that browsers play to `target`, a file on disk; yields its progress in seconds of sound.

    Raises BadAudio and OSError. To stop early, close the iterator before the files.
    """
    request = {"task": "copy", "max_hours": max_hours, "track": track}
    async with _answers("copy", owner, request, file, target) as answers:
        async for content, _ in answers:
            if "at" in content:
                yield float(content["at"])


async def network_closed() -> bool:
    """Whether the processes that read files have no network. Raises CrashedDecoder where none can be started."""
    with open(os.devnull, "rb") as nothing:  # noqa: ASYNC230 this reads no disk
        async with _answers("look", None, {"task": "info", "max_hours": 0}, nothing) as answers:
            return bool((await anext(answers))[0]["network_closed"])


# --- Answers of a process, which are not trusted ----------------------------------------------------------


def _info(fields: dict[str, Any]) -> AudioInfo:
    return AudioInfo(
        **fields | {"damaged": _spans(fields["damaged"]), "tracks": tuple(Track(**track) for track in fields["tracks"])}
    )


def _spans(spans: list[Any]) -> tuple[tuple[float, float], ...]:
    return tuple((float(start), float(end)) for start, end in spans)


def _stretch(fields: dict[str, Any], samples: bytes) -> Stretch:
    return Stretch(
        index=int(fields["index"]),
        start=float(fields["start"]),
        end=float(fields["end"]),
        samples=np.frombuffer(samples, "<i2"),
        utterances=tuple((float(start), float(end)) for start, end in fields["utterances"]),
    )


async def _end(answers: AsyncIterator[Answer]) -> dict[str, Any]:
    async for content, _ in answers:
        if "end" in content:
            return dict(content["end"])
    raise CrashedDecoder("The decoder ended without an answer.")


@asynccontextmanager
async def _answers(
    kind: Kind, owner: Hashable, request: dict[str, Any], *files: BinaryIO
) -> AsyncIterator[AsyncIterator[Answer]]:
    """Start a process for the request and iterate over its answers. At the end of the block it is killed."""
    with await _room(kind).enter(owner) as place:
        ours, theirs = socket.socketpair()
        lifeline, its_end = socket.socketpair()
        place.enter_context(lifeline)
        lifeline.setblocking(False)
        with theirs, its_end:
            _fork_server().fork(theirs, its_end, *files)
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_AHEAD)
        exit_code = asyncio.create_task(_exit_code(lifeline))
        left = place.pop_all()  # left when the process ends, though answers may still be unread
        exit_code.add_done_callback(lambda _: left.close())
    try:
        writer.write(json.dumps(request | {"limits": asdict(LIMITS)}).encode() + b"\n")
        size = os.fstat(files[0].fileno()).st_size
        yield _read(reader, exit_code, patience=_PATIENCE + _SLOW * LIMITS.cpu_seconds(size))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CrashedDecoder(f"The process that reads the file makes no sense: {error!r:.200}") from error
    finally:
        writer.transport.abort()
        exit_code.cancel()


async def _read(
    reader: asyncio.StreamReader, exit_code: asyncio.Task[int | None], patience: float
) -> AsyncIterator[Answer]:
    """The answers up to the one with `end`. Raises the error that an answer reports, or the death of the process."""
    content: dict[str, Any] = {}
    while "end" not in content:
        try:
            async with asyncio.timeout(patience):
                text, sound = LENGTHS.unpack(await reader.readexactly(LENGTHS.size))
                if text > _MOST_TEXT or sound > _MOST_SOUND:
                    raise CrashedDecoder("The process that reads the file says too much.")
                content = json.loads(await reader.readexactly(text))
                samples = await reader.readexactly(sound)
        except TimeoutError:
            raise CrashedDecoder("The process that reads the file has been silent for too long.") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise _death(await exit_code) from None
        _raise_what_went_wrong(content)
        yield content, samples


def _death(code: int | None) -> BadAudio:
    if code == -signal.SIGXCPU:
        return BadAudio("too_complex", "To read the file takes more time than a file of its size may take.")
    if code is None:
        return CrashedDecoder("The process that read the file is gone.")
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return CrashedDecoder(f"The process that read the file {how}.")


async def _exit_code(lifeline: socket.socket) -> int | None:
    """The exit code of the process once it has ended, -N for signal N; None where the fork server was killed."""
    data = await asyncio.get_running_loop().sock_recv(lifeline, STATUS.size)
    return os.waitstatus_to_exitcode(*STATUS.unpack(data)) if len(data) == STATUS.size else None


def _raise_what_went_wrong(content: dict[str, Any]) -> None:
    if bad := content.get("bad"):
        code, message, detail = map(str, bad)
        raise BadAudio(code[:32], message[:_LONGEST], detail[:_LONGEST])
    if number := content.get("os"):
        raise OSError(int(number), os.strerror(int(number)))


# --- Turns, and the start of a process -----------------------------------------------------------


class _Room:
    """Places for the processes of one kind of work: `size` in all, and `share` for each owner."""

    def __init__(self, size: int, share: int) -> None:
        self._all = asyncio.Semaphore(size)
        self._share = share
        self._owners: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()

    async def enter(self, owner: Hashable) -> ExitStack:
        """Wait for a place. Closing the returned stack leaves it."""
        own = self._owners.setdefault(owner, asyncio.Semaphore(self._share))
        with ExitStack() as place:
            for semaphore in (own, self._all):
                await semaphore.acquire()
                place.callback(semaphore.release)
            return place.pop_all()


_rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Kind, _Room]] = WeakKeyDictionary()


def _room(kind: Kind) -> _Room:
    rooms = _rooms.setdefault(asyncio.get_running_loop(), {})
    if kind not in rooms:
        rooms[kind] = _Room(*ROOMS[kind])
    return rooms[kind]


class _ForkServerProcess:
    """The fork server of this process (see `worker`), started when the first child is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the fork server ahead of the first task, which would wait half a second for it."""
        with self._lock:
            if self._control is None:
                self._start()

    def fork(self, *files: socket.socket | BinaryIO) -> None:
        """Make a child process that gets these descriptors."""
        with self._lock:
            control = self._control or self._start()
            try:
                socket.send_fds(control, [b"+"], [file.fileno() for file in files])
            except (BrokenPipeError, ConnectionResetError):  # the fork server was killed
                socket.send_fds(self._start(), [b"+"], [file.fileno() for file in files])

    def _start(self) -> socket.socket:
        if self._process and self._control:
            self._control.close()
            self._process.wait()
        self._control, its_end = socket.socketpair()
        with its_end:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "transcription.audio.worker"],
                stdin=its_end.fileno(),
                cwd=Path(__file__).parents[2],
                # Nothing of this environment, which has secrets; and no threads, which a fork would lose.
                env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"},
                start_new_session=True,  # keeps Ctrl-C in a terminal for the server alone
            )
        return self._control


@cache
def _fork_server() -> _ForkServerProcess:
    return _ForkServerProcess()


def start() -> None:
    """Start the fork server, so that the first file need not wait for it."""
    _fork_server().start()
