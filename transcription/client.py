"""The one way to a Whisper server, which every call of the product takes.

    call_remote_asr_api()                           attempts: decides whether to retry
      └─ execute_asr_with_concurrency_control()     asks the gate for a permit, which names the server: only here
           └─ _call_asr_api_internal()              one HTTP request and its answer

A permit is out for the exchange only, never while a call waits for its next attempt. The parts: `retry` decides,
`quarantine` keeps suspects apart, `in_flight` keeps permits until servers have answered, `exchange` speaks HTTP, and
`acquaintance` gets to know the servers.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import anyio

from transcription.servers.dialect import DEFAULT_MODEL

from . import acquaintance
from .answer import Transcript
from .errors import (
    BypassRefused,
    DeadlineExceeded,
    Evicted,
    GateError,
    Misconfigured,
    QueueFull,
    SilenceLost,
    Superseded,
    TimedOut,
    TranscriptionError,
    Withdrawn,
)
from .exchange import WhisperHttp
from .in_flight import InFlight
from .load_watch import LoadWatch
from .pool import LOOK, Pool, Server
from .quarantine import Quarantine
from .request import SILENCE, AsrRequest, CallOptions, silence
from .retry import GiveUp, RetryPolicy
from .sentence import Sentence
from .snapshot import Jobs, Snapshot
from .tally import Tally
from .unanswered import Unanswered

log = logging.getLogger(__name__)

NOTHING_SAID = Transcript("", None, None, (), ())
TOLD_WAIT = 0.1  # seconds; the log line shows tenths


@dataclass(eq=False, slots=True)
class Attempt:
    """One try of a call.

    servers, avoid, patient: see `Kind`.
    first: the call arrives now; its arrival is announced.
    waited: seconds that the call has waited before.
    server: the one that has taken the call; None until then.
    """

    servers: tuple[Server, ...]
    avoid: Server | None = None
    patient: bool = False
    first: bool = False
    waited: float = 0.0
    server: Server | None = None


class WhisperClient:
    """Calls the servers of a pool. One instance serves the whole process, from any event loop.

    request_timeout: seconds an exchange may take before its caller gets `TimedOut`.
    abandoned_grace: further seconds it may hold its permit.
    max_attempts, retry_delay: see `RetryPolicy`. ca_bundle: see `WhisperHttp`.
    model: the one to ask for, if a request names none; empty: the server's own.
    allow_bypass: calls may skip the gate, in tests.
    unanswered: where exchanges are noted for the next process; None: nowhere.

    jobs: what waits and works behind the calls. The runner of jobs sets it; the log and the snapshot show it.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        model: str = "",
        request_timeout: float = 300.0,
        abandoned_grace: float = 30.0,
        max_attempts: int = 3,
        retry_delay: float = 5.0,
        allow_bypass: bool = False,
        ca_bundle: str = "",
        unanswered: Unanswered | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pool = pool
        self.jobs = Jobs()
        self._model = model
        self._allow_bypass = allow_bypass
        self._clock = clock
        self._tally = Tally()
        self._policy = RetryPolicy(max_attempts, retry_delay)
        self._quarantine = Quarantine(self._tally.pause)
        self.http = WhisperHttp(self._tally, ca_bundle=ca_bundle)
        self.load_watch = LoadWatch(pool.servers, self.http, clock)
        self.in_flight = InFlight(
            pool, self._tally, timeout=request_timeout, grace=abandoned_grace, unanswered=unanswered
        )
        for server in pool.servers:
            server.profile.dialect = replace(server.profile.dialect, model=server.asked_for(model) or DEFAULT_MODEL)

    # --- a call: one or more attempts ----------------------------------------------------------

    async def call_remote_asr_api(
        self, request: AsrRequest, options: CallOptions, *, use_concurrency_control: bool = True
    ) -> Transcript:
        """The transcript of the request's audio. Raises the errors of `errors`; `Rejected` and `QueueFull` at once."""
        self._tally.add(total=1)
        try:
            transcript = await self._attempts(request, options, use_concurrency_control)
        except QueueFull:
            self._tally.add(rejected=1)
            log.info("[ASR并发] 排队已满 task_id=%s", options.task_id)
            raise
        except (asyncio.CancelledError, DeadlineExceeded, Superseded, Withdrawn):
            self._tally.add(canceled=1)
            raise
        except Exception as error:
            self._tally.add(failed=1)
            log.info("[ASR并发] 转录失败 task_id=%s error=%r", options.task_id, str(error))
            raise
        self._tally.add(completed=1)
        log.info("[ASR并发] 转录成功 task_id=%s", options.task_id)
        return transcript

    async def _attempts(self, request: AsrRequest, options: CallOptions, use_concurrency_control: bool) -> Transcript:
        history = self._policy.begin(durable=options.durable, completed=self._tally.calls.completed)
        asked = self._clock() - options.waited
        arriving = waiting = True  # the gate has not seen the call yet; it has given it no permit
        avoid: Server | None = None
        while True:
            servers = self.pool.suiting(options.lane, request.model or self._model)
            attempt = Attempt(
                servers,
                avoid,
                patient=options.durable,
                first=arriving,
                waited=self._clock() - asked if waiting else 0.0,
            )
            try:
                if history.suspect:
                    return await self._apart(request, options, attempt)
                return await self.execute_asr_with_concurrency_control(
                    request, options, attempt, use_concurrency_control=use_concurrency_control
                )
            except Evicted:
                if not options.durable:
                    raise self.pool.outage(servers) from None
                continue  # a suspect, whose server was lost while it waited: it takes another
            except TranscriptionError as error:
                fits = attempt.server is not None and attempt.server.profile.fresh
                decision = self._policy.next(error, history, completed=self._tally.calls.completed, fits=fits)
                if isinstance(decision, GiveUp):
                    if decision.error is error:
                        raise
                    raise decision.error from error
                reason = error
            history = decision.history
            arriving = arriving and isinstance(reason, QueueFull)
            waiting = waiting and isinstance(reason, GateError | Misconfigured | SilenceLost)
            avoid = attempt.server if decision.avoid else avoid
            self._tally.add(retries=not isinstance(reason, SilenceLost))
            log.info(
                "[ASR并发] 等待重试 task_id=%s delay=%.1fs reason=%r", options.task_id, decision.delay, str(reason)
            )
            if options.on_retry:
                options.on_retry(reason, decision.delay)
            await self._tally.pause(decision.delay)

    async def _apart(self, request: AsrRequest, options: CallOptions, attempt: Attempt) -> Transcript:
        """An attempt of a suspect, in quarantine. The server is picked before, so that it can be probed."""
        while (server := self.pool.pick(attempt.servers, attempt.avoid)) is None:
            await self._tally.pause(max(LOOK, self.pool.retry_in(attempt.servers)))
        attempt.servers, attempt.patient, attempt.server = (server,), False, server
        async with self._quarantine.of(server, lambda: self._probe(server, options, request.model)):
            return await self.execute_asr_with_concurrency_control(request, options, attempt)

    async def _probe(self, server: Server, options: CallOptions, model: str = "") -> None:
        """Send a second of silence through the gate. Raises what an attempt raises."""
        await self.execute_asr_with_concurrency_control(silence(model), options, Attempt((server,)))

    # --- an attempt: one permit, one exchange --------------------------------------------------

    async def execute_asr_with_concurrency_control(
        self, request: AsrRequest, options: CallOptions, attempt: Attempt, *, use_concurrency_control: bool = True
    ) -> Transcript:
        """One exchange with a server under a permit of the gate. The only place that asks for a permit.

        Raises `Evicted` if no server takes calls, and the call does not wait for one.
        """
        if not use_concurrency_control:
            return await self._bypass(request, options, attempt)
        permit = self.pool.gate.enter(
            options.lane,
            options.owner,
            servers=attempt.servers,
            avoid=attempt.avoid,
            patient=attempt.patient,
            deadline=options.deadline,
            supersede=options.supersede,
            waited=attempt.waited,
            weight=options.weight,
        )
        if attempt.first:
            (options.announce or partial(self.announce, options.task_id))()
        await permit.admitted()
        attempt.server = permit.server
        if options.withdrawn and options.withdrawn():
            permit.release("error")  # "error" says nothing of the server
            raise Withdrawn("Its caller had no use for it any more.")
        if permit.turn or permit.waited >= TOLD_WAIT:
            log.info("[ASR并发] 获得许可 task_id=%s waited=%.1fs %s", options.task_id, permit.waited, self._load())
        seconds = 0.0 if request.audio is SILENCE else request.seconds  # a probe tells nothing of how fast calls are
        return await self.in_flight.exchange(permit, seconds, lambda: self._ask_and_call(permit.server, request))

    async def _ask_and_call(self, server: Server, request: AsrRequest) -> Transcript:
        """The exchange. If that is due, the server is asked first how it wants to be asked."""
        asked = await server.profile.renew(lambda: acquaintance.ask(server, server.asked_for(self._model), self.http))
        if asked and request.audio is SILENCE:
            return NOTHING_SAID  # the server has just been sent the same
        return await self._call_asr_api_internal(server, request)

    async def _call_asr_api_internal(self, server: Server, request: AsrRequest) -> Transcript:
        """One HTTP request and its answer. Raises the `AnswerError` that says what happened."""
        return await self.http.transcribe(server, server.profile.dialect, request)

    async def _bypass(self, request: AsrRequest, options: CallOptions, attempt: Attempt) -> Transcript:
        if not self._allow_bypass:
            raise BypassRefused("Calls may skip the gate only where ASR_ALLOW_BYPASS is on, for tests.")
        if not (server := self.pool.pick(attempt.servers, attempt.avoid)):
            raise self.pool.outage(attempt.servers)
        attempt.server = server
        self._tally.add(bypassed=1)
        log.warning("[ASR并发] 跳过并发控制 task_id=%s", options.task_id)
        try:
            with anyio.fail_after(self.in_flight.timeout):
                return await self._call_asr_api_internal(server, request)
        except TimeoutError:
            raise TimedOut(f"No answer within {self.in_flight.timeout:g} s.") from None

    # --- the servers, and what there is to see -------------------------------------------------

    async def keep_acquainted(self) -> None:
        """See `acquaintance.keep`."""
        await acquaintance.keep(
            self.pool.servers, lambda server: self._probe(server, CallOptions("interactive", "the product itself"))
        )

    async def inspect(self, server: Server) -> Sentence:
        """See `acquaintance.inspect`."""
        return await acquaintance.inspect(server, server.asked_for(self._model), self.http)

    def announce(self, task_id: str, jobs: int | None = None) -> None:
        """Write to the log that a call, or a job, has arrived.

        jobs: how many jobs wait in line; None: as many as `jobs.queued` says.
        """
        log.info("[ASR并发] 开始转录 task_id=%s %s", task_id, self._load(jobs))

    def _load(self, jobs: int | None = None) -> str:
        """The load of all servers in the words of the log lines, e.g. `active=1/1 queued=3`: calls and jobs wait."""
        active, limit, queued = self.pool.gate.load()
        queued += self._tally.pausing + (self.jobs.queued if jobs is None else jobs)
        return f"active={active}/{limit} queued={queued}"

    def snapshot(self) -> Snapshot:
        """Every server and every count, of one moment."""
        line, gates = self.pool.gate.snapshot()
        servers = tuple(server.described(gates[server], self._tally.oom_errors[server]) for server in self.pool.servers)
        return Snapshot(self._tally.calls, line, servers, self._tally.pausing, self.jobs)

    async def aclose(self) -> None:
        """Close the running event loop's connections, and cancel its exchanges."""
        await self.in_flight.cut_off()
        await self.http.aclose()
