"""The embedded Whisper server as a child process: started, watched, restarted, and never left behind.

This process owns the listening socket, which outlives the child, so the address stays the same. The child inherits the
socket, and a pipe as its standard input. When this process dies in any way, the pipe ends and the child exits.

The socket accepts connections also while no child answers them. So a call asks `bar()` first, which gives the reason
why no call may be made now, and runs inside `during_life()`, which ends it when the child ends.
"""

import asyncio
import logging
import os
import re
import signal
import socket
import threading
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast
from urllib.parse import urlsplit

import anyio

from transcription.errors import BrokenOff, Killed
from transcription.pool import Bar
from transcription.sentence import Sentence, _

logger = logging.getLogger(__name__)

FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0  # seconds before a restart: doubled each time, up to a minute
GOOD_WHILE = 60.0  # seconds; after a longer life the delays begin anew
GRACE = 5.0  # seconds from SIGTERM to SIGKILL
BACKLOG = 128  # connections that may wait for the child
LONGEST_LINE = 2000  # bytes of the child's log
LAST_WORDS = 300  # characters of the child's last line that admins see
LOADS = 1.0  # seconds until a call tries again while the child loads its model: `base` takes 1 to 4
KNOWN = 2.0  # seconds in which the death of the child becomes known: some ms, on a busy machine a second
NVIDIA = Path("/dev/nvidia0")  # the first GPU, where the driver is loaded
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x1f\x7f-\x9f]")  # colours, cursor movements and the like


NOT_STARTED = _("The embedded Whisper server does not run.")
HOW_TO_START = "manage.py serve starts it."
LOADING = _("The embedded Whisper server is loading its model.")

T = TypeVar("T")


def gains_by_batches() -> bool:
    """Whether the engine gets more done with several calls at once: with a GPU, or with two processors or more."""
    return NVIDIA.exists() or (os.cpu_count() or 1) > 1


class _Life:
    """One life of the child, from its first answer to its end. `end`: the reason, once it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: set[Callable[[], object]] = set()
        self.end: BrokenOff | None = None

    @contextmanager
    def on_end(self, call: Callable[[], object]) -> Iterator[None]:
        """Call `call`, in any thread, when the child ends within the block or has ended before."""
        with self._lock:
            self._listeners.add(call)
            ended = self.end
        if ended:
            call()
        try:
            yield
        finally:
            self._listeners.discard(call)

    def over(self, end: BrokenOff) -> None:
        with self._lock:
            self.end = end
            listeners = list(self._listeners)
        for call in listeners:
            with suppress(RuntimeError):  # its event loop is closed
                call()


class EmbeddedEngine:
    """A Whisper server as a child process, on a free port of this machine, from `start` to `stop`.

    `command` starts the server; `--fd N --stop-with-stdin` are added to it (see the command `whisper_server`).
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._life: _Life | None = None  # of the child, while it answers
        self._absent = NOT_STARTED  # the reason why no child answers
        self._back_at = 0.0  # monotonic seconds: when the next child is started
        self._last_line = ""  # of the child
        self._said = HOW_TO_START

    @cached_property
    def _listener(self) -> socket.socket:
        return socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)

    @cached_property
    def url(self) -> str:
        """The base URL, as the OpenAI SDK takes it."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    @property
    def pid(self) -> int | None:
        """The child's process id while it lives, else None."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def bar(self) -> Bar | None:
        """The reason why the child takes no call now; None where it takes calls."""
        if self._life:
            return None
        return Bar(self._absent, max(LOADS, self._back_at - time.monotonic()), self._said)

    async def during_life(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work`, which calls the child, and return its result.

        Raises `Killed` or another `BrokenOff`, with the reason, as soon as the child ends.
        """
        life, loop = self._life, asyncio.get_running_loop()
        if not life:
            raise BrokenOff(self._absent)
        with anyio.CancelScope() as scope, life.on_end(lambda: loop.call_soon_threadsafe(scope.cancel)):
            try:
                return await work()
            except BrokenOff:
                await anyio.sleep(KNOWN)  # where the child has died, its end cancels this, with the reason
                raise
        raise copy(life.end) if life.end else BrokenOff(self._absent)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the child and keep it running. It answers after some seconds."""
        self._absent, self._said = LOADING, ""
        self._supervisor = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """Stop the child, by force if it takes longer than GRACE. Calls under way fail."""
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
        self._gone(BrokenOff(NOT_STARTED))
        self._listener.close()

    async def _supervise(self) -> None:
        now = asyncio.get_running_loop().time
        delay = FIRST_DELAY
        while True:
            born = now()
            try:
                end = await self._run()
            except OSError as error:
                end = BrokenOff(_("The embedded Whisper server cannot be started."))
                self._last_line = str(error)
            if now() - born > GOOD_WHILE:
                delay = FIRST_DELAY
            self._gone(end)
            self._back_at = time.monotonic() + delay
            logger.error("%s It is started again in %g s.", end, delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY)

    def _gone(self, end: BrokenOff) -> None:
        life, self._life = self._life, None
        self._absent, self._said = cast(Sentence, end.args[0]), self._last_line
        if life:
            life.over(end)

    async def _run(self) -> BrokenOff:
        """Start the child and wait for its end. Returns the reason."""
        fd = self._listener.fileno()
        self._last_line = ""
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command,
            *("--fd", str(fd), "--stop-with-stdin"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
            pass_fds=[fd],
            # A session of its own keeps Ctrl-C from the child. This process stops it when its callers are done.
            start_new_session=True,
            env={**os.environ, "TQDM_MININTERVAL": "10"},  # seconds; each step of a progress bar is a line of the log
        )
        born = asyncio.create_task(self._wait_until_it_answers())
        try:
            await self._relay(cast(asyncio.StreamReader, process.stdout))
            code = await process.wait()
        finally:
            born.cancel()
            await asyncio.wait([born])
            await _end(process)
        return _how_it_ended(code)

    async def _wait_until_it_answers(self) -> None:
        """Ask for /health until the child answers 200. The request waits in the backlog while the model loads."""
        parts = urlsplit(self.url)
        while not self._life:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
                try:
                    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    if b" 200 " in await reader.readuntil(b"\r\n"):
                        self._life = _Life()
                        return
                finally:
                    writer.close()
            await asyncio.sleep(0.1)

    async def _relay(self, output: asyncio.StreamReader) -> None:
        """Write the child's lines to the log until it closes its output. An overlong line is cut in pieces."""
        rest = b""
        while chunk := await output.read(LONGEST_LINE):
            *lines, rest = re.split(rb"[\r\n]+", rest + chunk)
            if len(rest) >= LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._log(line)
        self._log(rest)

    def _log(self, line: bytes) -> None:
        if text := _CONTROL.sub("", line.decode(errors="replace")).strip():
            logger.info("[whisper] %s", text)
            self._last_line = text[:LAST_WORDS]


def _how_it_ended(code: int) -> BrokenOff:
    if code == -signal.SIGKILL:
        return Killed(
            _("The embedded Whisper server was killed by signal 9, probably because the machine ran out of memory.")
        )
    if code < 0:
        name = signal.Signals(-code).name
        return BrokenOff(_("The embedded Whisper server was ended by signal {} ({}).", -code, name))
    return BrokenOff(_("The embedded Whisper server ended with exit code {}.", code))


async def _end(process: Process) -> None:
    """Stop the child, where it has not ended by itself."""
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), GRACE)
        except TimeoutError:
            logger.warning("The embedded Whisper server did not stop within %g s and is killed.", GRACE)
            process.kill()
            await process.wait()
