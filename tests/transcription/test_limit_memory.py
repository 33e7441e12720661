"""What a limit has learnt is taken up by another one, as a hypothesis. The samples are computed, no server is there."""

import json
import math
from typing import Any

import pytest

from tests.support.limit_calls import Calls, Speed, flat
from transcription.learnt import Gain, LimitState
from transcription.limit import AdaptiveLimit, FixedLimit, Limit, Outcome
from transcription.memory import ServerMemory, Service, read, written

LEVEL = 4  # beyond it the server does no more


def experienced() -> AdaptiveLimit:
    limit = AdaptiveLimit(ceiling=None)
    calls = Calls(limit, flat(LEVEL))
    calls.until(LEVEL)
    calls.many(2000)
    calls.until(LEVEL)
    return limit


def heir(state: LimitState, *, floor: int = 1, ceiling: int | None = None) -> AdaptiveLimit:
    limit = AdaptiveLimit(floor=floor, ceiling=ceiling)
    limit.restore(state)
    return limit


def test_an_heir_stands_at_home_with_all_gains_before_the_first_call() -> None:
    before = experienced()
    after = heir(before.state())
    assert after.limit == before.learnt.home == LEVEL
    assert after.learnt.gains == before.learnt.gains != ()
    assert after.state() == before.state()
    assert after.learnt.inherited == "unproven"


def slower(speed: Speed, times: float) -> Speed:
    return lambda n: speed(n) / times


@pytest.mark.parametrize(
    ("times", "inherited"), [(1.0, "confirmed"), (1.1, "confirmed"), (4.0, "refuted"), (0.25, "refuted")]
)
def test_the_first_window_decides_whether_the_server_is_the_one_that_was_known(times: float, inherited: str) -> None:
    state = experienced().state()
    limit = heir(state)
    calls = Calls(limit, slower(flat(LEVEL), times), noise=0.1)
    while limit.learnt.inherited == "unproven":
        assert limit.limit == LEVEL  # no visit before
        calls.one()
    assert limit.learnt.inherited == inherited
    if inherited == "refuted":
        assert (limit.limit, limit.state()) == (1, AdaptiveLimit(ceiling=None).state())  # nothing is left of it
    else:
        assert limit.learnt.gains


def test_what_was_confirmed_stays_and_spares_the_search() -> None:
    limit = heir(experienced().state())
    assert Calls(limit, flat(LEVEL)).home() == LEVEL
    assert limit.learnt.inherited == "confirmed"


@pytest.mark.parametrize(
    ("outcome", "inherited", "left"),
    [("oom", "refuted", LEVEL // 2), ("busy", "unproven", LEVEL - 1), ("timeout", "unproven", LEVEL - 1)],
)
def test_out_of_memory_refutes_and_what_may_pass_does_not(outcome: Outcome, inherited: str, left: int) -> None:
    limit = heir(experienced().state())
    Calls(limit, flat(LEVEL)).one(outcome)
    assert (limit.learnt.inherited, limit.limit) == (inherited, left)
    assert (limit.learnt.gains == ()) is (inherited == "refuted")
    assert limit.learnt.failed == LEVEL


def test_too_few_calls_neither_confirm_nor_refute() -> None:
    limit = heir(experienced().state())
    Calls(limit, slower(flat(LEVEL), 4.0)).many(200, in_flight=1)
    assert limit.learnt.inherited == "unproven"


@pytest.mark.parametrize(
    ("floor", "ceiling", "limit"),
    [(1, None, LEVEL), (1, 8, LEVEL), (1, LEVEL, LEVEL), (1, 2, 2), (6, None, 6), (6, 8, 6)],
)
def test_the_settings_of_now_bound_what_was_learnt_under_others(floor: int, ceiling: int | None, limit: int) -> None:
    calls = Calls(heir(experienced().state(), floor=floor, ceiling=ceiling), flat(LEVEL), noise=0.1)
    assert calls.limit.limit == limit
    assert all(floor <= seen <= (ceiling or math.inf) for seen in calls.many(500))


def test_a_level_that_failed_is_avoided_by_the_heir() -> None:
    limit = experienced()
    calls = Calls(limit, flat(2 * LEVEL))
    calls.until(LEVEL + 1)
    calls.one("oom")
    assert limit.learnt.failed == LEVEL + 1
    successor = Calls(heir(limit.state()), flat(2 * LEVEL))
    assert max(successor.many(300)) <= LEVEL


def test_a_fixed_limit_leaves_alone_what_another_one_learnt() -> None:
    limit: Limit = FixedLimit(3)
    assert limit.restore(experienced().state()) is None
    assert (limit.limit, limit.state(), limit.learnt) == (3, None, None)


# --- the form in which it is kept ------------------------------------------------------------------

GOOD = LimitState(3, 2, None, 0.5, 40, 0.1, (Gain(2, 3, 0.4, 9.0),))


@pytest.mark.parametrize("limit", [GOOD, None])
def test_a_memory_is_read_as_it_was_written(limit: LimitState | None) -> None:
    memory = ServerMemory(limit, (Service(3.5, 28.0),), version=1)
    assert read(json.loads(json.dumps(written(memory), allow_nan=False))) == memory


def damaged(**parts: Any) -> Any:
    return {"limit": None, "services": [], "version": 1} | parts


def of_limit(**parts: Any) -> Any:
    kept: Any = written(ServerMemory(GOOD, (), version=1))
    return kept | {"limit": kept["limit"] | parts}


@pytest.mark.parametrize(
    "state",
    [
        None,
        "",
        [],
        {},
        damaged(version=2),
        {"limit": None, "services": []},
        damaged(services=[[1.0]]),
        damaged(services=[[math.nan, 1.0]]),
        damaged(services=[[-1.0, 1.0]]),
        damaged(limit={"home": 3}),
        of_limit(home=0),
        of_limit(home="many"),
        of_limit(worse=3),
        of_limit(failed=0),
        of_limit(base=math.nan),
        of_limit(base=math.inf),
        of_limit(base_calls=-1),
        of_limit(variance=0.0),
        of_limit(gains=[[3, 2, 0.4, 9.0]]),
        of_limit(gains=[[2, 3, 0.4, 0.0]]),
        of_limit(gains=[[2, 3, math.nan, 9.0]]),
        of_limit(gains=[[2, 3]]),
    ],
    ids=str,
)
def test_a_state_that_nobody_wrote_is_refused(state: object) -> None:
    with pytest.raises(ValueError, match=r"^[\w.]+: .+$"):
        read(state)
