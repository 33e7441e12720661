"""The arrival of jobs, in the log: each once, in the order in which they came, with what waits then, itself included.

A job that starts at once arrives when its first call stands at the gate: before, its file is read. A job that has to
wait in line arrives after the older ones that start; so the log says of two recordings that come at once, at limit 1:

    [ASR并发] 开始转录 task_id=asr_job1 active=1/1 queued=0
    [ASR并发] 开始转录 task_id=asr_job2 active=1/1 queued=1
"""

import time
from bisect import bisect
from collections.abc import Callable, Sequence

LONGEST_START = 5.0  # seconds until the first call of a job; longer only where a file begins with hours of silence


def task_id(pk: int) -> str:
    """What the log calls the job."""
    return f"asr_job{pk}"


class Arrivals:
    """tell: given the task id of a job, and how many jobs wait that came no later."""

    def __init__(self, tell: Callable[[str, int], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._line: Sequence[int] = ()
        self._newest: int | None = None  # of those in line that were told
        self._starting: dict[int, tuple[float, bool]] = {}  # without a call yet: when each was started, whether told

    def looked(self, line: Sequence[int]) -> None:
        """line: the ids of the jobs that wait, in ascending order. Those of the first look came to an earlier process,
        whose log has them."""
        if self._newest is None:
            self._newest = max(line, default=0)
        self._line = line
        self._tell_line()

    def started(self, pk: int) -> None:
        place = bisect(self._line, min(pk, self._newest or 0))
        self._starting[pk] = self._clock(), place > 0 and self._line[place - 1] == pk

    def at_gate(self, pk: int) -> None:
        """The job's first call stands at the gate."""
        _, told = self._starting.pop(pk, (0.0, True))  # missing: it is run once more, after the database was away
        if not told:
            self._tell(task_id(pk), bisect(self._line, pk))
        self._tell_line()

    def ended(self, pk: int) -> None:
        self._starting.pop(pk, None)
        self._tell_line()

    def _tell_line(self) -> None:
        """Tell of those in line, up to the first that an older one which starts has to precede."""
        latest = self._clock() - LONGEST_START
        first = min((pk for pk, (at, _) in self._starting.items() if at > latest), default=None)
        before = bisect(self._line, self._newest or 0)
        for place, pk in enumerate(self._line[before:], before + 1):
            if first is not None and first < pk:
                break
            self._tell(task_id(pk), place)
            self._newest = pk
