"""Readiness of a process: probes of its parts, asked together and at most once within a second."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds for each probe; a prober usually allows more (Kubernetes 1 s, Docker 30 s by default)
FRESH = 1.0  # seconds for which an answer is given again, so that many probers cost no more than one


class NotReady(Exception):
    """The part of a probe cannot do its work. The message is one sentence with the reason and no details."""


class Said(NamedTuple):
    """Sentences about a part that is well. advice: those that ask an admin to change something."""

    words: list[str]
    advice: list[str]


Probe = Callable[[], Awaitable[Said | None]]


class Readiness:
    """Runs the probes, at most once in FRESH seconds for all requests.

    A probe returns, raises the reason why its part cannot do its work, or is given up after PATIENCE seconds.
    """

    def __init__(self, probes: dict[str, Probe]) -> None:
        self._probes = probes
        self._asking: asyncio.Task[dict[str, dict[str, Any]]] | None = None
        self._asked_at = 0.0
        self._down: set[str] = set()

    async def parts(self) -> dict[str, dict[str, Any]]:
        """Result by part: `ok`; `seconds` that its probe took; `words` and `advice`, where the probe returned some; and
        for a part that is down, `error`, the class of the exception, and `reason`, the sentence of a NotReady.
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

    async def _one(self, name: str, probe: Probe) -> dict[str, Any]:
        began = time.monotonic()
        result: dict[str, Any] = {"ok": True}
        try:
            async with asyncio.timeout(PATIENCE):
                said = await probe()
            result |= {kind: sentences for kind, sentences in said._asdict().items() if sentences} if said else {}
        except Exception as failure:
            result = {"ok": False, "error": type(failure).__name__}
            if isinstance(failure, NotReady):
                result["reason"] = str(failure)
            if name not in self._down:  # once: a prober may ask each second for hours
                log.warning("%s is down: %r", name, failure)
            self._down.add(name)
        else:
            if name in self._down:
                log.warning("%s is back", name)
            self._down.discard(name)
        return result | {"seconds": round(time.monotonic() - began, 3)}


def in_thread(work: Callable[[], None]) -> Probe:
    """A probe from a function that blocks. Each probe has its own thread, so one that hangs delays no other probe."""
    threads = ThreadPoolExecutor(1, thread_name_prefix=work.__name__)

    async def probe() -> None:
        await asyncio.get_running_loop().run_in_executor(threads, work)

    return probe
