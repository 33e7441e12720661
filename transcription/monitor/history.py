"""The last day of the gate, for the chart of the monitor: one row for every few seconds, kept in memory."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from django.utils.translation import gettext

from transcription import service
from transcription.snapshot import Snapshot

LOOK = 1.0  # seconds between two snapshots
ROW = 5.0  # seconds that a row stands for
ROWS = 17_280  # a day
POINTS = 720  # rows at most in one answer: a chart has no more room


class HistoryRow(NamedTuple):
    """The highest counts, over all servers, in the ROW seconds from `at` (Unix time) on."""

    at: float
    limit: int
    active: int
    queued: int  # calls and jobs that wait
    queued_calls: int  # the calls among them


class History:
    def __init__(self) -> None:
        self._rows: deque[HistoryRow] = deque(maxlen=ROWS)

    def note(self, now: float, snapshot: Snapshot) -> None:
        gates = [server.gate for server in snapshot.servers]
        row = HistoryRow(
            now // ROW * ROW,
            sum(gate.limit for gate in gates),
            sum(gate.active + gate.abandoned for gate in gates),
            snapshot.queued_calls + snapshot.jobs.queued,
            snapshot.queued_calls,
        )
        if self._rows and self._rows[-1].at == row.at:
            row = _most([self._rows.pop(), row])
        self._rows.append(row)

    def rows(self, since: float) -> list[HistoryRow]:
        """The rows from `since` (Unix time) on. Of more than POINTS, neighbours are put together."""
        rows = [row for row in self._rows if row.at >= since]
        if not rows:
            return []
        step = ROW * -(-(rows[-1].at - rows[0].at + ROW) // (ROW * POINTS))
        return [_most(together) for _, together in groupby(rows, lambda row: row.at // step)]


def _most(rows: Iterable[HistoryRow]) -> HistoryRow:
    first, *others = rows
    return HistoryRow(first.at, *(max(values) for values in zip(*(row[1:] for row in (first, *others)), strict=True)))


history = History()


async def keep_history() -> None:
    """Note a snapshot every LOOK seconds, until canceled."""
    while True:
        history.note(time.time(), service.snapshot())
        await asyncio.sleep(LOOK)


def recent(seconds: float) -> dict[str, Any]:
    """The rows of the last `seconds`, and the changes of limits in them: time, server, limit, reason; oldest first."""
    return {"rows": history.rows(time.time() - seconds), "changes": sorted(_changes(seconds))}


def _changes(seconds: float) -> Iterator[tuple[float, str, int, str]]:
    now, clock = time.time(), time.monotonic()
    for server in service.snapshot().servers:
        for at, change in server.gate.changes:
            if clock - at <= seconds:
                yield round(now - (clock - at), 1), server.gate.name, change.limit, change.reason.translated(gettext)
