"""The batcher of the embedded engine: who is computed together, and in which order. The model is a stand-in."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from tests.support.waiting import PATIENCE, wait_for
from transcription.engine.batcher import Batcher, HungUp, Participant, Step


class Doubler:
    """Doubles numbers, and notes each batch. While it is held, a batch that has begun does not end.

    room: the most items that fit into memory.
    """

    def __init__(self, room: int = 99) -> None:
        self.batches: list[Sequence[Any]] = []
        self.free = Event()
        self._room = room
        self.encode = Step(self._double, rank=1)
        self.one_by_one = Step(self._double, rank=1, most=1)
        self.decode = Step(self._double, rank=2, patient=True)

    def _double(self, key: object, items: Sequence[Any]) -> list[Any]:
        self.batches.append(items)
        assert self.free.wait(PATIENCE)
        if len(items) > self._room:
            raise RuntimeError("CUDA failed with error out of memory")
        return [2 * item for item in items]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as threads:
        yield threads


class Callers:
    """Callers of one batcher, each in a thread of the pool."""

    def __init__(self, batcher: Batcher, pool: ThreadPoolExecutor) -> None:
        self.batcher = batcher
        self._pool = pool

    def ask(
        self, step: Step, item: Any, *, key: object = None, gone: Callable[[], bool] = lambda: False
    ) -> "Future[Any]":
        """Ask for one step. Returns when the caller waits for it, or is computed."""
        asked = Event()

        def gone_or_asked() -> bool:
            asked.set()  # the batcher looks at each waiting caller before it begins a batch
            return gone()

        def call() -> Any:
            with self.batcher.caller(gone_or_asked, prompt=True) as caller:
                return caller.compute(step, key, item)

        before = self.batcher.waiting
        answer = self._pool.submit(call)
        wait_for(lambda: asked.is_set() or self.batcher.waiting > before, "the caller")
        return answer


def test_callers_that_wait_for_the_model_are_computed_together(pool: ThreadPoolExecutor) -> None:
    model, callers = Doubler(), Callers(Batcher(largest=3), pool)
    answers = [callers.ask(model.encode, number) for number in range(6)]
    model.free.set()
    assert [answer.result(PATIENCE) for answer in answers] == [0, 2, 4, 6, 8, 10]
    assert model.batches == [[0], [1, 2, 3], [4, 5]]


def test_two_batches_are_computed_at_once_where_the_model_bears_it(pool: ThreadPoolExecutor) -> None:
    model, callers = Doubler(), Callers(Batcher(largest=3, at_once=2), pool)
    answers = [callers.ask(model.encode, number) for number in range(5)]
    wait_for(lambda: model.batches == [[0], [1]], "two batches")
    assert callers.batcher.waiting == 3
    model.free.set()
    assert [answer.result(PATIENCE) for answer in answers] == [0, 2, 4, 6, 8]
    assert model.batches == [[0], [1], [2, 3, 4]]


def test_only_equal_steps_with_equal_keys_go_together_and_lower_ranks_go_first(pool: ThreadPoolExecutor) -> None:
    model, callers = Doubler(), Callers(Batcher(largest=8), pool)
    asked = [
        (model.encode, 0, "short"),
        (model.decode, 1, "short"),
        (model.encode, 2, "long"),
        (model.encode, 3, "short"),
        (model.decode, 4, "short"),
        (model.encode, 5, "long"),
        (model.one_by_one, 6, "long"),
        (model.one_by_one, 7, "long"),
    ]
    answers = [callers.ask(step, item, key=key) for step, item, key in asked]
    model.free.set()
    assert [answer.result(PATIENCE) for answer in answers] == [0, 2, 4, 6, 8, 10, 12, 14]
    assert model.batches == [[0], [2, 5], [3], [6], [7], [1, 4]]


@pytest.mark.parametrize(
    ("largest", "prompt", "batches"),
    [(8, True, [[1, 2]]), (8, False, [[1], [2]]), (1, True, [[1], [2]])],
    ids=["a prompt caller is waited for", "a slow caller is not", "nobody is waited for where the batch is full"],
)
def test_a_patient_step_waits_for_prompt_callers(
    largest: int, prompt: bool, batches: list[list[int]], pool: ThreadPoolExecutor
) -> None:
    model, batcher = Doubler(), Batcher(largest)
    model.free.set()
    with batcher.caller(lambda: False, prompt=prompt) as late:
        early = Callers(batcher, pool).ask(model.decode, 1)
        if len(batches) == 2:
            assert early.result(PATIENCE) == 2
        assert late.compute(model.decode, None, 2) == 4
    assert early.result(PATIENCE) == 2
    assert model.batches == batches


def test_a_patient_step_goes_on_when_the_caller_that_it_waits_for_leaves(pool: ThreadPoolExecutor) -> None:
    model, batcher = Doubler(), Batcher(largest=8)
    model.free.set()
    with batcher.caller(lambda: False, prompt=True):
        answer = Callers(batcher, pool).ask(model.decode, 1)
        assert not answer.done()
    assert answer.result(PATIENCE) == 2


def test_a_caller_that_hangs_up_leaves_the_line(pool: ThreadPoolExecutor) -> None:
    model, callers, hung_up = Doubler(), Callers(Batcher(largest=8), pool), Event()
    first, second = callers.ask(model.encode, 1), callers.ask(model.encode, 2, gone=hung_up.is_set)
    third = callers.ask(model.encode, 3)
    hung_up.set()
    model.free.set()
    with pytest.raises(HungUp):
        second.result(PATIENCE)
    assert (first.result(PATIENCE), third.result(PATIENCE)) == (2, 6)
    assert model.batches == [[1], [3]]


def test_out_of_memory_halves_the_batch_and_is_told_to_nobody_that_fits_alone(pool: ThreadPoolExecutor) -> None:
    model, callers = Doubler(room=2), Callers(Batcher(largest=8), pool)
    answers = [callers.ask(model.encode, number) for number in range(9)]
    model.free.set()
    assert [answer.result(PATIENCE) for answer in answers] == [2 * number for number in range(9)]
    assert model.batches == [[0], [1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4], [1, 2], [3, 4], [5, 6, 7, 8], [5, 6], [7, 8]]
    assert callers.batcher.largest == 2


@pytest.mark.parametrize("error", [RuntimeError("CUDA failed with error out of memory"), MemoryError("std::bad_alloc")])
def test_the_caller_that_does_not_fit_alone_is_told_so(error: Exception, pool: ThreadPoolExecutor) -> None:
    def fail(key: object, items: Sequence[Any]) -> list[Any]:
        raise error

    with pytest.raises(type(error), match=str(error)):
        Callers(Batcher(largest=8), pool).ask(Step(fail, rank=1), 1).result(PATIENCE)


def test_an_error_reaches_only_the_caller_that_causes_it(pool: ThreadPoolExecutor) -> None:
    model, callers = Doubler(), Callers(Batcher(largest=8), pool)
    answers = [callers.ask(model.encode, item) for item in (0, 1, None, 3)]
    model.free.set()
    with pytest.raises(TypeError):
        answers[2].result(PATIENCE)
    assert [answers[place].result(PATIENCE) for place in (0, 1, 3)] == [0, 2, 6]
    assert callers.batcher.largest == 8


def test_each_of_many_callers_gets_its_own_results(pool: ThreadPoolExecutor) -> None:
    model, batcher = Doubler(), Batcher(largest=4)
    model.free.set()

    steps = [model.encode, model.one_by_one, model.decode]

    def transcribe(caller: Participant, number: int) -> list[Any]:
        return [caller.compute(steps[(number + place) % 3], place % 2, (number, place)) for place in range(50)]

    def call(number: int) -> list[Any]:
        with batcher.caller(lambda: False, prompt=number % 3 > 0) as caller:
            return transcribe(caller, number)

    for number, results in enumerate(pool.map(call, range(16), timeout=PATIENCE)):
        assert results == [(number, place) * 2 for place in range(50)]
    assert max(len(batch) for batch in model.batches) <= 4
