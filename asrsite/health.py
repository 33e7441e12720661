"""For machines that watch: does the process live, can it do its work, and how much does it do?

/healthz   the process answers: restart it where it does not
/readyz    each part that the work needs, asked in earnest; 503 (`down`): send people elsewhere
/metrics   for Prometheus

Whisper away does not make this process unready: recordings are taken in and wait, and text is read and corrected all
the same. Nor would another process reach it better: were all of them taken out of the load balancer, nobody would be
served. So /readyz then answers 200, with `degraded` for a status and the reason at `gate`. It does the same, with
`NetworkOpen` at `decoder`, where the processes that read people's files cannot be kept from the network.
"""

import asyncio
import hmac
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from channels.layers import get_channel_layer
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.auth import bearer_secret
from recordings.live.metrics import LiveCollector
from transcription import service
from transcription.audio import apart
from transcription.monitor.metrics import exposition, registry
from web.problems import Problem
from web.throttle import BAD_TOKENS

log = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds for each part; whoever asks usually allows more (Kubernetes 1 s, Docker 30 s by default)
INFORMATIVE = {"gate", "decoder"}  # parts without which a process still serves
FRESH = 1.0  # seconds for which an answer holds, so that many who ask cost no more than one


@require_safe
@never_cache
async def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
async def readyz(request: HttpRequest) -> HttpResponse:
    parts = await readiness.parts()
    away = {name for name, part in parts.items() if not part["ok"]}
    status = "down" if away - INFORMATIVE else "degraded" if away else "ok"
    return JsonResponse({"status": status, "parts": parts}, status=503 if status == "down" else 200)


@require_safe
@never_cache
async def metrics(request: HttpRequest) -> HttpResponse:
    try:
        _may_scrape(request)
    except Problem as problem:
        return JsonResponse(problem.body(), status=problem.status, headers=problem.headers)
    text, media_type = exposition(request.headers.get("Accept", ""))
    return HttpResponse(text, content_type=media_type)


