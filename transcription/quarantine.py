"""Quarantine for calls that may crash or hang a Whisper server.

A server that crashes takes all its calls with it, so every call in flight could be the cause. After a few crashes these
calls are suspects. They run one at a time, each on a server that has just answered: if the server breaks down again,
the call that runs is the cause.
"""

import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from .errors import AnswerError, SilenceLost, TimedOut, Unreachable
from .pool import Server

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between two looks whether the suspect before has ended


class Quarantine:
    """Admits one suspect at a time, of all threads.

    pause: sleeps for seconds.
    """

    def __init__(self, pause: Callable[[float], Awaitable[None]]) -> None:
        self._pause = pause
        self._taken = threading.Lock()

    @asynccontextmanager
    async def of(self, server: Server, probe: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """The block is the attempt of a suspect at this server.

        probe: sends a second of silence to the server. It is called if the latest call got no answer.
        Raises `SilenceLost` if the silence gets none either.
        """
        while not self._taken.acquire(blocking=False):
            await self._pause(LOOK)
        try:
            if not server.breaker.steady:
                try:
                    await probe()
                except (Unreachable, TimedOut) as error:
                    raise SilenceLost(str(error), error.retry_after) from error
                except AnswerError as error:
                    log.info("[ASR API] server=%s answers, if with an error: %r", server.name, error)
            yield
        finally:
            self._taken.release()
