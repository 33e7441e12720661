"""What the gates did in the last day, for the monitor's chart: one row for every few seconds, kept in memory."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from django.utils.translation import gettext

from transcription import service
from transcription.snapshot import Snapshot

LOOK = 1.0  # seconds between two looks at the gates
ROW = 5.0  # seconds that a row stands for
ROWS = 17_280  # a day
POINTS = 720  # rows at most in one answer: a chart has no more room


class Row(NamedTuple):
    """The most there was in the seconds from `at` (Unix time) on, over all servers."""

    at: float
    limit: int
    active: int
    queued: int  # all that waits for Whisper
    queued_calls: int  # of that, calls; the others are jobs


class History:
    def __init__(self) -> None:
        self._rows: deque[Row] = deque(maxlen=ROWS)

    def note(self, now: float, snapshot: Snapshot) -> None:
        gates = [server.gate for server in snapshot.servers]
        row = Row(
            now // ROW * ROW,
            sum(gate.limit for gate in gates),
            sum(gate.active + gate.abandoned for gate in gates),
            snapshot.queued_calls + snapshot.jobs.queued,
            snapshot.queued_calls,
        )
        if self._rows and self._rows[-1].at == row.at:
            row = _most([self._rows.pop(), row])
        self._rows.append(row)

    def rows(self, since: float) -> list[Row]:
        """Those from `since` (Unix time) on, several as one where there are more than POINTS."""
        rows = [row for row in self._rows if row.at >= since]
        if not rows:
            return []
        step = ROW * -(-(rows[-1].at - rows[0].at + ROW) // (ROW * POINTS))
        return [_most(together) for _, together in groupby(rows, lambda row: row.at // step)]


def _most(rows: Iterable[Row]) -> Row:
    first, *others = rows
    return Row(first.at, *(max(values) for values in zip(*(row[1:] for row in (first, *others)), strict=True)))


history = History()


async def keep_history() -> None:
    """Until canceled."""
    while True:
        history.note(time.time(), service.snapshot())
        await asyncio.sleep(LOOK)


def recent(seconds: float) -> dict[str, Any]:
    """The rows of the last `seconds`, and each change of a limit in them, oldest first, with its reason in words."""
    return {"rows": history.rows(time.time() - seconds), "changes": sorted(_changes(seconds))}


def _changes(seconds: float) -> Iterator[tuple[float, str, int, str]]:
    now, clock = time.time(), time.monotonic()
    for server in service.snapshot().servers:
        for at, change in server.gate.changes:
            if clock - at <= seconds:
                yield round(now - (clock - at), 1), server.gate.name, change.limit, change.reason.translated(gettext)
