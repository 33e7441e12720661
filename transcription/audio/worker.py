"""The processes that open people's files: a fork server that has everything loaded, and a child of it for each task.

    python -m transcription.audio.worker        its standard input is a socket of `apart`, which starts it

The fork server opens no file. It forks for each byte that comes through its socket, with descriptors beside the byte. A
fork takes two milliseconds, and every task begins in a fresh process with limits of its own. The descriptors are
    1. the task's socket: the child reads the request from it and writes the answers to it
    2. its lifeline: the fork server writes the child's exit status to it, and kills the child when the other end closes
    3. the file, and for a copy the file to write
When its socket ends, because the process that started it is gone, the fork server kills its children and ends.

A request is one line of JSON. An answer is the lengths of two parts (4 bytes each, big-endian), JSON, and samples
(16 bits, little-endian) or nothing. The other side need not trust it: it has no pickle.
"""

import errno
import gc
import json
import os
import selectors
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from io import SEEK_CUR, SEEK_END, BytesIO, RawIOBase
from typing import Any, BinaryIO, NoReturn, cast

import numpy as np

from transcription.audio.confine import CpuTime, Limits, bound, close_off, die_with_parent
from transcription.audio.info import audio_info
from transcription.audio.playable import write_playable
from transcription.audio.reader import SpeechReader, wav
from transcription.audio.vad import RATE
from transcription.errors import BadAudio

LENGTHS = struct.Struct(">II")  # of an answer's JSON and of its samples, in bytes
STATUS = struct.Struct(">I")  # exit status as os.waitpid returns it
LONGEST_REQUEST = 4096  # bytes
_GLANCE = 30  # reading packets is so many times as fast as decoding: 10 ms a minute of sound, at 50 packets a second
PROGRESS = 60.0  # seconds of sound between two answers about progress


