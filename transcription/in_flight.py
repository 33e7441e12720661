"""Exchanges in flight. Each runs in a task of its own, which keeps its permit until the server has answered.

A Whisper server goes on computing when its client hangs up. So an exchange, once begun, goes on when its caller is
cancelled or has waited too long: its permit is then abandoned, and given back when the server answers or the grace is
over (the gate's rule G9). A killed process leaves notes of its exchanges in a file (see `unanswered`). The next process
holds permits for them until no server can compute them any more.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from .answer import Transcript
from .errors import Misconfigured, OutOfMemory, ServerBusy, TimedOut, Unreachable
from .gate import Permit
from .limit import Outcome
from .pool import Pool, Server
from .tally import Tally
from .unanswered import Unanswered

log = logging.getLogger(__name__)

OUTCOMES: dict[type[BaseException] | type[None], Outcome] = {
    type(None): "ok",
    OutOfMemory: "oom",
    ServerBusy: "busy",
    TimedOut: "timeout",
}


class InFlight:
    """All exchanges of this process, of any event loop.

    timeout: seconds that an exchange may take before its caller gets `TimedOut`.
    grace: further seconds that it may keep its permit.
    unanswered: where exchanges are noted for the next process; None: nowhere.
    """

    def __init__(
        self, pool: Pool, tally: Tally, *, timeout: float, grace: float, unanswered: Unanswered | None
    ) -> None:
        self.timeout = timeout
        self._grace = grace
        self._tally = tally
        self._unanswered = unanswered
        # With their notes among the unanswered. The event loop itself keeps only weak references to tasks.
        self.tasks: dict[asyncio.Task[Transcript], int | None] = {}
        if unanswered:
            for server in pool.servers:
                self._take_over(pool, server, unanswered)

    async def exchange(
        self, permit: Permit[Server], seconds: float, send: Callable[[], Awaitable[Transcript]]
    ) -> Transcript:
        """Send something to the permit's server, and give the permit back when the server has answered.

        seconds: length of the audio.
        """
        server = permit.server
        note = self._note(server)
        task = asyncio.create_task(self._run(permit, send))
        self.tasks[task] = note
        task.add_done_callback(partial(self._settle, permit, seconds))
        try:
            await asyncio.wait({task}, timeout=self.timeout)
        finally:
            if not task.done():  # the caller was cancelled, or has waited long enough
                permit.abandon()
        if not task.done():
            server.breaker.silent()
            raise TimedOut(f"No answer within {self.timeout:g} s.")
        return task.result()

    async def _run(self, permit: Permit[Server], send: Callable[[], Awaitable[Transcript]]) -> Transcript:
        server = permit.server
        try:
            # Not asyncio's time-out: httpcore shields its clean-up from anyio's only, and loses connections otherwise.
            with anyio.fail_after(self.timeout + self._grace), permit.held():
                return await server.around(send)
        except TimeoutError:
            raise TimedOut(f"No answer within {self.timeout:g} s and the grace.") from None
        except Misconfigured as error:
            server.profile.doubt(error)
            raise

    def _settle(self, permit: Permit[Server], seconds: float, task: asyncio.Task[Transcript]) -> None:
        """The exchange is over, in whatever way. The one place where a permit that was used goes back."""
        server, note = permit.server, self.tasks.pop(task)
        error = None if task.cancelled() else task.exception()
        outcome: Outcome = "error" if task.cancelled() else OUTCOMES.get(type(error), "error")
        if self._unanswered and note is not None and not task.cancelled():
            self._unanswered.forget(note)
        retry_after = error.retry_after if isinstance(error, OutOfMemory | ServerBusy) else None
        unknown = task.cancelled() or isinstance(error, TimedOut)
        if server.barred():  # it is known to be away, and will be known to be back: the breaker need not find out
            server.breaker.silent()
            unknown = True
        reached = None if unknown else not isinstance(error, Unreachable)
        permit.release(outcome, seconds, retry_after or 0.0, reached=reached)
        if outcome == "oom":
            self._tally.out_of_memory(server)
            log.info("[ASR并发] 显存不足 oom_count=%d limit=%d", self._tally.calls.oom_errors, server.limit.limit)

    def _note(self, server: Server) -> int | None:
        """Note an exchange that is about to be sent; None if that cannot be done."""
        try:
            return self._unanswered.note(server.url) if self._unanswered else None
        except OSError as error:
            log.warning("An exchange is not noted, and forgotten if this process is killed: %s", error)
            return None

    def _take_over(self, pool: Pool, server: Server, unanswered: Unanswered) -> None:
        """Hold a permit for each exchange of an earlier process, until the server cannot compute it any more."""
        if leftovers := unanswered.leftovers(server.url):
            longest = max(leftover.seconds for leftover in leftovers)
            log.info("[ASR并发] 接管未完 server=%s abandoned=%d seconds=%.0f", server.name, len(leftovers), longest)
        for leftover in leftovers:
            # "error": its end says nothing of the server.
            unanswered.when_over(leftover, partial(pool.gate.hold(server).release, "error"))

    async def cut_off(self) -> None:
        """Cancel the exchanges of the running event loop. Their notes stay, for the servers compute on."""
        loop = asyncio.get_running_loop()
        cut_off = [task for task in self.tasks if task.get_loop() is loop]
        for task in cut_off:
            task.cancel()
        await asyncio.gather(*cut_off, return_exceptions=True)
