"""What is known of one Whisper server, and when it must be asked again."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

from transcription.errors import Misconfigured
from transcription.sentence import _
from transcription.servers.dialect import Dialect
from transcription.snapshot import ProfileSnapshot

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0  # seconds until a server that does not fit is asked again; doubled each time
RENEWAL = 30.0  # seconds in which no single call can cast doubt on what a probe found


class ServerProfile:
    """The dialect of a server, or the fault for which no request fits it.

    doubtful: the server must be asked before the next call. That is so at the start, after the server was away, and
        after an answer that does not fit the profile: another software may be behind the address.
    asked: the server was asked at least once. unasked: the finding until then.
    fault: what the administrator must put right. Nothing is sent to the server before `retry_at` (clock time).
    """

    def __init__(self, dialect: Dialect, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._asking: Future[None] | None = None
        self._pause = FIRST_PAUSE
        self._asked_at = -RENEWAL
        self.dialect = dialect
        self.doubtful = False
        self.asked = False
        self.unasked = _("Not asked yet.")
        self.fault: Misconfigured | None = None
        self.retry_at = 0.0

    def allows(self) -> bool:
        """Whether a call may go now."""
        return self.fault is None or self._clock() >= self.retry_at

    def doubt(self, error: Misconfigured | None = None) -> None:
        """Have the server asked again before the next call. After an `error` of one call: only if no probe is fresh."""
        self.doubtful = self.doubtful or error is None or not self.fresh

    @property
    def fresh(self) -> bool:
        """Whether a probe has succeeded in the last RENEWAL seconds."""
        return not self.doubtful and self._clock() - self._asked_at < RENEWAL

    def snapshot(self) -> ProfileSnapshot:
        finding = self.fault.finding if self.fault else self.dialect.finding if self.asked else self.unasked
        return ProfileSnapshot(
            finding,
            fault=self.fault is not None,
            said=str(self.fault) if self.fault else None,
            url=self.dialect.url,
            model=self.dialect.model,
            models=self.dialect.models,
            response_format=self.dialect.response_format,
        )

    async def renew(self, ask: Callable[[], Awaitable[Dialect]]) -> bool:
        """Ask the server if that is due. Returns whether this call asked. While one call asks, the others wait for it.

        Raises `Misconfigured` if no request fits the server, and what `ask` raises; then the server stays doubtful.
        """
        with self._lock:
            other, mine = self._asking, None
            if other is None and self._due():
                mine = self._asking = Future()
        if other:
            await asyncio.shield(asyncio.wrap_future(other))
        if mine:
            try:
                self._learned(await ask())
            except Misconfigured as error:
                self._refused(error)
            finally:
                self._asking = None
                mine.set_result(None)
        if self.fault:
            raise self.fault.again()
        return mine is not None

    def _due(self) -> bool:
        return self.allows() if self.fault else self.doubtful

    def _learned(self, dialect: Dialect) -> None:
        self.dialect, self.doubtful, self.asked, self.fault = dialect, False, True, None
        self._pause, self._asked_at = FIRST_PAUSE, self._clock()

    def _refused(self, error: Misconfigured) -> None:
        self.fault, self.doubtful, self.asked = error, True, True
        self.retry_at = self._clock() + self._pause
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)