def _may_scrape(request: HttpRequest) -> None:
    """Raises Problem unless METRICS_TOKEN is sent, or the request comes from METRICS_ALLOWED.

    A trusted proxy's own address is never taken for a scraper's: a proxy that forgets to send `X-Forwarded-For` brings
    everybody's requests from it.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if _is_among(address, settings.METRICS_ALLOWED) and not _is_among(address, settings.TRUSTED_PROXIES):
        return
    if not settings.METRICS_TOKEN:
        raise Problem(403, "forbidden", _("Set METRICS_TOKEN or METRICS_ALLOWED to read this."))
    if not hmac.compare_digest((bearer_secret(request) or "").encode(), settings.METRICS_TOKEN.encode()):
        BAD_TOKENS.require(address)
        headers = {"WWW-Authenticate": 'Bearer realm="Stile"'}
        raise Problem(401, "not_authenticated", _("Send METRICS_TOKEN: “Authorization: Bearer …”."), headers)


def _is_among(address: str, networks: Iterable[str]) -> bool:
    """Whether the address is one of the networks or lies in one; that of a socket file, which has none, is not."""
    try:
        return any(ip_address(address) in ip_network(network) for network in networks)
    except ValueError:
        return False


class Readiness:
    """The probes, shared by all requests within FRESH seconds. A probe may return words about a part that is well."""

    def __init__(self, probes: dict[str, Callable[[], Awaitable[list[str] | None]]]) -> None:
        self._probes = probes
        self._asking: asyncio.Task[dict[str, dict[str, Any]]] | None = None
        self._asked_at = 0.0
        self._down: set[str] = set()

    async def parts(self) -> dict[str, dict[str, Any]]:
        """Each part by name: `ok`, `seconds` that its probe took, `words` where there is more to say, and if it is
        down, `error`, a kind and no details.

        `reason` says more where no detail is in it.
        """
        now = time.monotonic()
        task, loop = self._asking, asyncio.get_running_loop()
        if task is None or task.get_loop() is not loop or now - self._asked_at >= FRESH:
            task = self._asking = loop.create_task(self._ask())
            self._asked_at = now
        return await asyncio.shield(task)

    async def _ask(self) -> dict[str, dict[str, Any]]:
        results = await asyncio.gather(*(self._one(name, probe) for name, probe in self._probes.items()))
        return dict(zip(self._probes, results, strict=True))

    async def _one(self, name: str, probe: Callable[[], Awaitable[list[str] | None]]) -> dict[str, Any]:
        began = time.monotonic()
        result: dict[str, Any] = {"ok": True}
        try:
            async with asyncio.timeout(PATIENCE):
                words = await probe()
            result |= {"words": words} if words else {}
        except Exception as failure:
            result = {"ok": False, "error": type(failure).__name__}
            if isinstance(failure, NotReady):
                result["reason"] = str(failure)
            if name not in self._down:  # the first time only: it may be asked every second for hours
                log.warning("%s is down: %r", name, failure)
            self._down.add(name)
        else:
            if name in self._down:
                log.warning("%s is back", name)
            self._down.discard(name)
        return result | {"seconds": round(time.monotonic() - began, 3)}


def in_thread(work: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    """A probe that blocks, in a thread of its own: one that hangs does not take those that others need."""
    threads = ThreadPoolExecutor(1, thread_name_prefix=work.__name__)

    async def probe() -> None:
        await asyncio.get_running_loop().run_in_executor(threads, work)

    return probe


class Soundness:
    """Whether SQLite's file is damaged. To read all of it takes a while (about a second for 500 MB), so a look costs at
    most a hundredth of the time, and no answer waits for one that takes long."""

    SHARE = 100
    QUICK = 0.5  # seconds that an answer waits for a look

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="soundness")
        self._looking: Future[str] | None = None
        self._next = 0.0
        self._said = "ok"

    def require(self) -> None:
        """Raises DatabaseError where the last look found damage."""
        if self._looking is None and time.monotonic() >= self._next:
            self._looking = self._thread.submit(self._look)
        if self._looking:
            with suppress(TimeoutError):
                self._said, self._looking = self._looking.result(self.QUICK), None
        if self._said != "ok":
            raise DatabaseError(self._said)

    def _look(self) -> str:
        began = time.monotonic()
        try:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA quick_check(1)")
                return str(cursor.fetchone()[0])
        except DatabaseError as error:
            return "ok" if "locked" in str(error) else str(error)
        finally:
            connection.close()
            now = time.monotonic()
            self._next = now + (now - began) * self.SHARE


soundness = Soundness()


def database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM django_migrations")
        if connection.vendor == "sqlite":
            soundness.require()
    finally:
        connection.close()


def storage() -> None:
    """Keeps a small file, reads it and removes it. Its name is this process's, so that a killed one leaves few."""
    content = secrets.token_bytes(16)
    name = default_storage.save(f"readyz-{socket.gethostname()}-{os.getpid()}", ContentFile(content))
    try:
        with default_storage.open(name) as file:
            if file.read() != content:
                raise OSError("The storage gave back something else than it was given.")
    finally:
        default_storage.delete(name)


async def channel_layer() -> None:
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "readyz"})
    await layer.receive(channel)


class NotReady(Exception):
    """The message is one sentence that says why, without details."""


async def gate() -> list[str]:
    """One of the Whisper servers takes connections, and what it is sent; what was found of each, without addresses.

    The breakers need not be asked: they look back.
    """
    servers = service.snapshot().servers
    if bar := service.barred():
        raise NotReady(bar.reason)
    attempts = [asyncio.create_task(_connect(server.url)) for server in servers]
    try:
        for attempt in asyncio.as_completed(attempts):
            try:
                await attempt
                break
            except OSError as failure:
                last = failure
        else:
            raise last
    finally:
        for task in attempts:
            task.cancel()
    found = [server.known for server in servers]
    words = [str(known.finding) for known in found]
    if all(known.fault for known in found):
        raise NotReady(" ".join(words))
    return words


class NetworkOpen(Exception):
    """The system has no means, of those that the product knows, to take the network from a process."""


async def decoder() -> None:
    """The processes that read people's files can be started, and none of them has a network."""
    if not await apart.network_closed():
        raise NetworkOpen


async def _connect(url: str) -> None:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    _reader, writer = await asyncio.open_connection(parts.hostname, port)
    writer.close()


registry.register(LiveCollector())
readiness = Readiness(
    {
        "database": in_thread(database),
        "channel_layer": channel_layer,
        "storage": in_thread(storage),
        "decoder": decoder,
        "gate": gate,
    }
)
