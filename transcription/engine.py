"""The embedded Whisper server as a child process: started, watched, restarted, and never left behind.

The listening socket is ours and outlives the child. So the address stays the same, and a call that is made while
the child starts or restarts waits in the socket's backlog instead of failing. The child inherits the socket, and a
pipe as its standard input: when this process dies, however it dies, the pipe ends and the child goes.
"""

import asyncio
import logging
import os
import re
import signal
import socket
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from types import TracebackType
from typing import Self, cast

logger = logging.getLogger(__name__)

FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0  # seconds before a restart: doubled each time, up to a minute
GOOD_WHILE = 60.0  # seconds; a child that lived so long starts the delays anew
GRACE = 5.0  # seconds from SIGTERM to SIGKILL
BACKLOG = 128  # connections that may wait for the child
LONGEST_LINE = 2000  # bytes of the child's log
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x1f\x7f-\x9f]")  # colours, cursor movements and the like


class EmbeddedEngine:
    """A Whisper server of our own, on a free port of this machine, from `start` to `stop`.

    `command` is the server's; `--fd N --stop-with-stdin` are added to it (see the command `whisper_server`).
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: Process | None = None
        self._supervisor: asyncio.Task[None] | None = None

    @cached_property
    def _listener(self) -> socket.socket:
        return socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)

    @cached_property
    def url(self) -> str:
        """The base URL, as the OpenAI SDK takes it. It may be called from now on."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    @property
    def pid(self) -> int | None:
        """The child's, while it lives."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the child, and keep it running. It answers some seconds later; calls wait for it."""
        self._supervisor = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """Stop the child, by force if it takes longer than GRACE. Calls that wait for it fail."""
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
        self._listener.close()

    async def _supervise(self) -> None:
        now = asyncio.get_running_loop().time
        delay = FIRST_DELAY
        while True:
            born = now()
            try:
                end = await self._run()
            except OSError as error:
                end = f"could not be started ({error})"
            if now() - born > GOOD_WHILE:
                delay = FIRST_DELAY
            logger.error("The embedded Whisper server %s; it is started again in %g s.", end, delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY)

    async def _run(self) -> str:
        """One life of the child; how it ended."""
        fd = self._listener.fileno()
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command,
            *("--fd", str(fd), "--stop-with-stdin"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
            pass_fds=[fd],
            # A session of its own: Ctrl-C in a terminal is for us alone, who stop it when its callers are done.
            start_new_session=True,
            env={**os.environ, "TQDM_MININTERVAL": "10"},  # seconds: progress bars become lines of our log
        )
        try:
            await self._relay(cast(asyncio.StreamReader, process.stdout))
            code = await process.wait()
        finally:
            await _end(process)
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def _relay(self, output: asyncio.StreamReader) -> None:
        """The child's lines into our log, until it closes its output; an overlong one is cut in pieces."""
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


async def _end(process: Process) -> None:
    """End the child, if it has not ended by itself."""
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), GRACE)
        except TimeoutError:
            logger.warning("The embedded Whisper server did not stop within %g s and is killed.", GRACE)
            process.kill()
            await process.wait()
