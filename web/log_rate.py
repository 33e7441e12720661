"""A logging filter that bounds how often one kind of line is written, so that a flood of faults fills no disk."""

import logging
import time
from dataclasses import dataclass

WINDOW = 60.0  # seconds
MOST = 30  # lines of one kind in a window: enough to see what goes on, and a few megabytes a day with tracebacks
KINDS = 1000  # kinds that are counted at once; more would fill the memory instead


@dataclass
class Count:
    ends: float  # on the monotonic clock
    lines: int = 0


class LogRate(logging.Filter):
    """At most MOST warnings and errors of one kind in a window; the next line tells how many were left out.

    A kind is a logger, a level and a message without its arguments. Lines below warning pass, and so do lines that
    begin with `keep`, since other programs count those.
    """

    def __init__(self, keep: str) -> None:
        super().__init__()
        self._keep = keep
        self._counts: dict[tuple[str, int, str], Count] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or str(record.msg).startswith(self._keep):
            return True
        now = time.monotonic()
        kind = (record.name, record.levelno, str(record.msg)[:200])
        count = self._counts.get(kind)
        if count is None or now >= count.ends:
            left_out = max(0, count.lines - MOST) if count else 0
            if len(self._counts) >= KINDS:
                self._counts = {kind: count for kind, count in self._counts.items() if now < count.ends}
            if len(self._counts) >= KINDS:
                return False
            count = self._counts[kind] = Count(now + WINDOW)
            if left_out:
                _add(record, f"{left_out} lines like this one were left out before it")
        count.lines += 1
        if count.lines == MOST:
            _add(record, "further lines like this one are left out for a minute")
        return count.lines <= MOST


def _add(record: logging.LogRecord, note: str) -> None:
    record.msg, record.args = f"{record.getMessage()} ({note})", None
