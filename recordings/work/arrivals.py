"""The arrival of jobs in the log: one line for each, in the order in which they came, with the number that wait then.

A job that starts at once arrives when its first call stands at the gate, after its file is read. A job that has to wait
in line arrives after the older ones that start. For two recordings that come together, at limit 1, the log says:

    [ASR并发] 开始转录 task_id=asr_job1 active=1/1 queued=0
    [ASR并发] 开始转录 task_id=asr_job2 active=1/1 queued=1
"""

import time
from bisect import bisect
from collections.abc import Callable, Sequence

LONGEST_START = 5.0  # seconds until the first call of a job; longer only where a file begins with hours of silence


def task_id(pk: int) -> str:
    """The name of the job in the log."""
    return f"asr_job{pk}"


class Arrivals:
    """Decides when the arrival of each job is told.

    tell: writes the log line, from the task id of a job and the number of jobs that wait and came no later.
    """

    def __init__(self, tell: Callable[[str, int], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._line: Sequence[int] = ()
        self._newest: int | None = None  # id of the newest job in line that was told
        self._starting: dict[
            int, tuple[float, bool]
        ] = {}  # jobs without a call yet: when each started, whether it was told

    def looked(self, line: Sequence[int]) -> None:
        """The runner looked at the line. line: the ids of the jobs that wait, in ascending order.

        The jobs of the first look came to an earlier process, which told of them.
        """
        if self._newest is None:
            self._newest = max(line, default=0)
        self._line = line
        self._tell_line()

    def started(self, pk: int) -> None:
        """The runner started the job."""
        place = bisect(self._line, min(pk, self._newest or 0))
        self._starting[pk] = self._clock(), place > 0 and self._line[place - 1] == pk

    def at_gate(self, pk: int) -> None:
        """The job's first call stands at the gate."""
        _, told = self._starting.pop(pk, (0.0, True))  # missing: the job runs once more, after the database was away
        if not told:
            self._tell(task_id(pk), bisect(self._line, pk))
        self._tell_line()

    def ended(self, pk: int) -> None:
        """The run of the job has ended."""
        self._starting.pop(pk, None)
        self._tell_line()

    def _tell_line(self) -> None:
        """Tell of the jobs in line, up to the first that comes after an older job which is starting."""
        latest = self._clock() - LONGEST_START
        first = min((pk for pk, (at, _) in self._starting.items() if at > latest), default=None)
        before = bisect(self._line, self._newest or 0)
        for place, pk in enumerate(self._line[before:], before + 1):
            if first is not None and first < pk:
                break
            self._tell(task_id(pk), place)
            self._newest = pk
