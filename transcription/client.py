"""The only module that speaks HTTP to a Whisper server, and the one way to it.

    call_remote_asr_api()                      retries; chooses a server for each attempt
      └─ execute_asr_with_concurrency_control()    asks the server's gate for a permit: the only place that does
           └─ _call_asr_api_internal()                 the HTTP exchange itself

A permit is out for the exchange only. A server goes on computing when its client hangs up, so an exchange, once begun,
runs in a task of its own and keeps its permit until the server has answered, whether or not anyone still waits for it
(rule G9); past the time-out it is counted as abandoned, and given up after a grace.
"""

import asyncio
import logging
import random
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import anyio
import httpx

from transcription.servers.dialect import DEFAULT_MODEL, Dialect, learn
from transcription.servers.inspection import inspect

from .answer import Transcript, read_answer
from .errors import (
    AnswerError,
    BrokenOff,
    BypassRefused,
    DeadlineExceeded,
    Evicted,
    Killed,
    Misconfigured,
    OutOfMemory,
    Poison,
    ProtocolError,
    QueueFull,
    Rejected,
    ServerBusy,
    SilenceLost,
    Superseded,
    TimedOut,
    TranscriptionError,
    UnknownModel,
    Unreachable,
    Withdrawn,
)
from .gate import Permit
from .limit import Outcome
from .pool import Pool, Server
from .request import SILENCE, AsrRequest, CallOptions, silence
from .sentence import Sentence
from .snapshot import Calls, Jobs, ServerSnapshot, Snapshot
from .unanswered import Unanswered

log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 4 * 1024**2  # thirty seconds of speech make some 20 KB; nothing honest comes near
LONGEST_BACKOFF = 60.0  # seconds
CONNECT_TIMEOUT = 10.0  # seconds
KEEPALIVE = 4.0  # seconds; under uvicorn's 5, so that the server is not the one to hang up first
SUSPECT, POISON = 2, 5  # times a server broke down over a call, or hung: it may be the call's fault; it is
NOTHING_SAID = Transcript("", None, None, (), ())
LOOK = 1.0  # seconds between two looks for a server that has to be asked
RETRY_SHARE, RETRY_FLOOR = 0.2, 10.0  # retries per call, and how many may be saved up
TOLD_WAIT = 0.1  # seconds; the log line shows tenths


class RetryBudget:
    """Each call earns a fifth of a retry, and a few may be saved: a storm of failures cannot become one of retries."""

    def __init__(self) -> None:
        self._saved = RETRY_FLOOR

    def earn(self) -> None:
        self._saved = min(RETRY_FLOOR, self._saved + RETRY_SHARE)

    def spend(self) -> bool:
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


