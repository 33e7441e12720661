"""Batches: what several threads ask of one model is computed together.

Each caller has a thread of its own, and asks for one step of its transcription after the other. The rules:

1.  So many batches as the model can bear are computed at once, each by the thread of one of the callers, while the
    other threads wait.
2.  Of the steps, those of the lowest rank go first; among them the one that was asked for first. With it go all others
    that have the same step and key, as many as `largest` and the step allow.
3.  A patient step waits until its batch is full, or no prompt caller is between two steps. Decoding takes seconds, and
    what lies between two steps takes milliseconds, so callers that came together stay together.
4.  A caller that hangs up leaves before its next batch.
5.  If a batch fails, its halves are computed, so that an error reaches only the caller that causes it. If memory ran
    out, later batches are not larger than such a half.
"""

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from transcription.servers.refusal import OUT_OF_MEMORY


class HungUp(Exception):
    """The caller has closed its connection, so no answer is needed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of computation.

    compute: takes a key and items, and returns the result of each item.
    rank: of two steps, the one with the lower rank goes first.
    patient: see rule 3.
    most: items in one batch; None: as many as the batcher allows.
    """

    compute: Callable[[Any, Sequence[Any]], Sequence[Any]]
    rank: int
    patient: bool = False
    most: int | None = None


@dataclass(eq=False, slots=True)
class _Work:
    """What one caller waits for."""

    caller: "Participant"
    step: Step
    key: Hashable
    item: Any
    done: bool = False
    result: Any = None  # or the exception to raise


class Batcher:
    """Computes the steps of its callers, together where it can.

    largest: the most items in one batch. at_once: the most batches that are computed at the same time.
    """

    def __init__(self, largest: int, at_once: int = 1) -> None:
        self.largest = largest
        self.at_once = at_once
        self._changed = threading.Condition()
        self._waiting: list[_Work] = []  # in the order in which they were asked for
        self._between: set[Participant] = set()  # the prompt callers that wait for no step
        self._computing = 0  # batches

    @property
    def waiting(self) -> int:
        """The number of callers that wait for a batch to begin."""
        return len(self._waiting)

    @contextmanager
    def caller(self, gone: Callable[[], bool], *, prompt: bool) -> Iterator["Participant"]:
        """A caller, for the time of the block. `gone`: whether it has hung up.

        prompt: the caller takes milliseconds between two steps, so that others may wait for it.
        """
        caller = Participant(self, gone, prompt)
        with self._changed:
            self._note(caller)
        try:
            yield caller
        finally:
            with self._changed:
                self._between.discard(caller)
                self._changed.notify_all()

    def compute(self, caller: "Participant", step: Step, key: Hashable, item: Any) -> Any:
        """See `Participant.compute`."""
        work = _Work(caller, step, key, item)
        with self._changed:
            self._between.discard(caller)
            self._waiting.append(work)
            self._changed.notify_all()
        while batch := self._next_turn(work):
            results: Sequence[Any] = [HungUp()] * len(batch)
            try:
                results = self._results(step=batch[0].step, key=batch[0].key, items=[work.item for work in batch])
            finally:
                with self._changed:
                    self._computing -= 1
                    self._finish(batch, results)
        if isinstance(work.result, Exception):
            raise work.result
        return work.result

    def _note(self, caller: "Participant") -> None:
        if caller.prompt:
            self._between.add(caller)

    def _next_turn(self, work: _Work) -> list[_Work]:
        """Wait. Returns the batch that this thread shall compute; an empty one when its own work is done."""
        with self._changed:
            while not work.done:
                if self._computing < self.at_once and (batch := self._next()):
                    self._computing += 1
                    return batch
                if not work.done:
                    self._changed.wait()
            return []

    def _next(self) -> list[_Work]:
        """Take the next batch out of those that wait. Empty if nothing may be computed now."""
        gone = [work for work in self._waiting if work.caller.gone()]
        self._waiting = [work for work in self._waiting if work not in gone]
        if gone:
            self._finish(gone, [HungUp()] * len(gone))
        if not self._waiting:
            return []
        first = min(self._waiting, key=lambda work: work.step.rank)
        most = min(self.largest, first.step.most or self.largest)
        batch = [work for work in self._waiting if work.step is first.step and work.key == first.key][:most]
        if first.step.patient and len(batch) < most and self._between:
            return []
        self._waiting = [work for work in self._waiting if work not in batch]
        return batch

    def _finish(self, batch: Sequence[_Work], results: Sequence[Any]) -> None:
        for work, result in zip(batch, results, strict=True):
            work.result, work.done = result, True
            self._note(work.caller)
        self._changed.notify_all()

    def _results(self, step: Step, key: Hashable, items: Sequence[Any]) -> list[Any]:
        """The results of the items, or their exceptions."""
        try:
            return list(step.compute(key, items))
        except Exception as error:
            if len(items) == 1:
                return [error]
            half = len(items) // 2
            if isinstance(error, MemoryError) or OUT_OF_MEMORY.search(str(error)):
                self.largest = min(self.largest, half)
        return [*self._results(step, key, items[:half]), *self._results(step, key, items[half:])]


@dataclass(eq=False, slots=True)
class Participant:
    """A caller as a part of batches, in a thread of its own."""

    batcher: Batcher = field(repr=False)
    gone: Callable[[], bool]
    prompt: bool

    def compute(self, step: Step, key: Hashable, item: Any) -> Any:
        """The result of this step for this item. Waits for its turn.

        Items with equal keys can be computed together. Raises what the computation raises, and HungUp.
        """
        return self.batcher.compute(self, step, key, item)