class _File(RawIOBase):
    """A descriptor read at a position of its own, since other processes may share the open file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._at = 0
        self.size = os.fstat(fd).st_size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        start = {SEEK_CUR: self._at, SEEK_END: self.size}.get(whence, 0)
        if start + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = start + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        data = os.pread(self._fd, self.size if size < 0 else size, self._at)
        self._at += len(data)
        return data


# --- Tasks -------------------------------------------------------------------------------------


class _Task:
    """One request, and the socket for its answers. The work calls `progress` as it gets on."""

    def __init__(self, sockets: socket.socket, files: list[int]) -> None:
        self._socket = sockets
        self.request: dict[str, Any] = json.loads(_line(sockets))
        self.work = _WORK[self.request.pop("task")]
        limits, size = Limits(**self.request.pop("limits")), os.fstat(files[0]).st_size
        self.cpu = CpuTime(limits, size, self.request["max_hours"])
        self._told = 0.0
        bound(limits, size)

    def say(self, content: dict[str, Any], samples: bytes = b"") -> None:
        text = json.dumps(content).encode()
        self._socket.sendall(LENGTHS.pack(len(text), len(samples)) + text + samples)

    def progress(self, seconds: float) -> None:
        """Note that so many seconds of sound are done: that earns CPU time, and is told as a sign of life."""
        self.cpu.earn(seconds)
        if seconds >= self._told + PROGRESS:
            self._told = seconds
            self.say({"at": seconds})


def _line(sockets: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        if not (part := sockets.recv(LONGEST_REQUEST)):
            raise BrokenPipeError
        line += part
    return line


def _info(task: _Task, file: BinaryIO) -> None:
    info = audio_info(file, heard=lambda seconds: task.progress(seconds / _GLANCE), **task.request)
    task.say({"end": asdict(info)})


def _speech(task: _Task, file: BinaryIO) -> None:
    reader = SpeechReader(file, heard=task.progress, **task.request)
    for stretch in reader:
        fields = {name: getattr(stretch, name) for name in ("index", "start", "end", "utterances")}
        task.say({"stretch": fields}, stretch.samples.astype("<i2", copy=False).tobytes())
    end = {name: getattr(reader, name) for name in ("duration", "peaks", "damaged")}
    task.say({"end": end | {"tracks": [asdict(track) for track in reader.tracks]}})


def _copy(task: _Task, file: BinaryIO, target: BinaryIO) -> None:
    for seconds in write_playable(file, target, **task.request):
        task.cpu.earn(seconds)
        task.say({"at": seconds})
    target.flush()
    task.say({"end": {}})


_WORK: dict[str, Callable[..., None]] = {"info": _info, "speech": _speech, "copy": _copy}


# --- Child and fork server --------------------------------------------------------------------------


def _child(sockets: socket.socket, files: list[int]) -> None:
    """Do one task. An error becomes an answer, unless the process dies of it."""
    task = _Task(sockets, files)
    task.say({"network_closed": close_off()})
    try:
        task.work(task, *_opened(files))
    except BadAudio as error:
        task.say({"bad": [error.code, str(error), error.detail]})
    except Exception as error:
        if isinstance(error, MemoryError) or "bad_alloc" in str(error):  # bad_alloc: onnxruntime's
            task.say({"bad": ["too_complex", "To read the file takes more memory than a file may take.", ""]})
        elif not isinstance(error, OSError):
            raise
        elif error.errno == errno.EFBIG:
            task.say({"bad": ["too_complex", "The copy grows far beyond the size of the file.", ""]})
        else:
            task.say({"os": error.errno or errno.EIO})


def _opened(files: list[int]) -> Iterator[BinaryIO]:
    """Open the descriptors: the file to read, and the file to write."""
    for place, fd in enumerate(files):
        yield cast(BinaryIO, os.fdopen(fd, "r+b") if place else _File(fd))


class _ForkServer:
    """Forks a child for each task, and tells each child's exit status on its lifeline. Runs on one thread."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, socket.socket] = {}  # by process id, each with its lifeline
        self._waiting = selectors.DefaultSelector()
        self._woken, wake = os.pipe()
        for end in (self._woken, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)
        self._waiting.register(control, selectors.EVENT_READ, self._fork)
        self._waiting.register(self._woken, selectors.EVENT_READ, self._reap)

    def run(self) -> NoReturn:
        while True:
            for key, _ in self._waiting.select():
                key.data()

    def _fork(self) -> None:
        byte, fds, _, _ = socket.recv_fds(self._control, 1, 4)
        if not byte:  # the other end is gone
            for pid in self._children:
                os.kill(pid, signal.SIGKILL)
            os._exit(0)
        sockets, lifeline, files = socket.socket(fileno=fds[0]), socket.socket(fileno=fds[1]), fds[2:]
        try:
            pid = os.fork()
        except OSError:  # too many processes, or no memory: the task's socket closes without an answer
            lifeline.close()
        else:
            if not pid:
                self._be_child(sockets, lifeline, files)
            self._children[pid] = lifeline
            self._waiting.register(lifeline, selectors.EVENT_READ, lambda: self._kill(pid))
        sockets.close()
        for fd in files:
            os.close(fd)

    def _be_child(self, sockets: socket.socket, lifeline: socket.socket, files: list[int]) -> NoReturn:
        code = 1
        try:
            die_with_parent()
            signal.set_wakeup_fd(-1)
            for ours in (self._control, lifeline, *self._children.values()):
                ours.close()
            _child(sockets, files)
            code = 0
        except (BrokenPipeError, ConnectionResetError):  # the answers are not wanted any more
            code = 0
        except BaseException as error:
            with suppress(OSError):
                os.write(2, f"A task with a file failed: {error!r:.500}\n".encode())
        finally:
            os._exit(code)

    def _kill(self, pid: int) -> None:
        if pid in self._children:  # it may have ended in the same moment
            self._waiting.unregister(self._children[pid])
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        os.read(self._woken, 512)
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            lifeline = self._children.pop(pid)
            with suppress(KeyError):  # it was killed
                self._waiting.unregister(lifeline)
            with lifeline, suppress(OSError):
                lifeline.sendall(STATUS.pack(status))


def _warm_up() -> None:
    """Load the modules and make the tables that a task needs, so that children find them in memory."""
    file = BytesIO(b"".join(wav(np.zeros(RATE, np.int16))))
    audio_info(file, max_hours=1)
    list(SpeechReader(file, max_hours=1))
    list(write_playable(file, BytesIO(), max_hours=1))
    gc.freeze()  # else the garbage collector writes to every object, and so copies the shared memory


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _warm_up()
    _ForkServer(socket.socket(fileno=0)).run()