class WhisperClient:
    """Calls the servers of a pool. One instance serves the whole process, whichever event loop calls.

    jobs: what waits and works behind the calls; the runner of jobs sets it, and the log and the snapshot tell it.

    request_timeout: seconds an exchange may take before its caller gets `TimedOut`.
    abandoned_grace: further seconds it may hold its permit.
    max_attempts, retry_delay: attempts of one call in all; seconds of the first backoff, which doubles.
    unanswered: where exchanges are noted, for the process that comes after this one was killed; None: nowhere.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        api_key: str = "",
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
        self._headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
        self._model = model
        for server in pool.servers:
            server.profile.dialect = replace(server.profile.dialect, model=model or DEFAULT_MODEL)
        self._odd: set[tuple[Server, str]] = set()
        self._request_timeout = request_timeout
        self._abandoned_grace = abandoned_grace
        self._max_attempts = max(1, max_attempts)
        self._retry_delay = retry_delay
        self._allow_bypass = allow_bypass
        self._tls = ssl.create_default_context(cafile=ca_bundle or None)
        self._unanswered = unanswered
        self._clock = clock
        self._lock = threading.Lock()
        self._calls = Calls()
        self._pausing = 0
        self.jobs = Jobs()
        self._oom_by_server: dict[Server, int] = {}
        self._budget = RetryBudget()
        self._on_trial = threading.Lock()  # see `_trial`
        self._http_clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}
        # Each with its note among the unanswered. The loop itself keeps only weak references.
        self._exchanges: dict[asyncio.Task[Transcript], int | None] = {}
        if unanswered:
            for server in pool.servers:
                self._take_over(server, unanswered)

    # --- a call: one or more attempts ----------------------------------------------------------

    async def call_remote_asr_api(
        self, request: AsrRequest, caller: CallOptions, *, use_concurrency_control: bool = True
    ) -> Transcript:
        """The transcript of the request's audio. Raises the errors of `errors`; `Rejected` and `QueueFull` at once."""
        self._count(total=1)
        self._budget.earn()
        try:
            transcript = await self._attempts(request, caller, use_concurrency_control)
        except QueueFull:
            self._count(rejected=1)
            log.info("[ASR并发] 排队已满 task_id=%s", caller.task_id)
            raise
        except (asyncio.CancelledError, DeadlineExceeded, Superseded, Withdrawn):
            self._count(canceled=1)
            raise
        except Exception as error:
            self._count(failed=1)
            log.info("[ASR并发] 转录失败 task_id=%s error=%r", caller.task_id, str(error))
            raise
        self._count(completed=1)
        log.info("[ASR并发] 转录成功 task_id=%s", caller.task_id)
        return transcript

    async def _attempts(self, request: AsrRequest, caller: CallOptions, use_concurrency_control: bool) -> Transcript:
        attempt = failures = broken = 0
        completed = self._calls.completed
        first = waiting = True
        asked = self._clock() - caller.waited
        avoid: Server | None = None
        while True:
            server = await self._choose(caller, avoid)
            try:
                async with self._trial(server, request, caller, suspect=broken >= SUSPECT):
                    return await self.execute_asr_with_concurrency_control(
                        server,
                        request,
                        caller,
                        first=first,
                        waited=self._clock() - asked if waiting else 0.0,
                        use_concurrency_control=use_concurrency_control,
                    )
            except Evicted:
                first = False
                continue
            except QueueFull as error:
                if not caller.durable:
                    raise
                reason: TranscriptionError = error
                delay = min(LONGEST_BACKOFF, error.retry_after)
            except Rejected:
                raise
            except Misconfigured as error:
                # A call waits, if it can, until the server fits; or goes to another at once. Where the server has just
                # shown that it fits, something is odd with this call, or with one of several servers at the address.
                attempt += server.profile.fresh
                if attempt >= self._max_attempts or not (caller.durable or self._budget.spend()):
                    raise
                reason, avoid = error, server
                delay = self._backoff(failures) if server.profile.fresh else 0.0
            except AnswerError as error:
                # A durable call waits until what passes by itself has passed. Everything else has its attempts, and no
                # other call waits for longer than a backoff.
                passing = caller.durable and isinstance(error, Unreachable | ServerBusy | TimedOut)
                attempt += not passing
                others, completed = self._calls.completed > completed, self._calls.completed
                broken += (
                    caller.durable
                    and isinstance(error, BrokenOff | TimedOut)
                    and (others or not isinstance(error, Killed))
                )
                if broken >= POISON:
                    raise Poison(f"The server broke down or fell silent {broken} times over this: {error}") from error
                waiting = waiting and isinstance(error, SilenceLost)  # else a permit was given
                attempts = min(2, self._max_attempts) if isinstance(error, TimedOut) else self._max_attempts
                reason, avoid = error, server
                delay = self._backoff(failures) if error.retry_after is None else error.retry_after
                if attempt >= attempts or (delay > LONGEST_BACKOFF and not caller.durable):
                    raise
                if not self._budget.spend() and not caller.durable:
                    raise
            failures += 1
            first = first and isinstance(reason, QueueFull)  # it has not even arrived
            self._count(retries=not isinstance(reason, SilenceLost))
            log.info("[ASR并发] 等待重试 task_id=%s delay=%.1fs reason=%r", caller.task_id, delay, str(reason))
            if caller.on_retry:
                caller.on_retry(reason, delay)
            await self._pause(delay)

    @asynccontextmanager
    async def _trial(
        self, server: Server, request: AsrRequest, caller: CallOptions, *, suspect: bool
    ) -> AsyncIterator[None]:
        """A call that breaks a server, or hangs it, does the same to the calls beside it. So the calls that met that a
        few times go one by one, each only to a server that answers: the one that goes when it breaks has broken it. A
        second of silence shows that the server answers, where the latest call did not."""
        if not suspect:
            yield
            return
        while not self._on_trial.acquire(blocking=False):
            await self._pause(1.0)
        try:
            if not server.breaker.steady:
                try:
                    await self.execute_asr_with_concurrency_control(server, silence(request.model), caller, first=False)
                except AnswerError as error:
                    if isinstance(error, Unreachable | TimedOut):
                        raise SilenceLost(str(error), error.retry_after) from error
                    log.info("[ASR API] server=%s answers, if with an error: %r", server.gate.name, error)
            yield
        finally:
            self._on_trial.release()

    async def _choose(self, caller: CallOptions, avoid: Server | None) -> Server:
        while (server := self.pool.choose(avoid)) is None:
            wait = self.pool.retry_in()
            if not caller.durable:
                if fault := next((server.profile.fault for server in self.pool.servers if server.profile.fault), None):
                    raise Misconfigured(str(fault), fault.finding, fault.what)
                bars = [bar.reason for server in self.pool.servers if (bar := server.barred())]
                raise Unreachable(bars[0] if bars else "No Whisper server can be reached.", max(1.0, wait))
            await self._pause(max(0.2, wait))
        return server

    async def _pause(self, seconds: float) -> None:
        """The call waits, and stands at no gate."""
        self._note_pause(1)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._note_pause(-1)

    def _note_pause(self, step: int) -> None:
        with self._lock:
            self._pausing += step

    def _backoff(self, failures: int) -> float:
        """Exponential with full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/"""
        return random.uniform(0, min(LONGEST_BACKOFF, self._retry_delay * 2 ** min(16, failures)))  # noqa: S311

    # --- an attempt: one permit, one exchange --------------------------------------------------

    async def execute_asr_with_concurrency_control(
        self,
        server: Server,
        request: AsrRequest,
        caller: CallOptions,
        *,
        first: bool = True,
        waited: float = 0.0,
        use_concurrency_control: bool = True,
    ) -> Transcript:
        """One exchange with the server under a permit of its gate. The only place that asks for a permit.

        first: the call arrives, which is announced.
        waited: seconds that it has waited before.
        """
        if not use_concurrency_control:
            return await self._bypass(server, request, caller)
        gate = server.gate
        trial = server.breaker.start()
        try:
            permit = gate.enter(
                caller.lane, caller.owner, deadline=caller.deadline, supersede=caller.supersede, waited=waited
            )
            if first:
                (caller.announce or partial(self.announce, caller.task_id))()
            await permit.admitted()
            if caller.withdrawn and caller.withdrawn():
                permit.release("error")  # which says nothing of the server
                raise Withdrawn("Its caller had no use for it any more.")
            if bar := server.barred():  # which it was not yet when the call came
                permit.release("error")
                raise Evicted(bar.reason)
        except BaseException:
            server.finish(trial, None)
            raise
        if permit.turn or permit.waited >= TOLD_WAIT:
            log.info("[ASR并发] 获得许可 task_id=%s waited=%.1fs %s", caller.task_id, permit.waited, self._counts())
        note = self._note_sent(server)
        exchange = asyncio.create_task(self._exchange(server, request, permit), name=caller.task_id)
        self._exchanges[exchange] = note
        exchange.add_done_callback(lambda task: self._settle(task, server, request, permit, trial))
        try:
            await asyncio.wait({exchange}, timeout=self._request_timeout)
        finally:
            if not exchange.done():  # the caller was cancelled, or waits no longer
                permit.abandon()
        if not exchange.done():
            server.breaker.silent()
            raise TimedOut(f"No answer within {self._request_timeout:g} s.")
        return exchange.result()

    async def _exchange(self, server: Server, request: AsrRequest, permit: Permit) -> Transcript:
        try:
            # Not asyncio's time-out: httpcore shields its clean-up from anyio's only, and loses connections otherwise.
            with anyio.fail_after(self._request_timeout + self._abandoned_grace), permit.held():
                return await server.around(lambda: self._speak(server, request))
        except TimeoutError:
            raise TimedOut(f"No answer within {self._request_timeout:g} s and the grace.") from None
        except Misconfigured as error:
            server.profile.doubt(error)
            raise

    async def _speak(self, server: Server, request: AsrRequest) -> Transcript:
        """Ask the server first how it wants to be asked, where that is due."""
        if await server.profile.renew(lambda: self._ask(server)) and request.audio is SILENCE:
            return NOTHING_SAID  # that was all: the server has just been sent it
        return await self._call_asr_api_internal(server, request)

    def _settle(
        self,
        exchange: asyncio.Task[Transcript],
        server: Server,
        request: AsrRequest,
        permit: Permit,
        trial: bool,
    ) -> None:
        """The one place where a permit that was used goes back, whatever became of the exchange."""
        note = self._exchanges.pop(exchange)
        error = None if exchange.cancelled() else exchange.exception()
        outcome: Outcome = "ok"
        if exchange.cancelled() or error:
            outcome = _OUTCOMES.get(type(error), "error")
        if self._unanswered and note is not None and not exchange.cancelled():
            self._unanswered.forget(note)
        permit.release(outcome, request.seconds)
        if outcome == "oom":
            self._out_of_memory(server)
        unknown = exchange.cancelled() or isinstance(error, TimedOut)
        if server.barred():  # it is known to be away, and will be known to be back: the breaker need not find out
            server.breaker.silent()
            unknown = True
        server.finish(trial, None if unknown else not isinstance(error, Unreachable))

    def _note_sent(self, server: Server) -> int | None:
        """Written before anything is sent; None where that cannot be done."""
        try:
            return self._unanswered.note(server.url) if self._unanswered else None
        except OSError as error:
            log.warning("An exchange is not noted, and forgotten if this process is killed: %s", error)
            return None

    def _take_over(self, server: Server, unanswered: Unanswered) -> None:
        """What an earlier process had sent, and the server may still compute, keeps its permits until that is over."""
        if leftovers := unanswered.leftovers(server.url):
            longest = max(leftover.seconds for leftover in leftovers)
            log.info(
                "[ASR并发] 接管未完 server=%s abandoned=%d seconds=%.0f", server.gate.name, len(leftovers), longest
            )
        for leftover in leftovers:
            unanswered.when_over(leftover, partial(server.gate.hold().release, "error"))  # says nothing of the server

    def _out_of_memory(self, server: Server) -> None:
        self._count(oom_errors=1, last_oom_at=datetime.now(UTC))
        with self._lock:
            self._oom_by_server[server] = self._oom_by_server.get(server, 0) + 1
        snapshot = server.gate.snapshot()
        log.info("[ASR并发] 显存不足 oom_count=%d limit=%d", self._calls.oom_errors, snapshot.limit)

    async def _bypass(self, server: Server, request: AsrRequest, caller: CallOptions) -> Transcript:
        if not self._allow_bypass:
            raise BypassRefused("Calls may skip the gate only where ASR_ALLOW_BYPASS is on, for tests.")
        self._count(bypassed=1)
        log.warning("[ASR并发] 跳过并发控制 task_id=%s", caller.task_id)
        try:
            with anyio.fail_after(self._request_timeout):
                return await self._call_asr_api_internal(server, request)
        except TimeoutError:
            raise TimedOut(f"No answer within {self._request_timeout:g} s.") from None

    # --- the exchange --------------------------------------------------------------------------

    async def _call_asr_api_internal(self, server: Server, request: AsrRequest) -> Transcript:
        """One HTTP request and its answer. Raises the `AnswerError` that tells what happened."""
        return await self._post(server, server.profile.dialect, request)

    async def _post(self, server: Server, dialect: Dialect, request: AsrRequest) -> Transcript:
        self._count(probes=request.audio is SILENCE)
        url, fields = dialect.address(request), dialect.fields(request)
        log.info("[ASR API] Calling ASR API: url=%s", url)
        files = {"file": ("audio.wav", request.audio, "audio/wav")}
        http = self._http()
        post = http.build_request("POST", url, data=fields, files=files)
        await post.aread()  # sent whole: httpx would send each field, name and boundary by itself, 26 pieces in all
        response, body = await self._send(post)
        try:
            transcript = read_answer(
                response.status_code, dict(response.headers), body, request.seconds, partial(self._note, server)
            )
        except UnknownModel as error:
            if request.model:
                raise
            raise Misconfigured(str(error), dialect.model_finding, "model") from None
        except Misconfigured as error:
            if request.translate and error.what == "address":
                raise Rejected(f"The Whisper server does not translate: {error}") from None
            raise
        log.info("[ASR API] ASR API success: text_length=%d", len(transcript.text))
        return transcript

    async def _send(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        try:
            response = await self._http().send(request, stream=True)
            async with aclosing(response):
                return response, await self._read(response)
        except httpx.ConnectTimeout:
            raise Unreachable(f"No connection within {CONNECT_TIMEOUT:g} s.") from None
        except httpx.ConnectError as error:
            raise Unreachable(str(error) or type(error).__name__) from error
        except httpx.TransportError as error:
            raise BrokenOff(str(error) or type(error).__name__) from error

    def _note(self, server: Server, kind: str) -> None:
        """Say once for each server what is odd in its answers."""
        if (server, kind) not in self._odd:
            self._odd.add((server, kind))
            log.warning("[ASR API] server=%s answers with %s; what can be used of it is", server.gate.name, kind)

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        # As it came: what we did not ask to be packed might unfold to anything.
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise ProtocolError(f"The answer is larger than {MAX_ANSWER_BYTES} bytes: {bytes(body[:200])!r}")
        return bytes(body)

    # --- getting to know a server --------------------------------------------------------------

    async def _ask(self, server: Server) -> Dialect:
        """Find out how the server wants to be asked: its models, and then a second of silence."""
        name, known = server.gate.name, server.profile

        async def attempt(dialect: Dialect) -> None:
            known.dialect = replace(known.dialect, models=dialect.models)  # to be told of, also where none fits
            await self._post(server, dialect, silence(language="en" if dialect.wants_language else ""))

        try:
            dialect = await learn(server.url, self._model, attempt, self._look)
        except Misconfigured as error:
            log.warning("[ASR API] server=%s does not fit: %r", name, str(error))
            raise
        log.info("[ASR API] server=%s url=%s %s", name, dialect.url, dialect.finding)
        return dialect

    async def _look(self, url: str) -> tuple[bytes, str]:
        response, body = await self._send(self._http().build_request("GET", url))
        return body if response.status_code == 200 else b"", response.headers.get("server", "")

    async def inspect(self, server: Server) -> Sentence:
        """See `inspection`. It makes the server compute nothing, so it needs no permit."""

        async def ask(dialect: Dialect) -> tuple[int, dict[str, str], bytes]:
            form = {"model": (None, dialect.model), "response_format": (None, "json")}
            response, body = await self._send(self._http().build_request("POST", dialect.url, files=form))
            return response.status_code, dict(response.headers), body

        return await inspect(server.url, self._model, ask, self._look)

    async def keep_acquainted(self) -> None:
        """Ask each server that is not known, or does not fit, until canceled: at the start, and when it may be back."""
        async with asyncio.TaskGroup() as tasks:
            for server in self.pool.servers:
                server.profile.doubt()
                tasks.create_task(self._keep_acquainted(server))

    async def _keep_acquainted(self, server: Server) -> None:
        caller = CallOptions("live", "the product itself")
        failures = 0
        while True:
            if server.profile.doubtful and server.allows():
                try:
                    await self.execute_asr_with_concurrency_control(server, silence(), caller, first=False)
                    failures = 0
                except TranscriptionError as error:
                    failures += not isinstance(error, Misconfigured)
                    log.info("[ASR API] server=%s cannot be asked yet: %r", server.gate.name, str(error))
            await asyncio.sleep(min(LONGEST_BACKOFF, LOOK * 2 ** min(16, failures)))

    def _http(self) -> httpx.AsyncClient:
        """The connection pool of the running event loop. The gate bounds it, and `execute_…` its time."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._http_clients:
                for closed in [other for other in self._http_clients if other.is_closed()]:
                    del self._http_clients[closed]
                self._http_clients[loop] = httpx.AsyncClient(
                    headers=self._headers,
                    verify=self._tls,
                    trust_env=False,
                    follow_redirects=False,
                    timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),
                    limits=httpx.Limits(keepalive_expiry=KEEPALIVE),
                )
            return self._http_clients[loop]

    async def aclose(self) -> None:
        """Close the running loop's connections. Exchanges still in flight are cancelled, and stay noted."""
        loop = asyncio.get_running_loop()
        cut_off = [exchange for exchange in self._exchanges if exchange.get_loop() is loop]
        for exchange in cut_off:
            exchange.cancel()
        await asyncio.gather(*cut_off, return_exceptions=True)
        if client := self._http_clients.pop(loop, None):
            await client.aclose()

    # --- what there is to see ------------------------------------------------------------------

    def _count(self, *, last_oom_at: datetime | None = None, **more: int) -> None:
        with self._lock:
            counts = {name: getattr(self._calls, name) + number for name, number in more.items()}
            self._calls = replace(self._calls, **counts, last_oom_at=last_oom_at or self._calls.last_oom_at)

    def announce(self, task_id: str, jobs: int | None = None) -> None:
        """Write to the log that a call, or a job, has arrived.

        jobs: how many wait in line, where not all of `jobs.queued` came before this one.
        """
        log.info("[ASR并发] 开始转录 task_id=%s %s", task_id, self._counts(jobs))

    def _counts(self, jobs: int | None = None) -> str:
        """The load of all servers in the words of the log lines, e.g. `active=1/1 queued=3`: calls and jobs wait."""
        active, limit, queued = map(sum, zip(*(server.gate.load() for server in self.pool.servers), strict=True))
        queued += self._pausing + (self.jobs.queued if jobs is None else jobs)
        return f"active={active}/{limit} queued={queued}"

    def snapshot(self) -> Snapshot:
        """Every server and every count, of one moment."""
        servers = tuple(self._server_snapshot(server) for server in self.pool.servers)
        return Snapshot(self._calls, servers, self._pausing, self.jobs)

    def _server_snapshot(self, server: Server) -> ServerSnapshot:
        now = self._clock()
        trouble, since = server.trouble(), server.breaker.open_since
        waits = since is not None or server.barred()
        return ServerSnapshot(
            url=server.url,
            gate=server.gate.snapshot(),
            breaker=server.breaker.state,
            trouble=trouble.reason if trouble else None,
            said=trouble.said if trouble else "",
            unreachable_since=None if since is None else now - since,
            retry_in=max(0.0, server.retry_in(now)) if waits else None,
            oom_errors=self._oom_by_server.get(server, 0),
            profile=server.profile.snapshot(),
        )


_OUTCOMES: dict[type[BaseException] | type[None], Outcome] = {
    OutOfMemory: "oom",
    ServerBusy: "busy",
    TimedOut: "timeout",
}
