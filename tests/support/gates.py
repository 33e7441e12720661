"""Gates before servers that nobody calls, and callers that hold permits."""

import asyncio
from collections.abc import Hashable
from typing import Any

from transcription.gate import Gate
from transcription.limit import FixedLimit, Limit
from transcription.line import Lane
from transcription.snapshot import GateSnapshot
from transcription.station import Station


def gate(limit: int | Limit = 1, *more: Station, **options: Any) -> Gate[Station]:
    """A gate on the running loop's clock, before a server with this limit and more servers."""
    first = Station("whisper", FixedLimit(limit) if isinstance(limit, int) else limit)
    return Gate([first, *more], **{"clock": asyncio.get_running_loop().time} | options)


def seen(gate: Gate[Any]) -> GateSnapshot:
    """The snapshot of the first server."""
    return gate.snapshot()[1][gate.servers[0]]


def set_ceiling(gate: Gate[Station], ceiling: int | None) -> None:
    gate.set_ceiling(gate.servers[0], ceiling)


def counts(gate: Gate[Any]) -> tuple[int, int, int]:
    snapshot = seen(gate)
    return snapshot.active, snapshot.queued, snapshot.abandoned


async def rest() -> None:
    """Give each task that is ready its turn on the loop."""
    for _ in range(5):
        await asyncio.sleep(0)


class Callers:
    """Named calls at one gate. Each holds its permit for `seconds`. `order`: the names as they were let in."""

    def __init__(self, gate: Gate[Any], seconds: float = 1.0) -> None:
        self.gate = gate
        self.seconds = seconds
        self.order: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def add(self, *names: str, lane: Lane = "batch", owner: Hashable = "someone", **options: Any) -> None:
        for name in names:
            self.tasks[name] = asyncio.create_task(self._call(name, lane, owner, options))
            await asyncio.sleep(0)  # the call enters the gate

    async def _call(self, name: str, lane: Lane, owner: Hashable, options: dict[str, Any]) -> None:
        permit = await self.gate.acquire(lane, owner, **options)
        self.order.append(name)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            permit.release()

    async def end(self) -> list[str]:
        """Wait until all calls have ended, and return the order in which they were let in. No call may fail."""
        await asyncio.gather(*self.tasks.values())
        assert counts(self.gate) == (0, 0, 0)
        return self.order
