"""What each kind of sample does to the adaptive limit. The samples are computed: there is no gate and no server."""

import math
import re
from collections.abc import Callable
from functools import partial

import pytest

from tests.support.limit_calls import Calls, Speed, flat
from transcription.limit import (
    COOL_DOWN,
    LONGEST_HOLD,
    SHUN_CALLS,
    SHUN_SECONDS,
    AdaptiveLimit,
    FixedLimit,
    Limit,
    LimitChange,
    Outcome,
    Sample,
)
from transcription.sentence import Sentence


def at(ceiling: int) -> Calls:
    """A limit that has climbed to its ceiling, before a server that gets the more done the more calls it has."""
    limit = AdaptiveLimit(ceiling=ceiling)
    calls = Calls(limit)
    while limit.learnt.home < ceiling:
        calls.one()
    return calls


def visited(calls: Calls) -> list[int]:
    """The levels that were tried, by the reasons of the changes."""
    tries = (re.match(r"trying whether (\d+)", change.reason) for change in calls.changes)
    return [int(level[1]) for level in tries if level]


@pytest.mark.parametrize("ceiling", [8, None])
def test_it_starts_at_the_floor(ceiling: int | None) -> None:
    assert AdaptiveLimit(floor=2, ceiling=ceiling).limit == 2


def test_it_climbs_while_throughput_rises_and_stays_where_that_ends() -> None:
    calls = Calls(AdaptiveLimit(ceiling=None), flat(5))
    calls.many(300)
    assert calls.home() == 5


def test_it_goes_down_when_fewer_calls_in_flight_get_as_much_done() -> None:
    calls = Calls(AdaptiveLimit(ceiling=12), flat(3))
    calls.many(600)
    assert calls.home() == 3


def test_after_a_move_it_goes_on_at_once() -> None:
    assert Calls(AdaptiveLimit(ceiling=None), flat(5)).until(3) < 45


def test_it_goes_up_by_one_and_by_an_eighth_when_it_is_high() -> None:
    calls = Calls(AdaptiveLimit(ceiling=None))
    calls.until(27)
    assert visited(calls) == [*range(2, 17), 18, 20, 22, 24, 27]


@pytest.mark.parametrize(("floor", "ceiling", "levels"), [(1, 8, [2, 4, 8]), (3, 8, [6, 8]), (8, 8, [])])
def test_it_climbs_to_a_ceiling_by_doubling_and_adds_one_call_after_the_other(
    floor: int, ceiling: int, levels: list[int]
) -> None:
    calls = Calls(AdaptiveLimit(floor=floor, ceiling=ceiling))
    assert calls.until(ceiling) < 4 * ceiling
    assert visited(calls) == levels
    assert [change.limit for change in calls.changes] == [*range(floor + 1, ceiling + 1)]


def test_it_climbs_no_higher_than_calls_get_done() -> None:
    calls = Calls(AdaptiveLimit(ceiling=64), flat(4))
    assert max(calls.many(500)) == 8


def test_before_a_sturdy_server_it_climbs_so_without_a_ceiling() -> None:
    calls = Calls(AdaptiveLimit(ceiling=None, sturdy=True), flat(8))
    assert calls.until(8) < 32
    assert visited(calls) == [2, 4, 8]
    assert max(calls.many(500)) == 16
    assert calls.home() == 8


@pytest.mark.parametrize(
    ("started", "finished", "out", "added"),
    [(-5.0, 1.1, 3, 1), (-5.0, 0.9, 3, 0), (0.0, 0.3, 3, 1), (-0.1, 0.2, 3, 0), (-5.0, 1.1, 2, 0)],
    ids=["after a second", "too soon", "after a whole call", "after less than a call", "not full"],
)
def test_it_adds_a_call_when_all_permits_are_out_and_the_last_one_has_had_the_time_to_fail(
    started: float, finished: float, out: int, added: int
) -> None:
    calls = Calls(AdaptiveLimit(ceiling=8))
    calls.until(3)  # on the way from 2 to 4
    calls.limit.record(Sample(calls.now + started, calls.now + finished, 1.0, 2, "ok", out))
    assert calls.limit.limit == 3 + added


def test_it_goes_down_half_way_first_and_then_ever_nearer() -> None:
    calls = at(16)
    calls.changes.clear()
    calls.many(5000)
    assert list(dict.fromkeys(visited(calls))) == [8, 12, 14, 15]


def test_a_ceiling_far_too_high_is_left_in_few_steps() -> None:
    assert Calls(AdaptiveLimit(ceiling=64), flat(1)).until(1) < 300


def test_a_visit_is_the_shorter_the_clearer_its_gain() -> None:
    def visit(speed: Speed) -> int:
        calls = Calls(AdaptiveLimit(floor=2, ceiling=None), speed, noise=0.3)
        calls.until(2)
        calls.until(3)
        return calls.until(2) if speed(3) <= speed(2) else calls.count

    lost, even = visit(lambda n: 1 / n**4), visit(lambda n: 1)
    assert lost < even


def test_it_rests_longer_between_visits_the_surer_it_is() -> None:
    calls = Calls(AdaptiveLimit(ceiling=None), flat(1), noise=0.3)
    calls.until(1)
    calls.many(50)
    rests = []
    for _ in range(6):
        calls.until(1)
        rests.append(calls.until(2))
    assert rests[0] < rests[2] < rests[-1]


def test_a_gain_that_may_be_noise_is_measured_again_before_it_goes_up() -> None:
    calls = Calls(AdaptiveLimit(ceiling=None), lambda n: n**0.25, noise=0.4)
    calls.until(2)
    calls.until(1)
    calls.until(3)


def test_a_peak_that_moves_out_of_sight_is_found_after_any_time() -> None:
    calls = Calls(AdaptiveLimit(ceiling=None), flat(3))
    calls.many(120_000)
    calls.speed = flat(5)
    calls.many(20_000)
    assert calls.home() == 5


@pytest.mark.parametrize("per_call", [0.9998, 1.00003])
def test_a_server_that_changes_its_speed_little_by_little_does_not_move_it(per_call: float) -> None:
    calls = Calls(AdaptiveLimit(ceiling=None), flat(4), noise=0.3)
    assert calls.home() == 4
    calls.speed = lambda n: min(n, 4) * per_call**calls.count
    assert {calls.home() for _ in range(20)} == {4}


def test_calls_from_before_a_change_tell_nothing_of_the_new_limit() -> None:
    calls = Calls(AdaptiveLimit(ceiling=None))
    calls.until(2)
    for _ in range(1000):
        assert calls.limit.record(Sample(calls.now - 1, calls.now, 100.0, 2, "ok", 2)) is None


def test_a_failure_from_before_a_change_counts_for_what_was_in_flight_at_its_end() -> None:
    calls = Calls(AdaptiveLimit(ceiling=None))
    calls.until(5)
    change = calls.limit.record(Sample(calls.now - 1, calls.now, 1.0, 4, "oom", 4))
    assert change == LimitChange(2, Sentence("out of memory with 5 in flight"))


def test_it_never_leaves_floor_and_ceiling() -> None:
    calls = Calls(AdaptiveLimit(floor=2, ceiling=4))
    assert calls.many(500) <= {2, 3, 4}
    for _ in range(20):
        calls.one("oom")
    assert calls.limit.limit == 2
    assert calls.many(2000) <= {2, 3, 4}


@pytest.mark.parametrize("ceiling", [8, None])
def test_probes_tell_nothing_of_throughput(ceiling: int | None) -> None:
    limit = AdaptiveLimit(ceiling=ceiling)
    for number in range(100):
        assert limit.record(Sample(float(number), number + 0.01, 0.0, 1, "ok", 1)) is None
    assert limit.learnt.throughput is None


def test_it_can_spare_a_permit_unless_the_server_is_known_to_fail_with_one_call_more() -> None:
    calls = Calls(AdaptiveLimit(ceiling=4))
    assert calls.limit.spare
    calls.until(4)
    assert not calls.limit.spare  # that is the ceiling
    calls.one("oom", in_flight=4)
    spared = {limit: set[bool]() for limit in (1, 2, 3)}
    for _ in range(50):
        spared[calls.limit.limit].add(calls.limit.spare)
        calls.one()
    assert spared[3] == {False}  # 4 failed
    assert not FixedLimit(4).spare


def test_on_the_way_up_after_a_failure_it_can_spare_no_permit() -> None:
    calls = at(8)
    calls.one("oom")
    assert calls.limit.limit < 7
    while calls.limit.limit < 7:
        assert not calls.limit.spare
        calls.one()


def test_samples_below_the_limit_raise_nothing() -> None:
    calls = Calls(AdaptiveLimit(floor=4, ceiling=None))
    assert calls.many(1000, in_flight=3) == {4}


def test_a_visit_ends_when_the_calls_become_too_few_to_compare() -> None:
    calls = Calls(AdaptiveLimit(floor=2, ceiling=None))
    while calls.limit.limit == 2:
        calls.one()
    calls.many(3, in_flight=1)
    assert calls.limit.limit == 2
    assert calls.changes[-1].reason == "too few calls in flight to compare"


def test_errors_that_say_nothing_about_load_change_nothing() -> None:
    calls = at(4)
    for _ in range(1000):
        assert calls.one("error") is None
    assert calls.limit.limit == 4
    assert calls.limit.hold_until == -math.inf


def test_out_of_memory_halves_the_limit_rounding_down() -> None:
    calls = at(7)
    assert calls.one("oom") == LimitChange(3, Sentence("out of memory with 7 in flight"))


def test_out_of_memory_with_few_in_flight_halves_those() -> None:
    calls = at(8)
    calls.one("oom", in_flight=5)
    assert calls.limit.limit == 2


def test_answers_to_calls_from_before_a_cut_cut_no_further() -> None:
    calls = at(8)
    for number in range(8):
        calls.limit.record(Sample(calls.now, calls.now + 1.0 + number / 100, 10.0, 8, "oom", 8))
    assert calls.limit.limit == 4
    assert calls.limit.hold_until == calls.now + 1.0 + COOL_DOWN


def test_the_cool_down_doubles_on_repeats_up_to_a_minute_and_a_success_ends_that() -> None:
    calls = Calls(AdaptiveLimit(ceiling=1))
    holds = []
    for _ in range(10):
        calls.one("oom")
        holds.append(calls.limit.hold_until - calls.now)
    assert holds[:3] == pytest.approx([COOL_DOWN, 2 * COOL_DOWN, 4 * COOL_DOWN])
    assert holds[-1] == pytest.approx(LONGEST_HOLD)
    calls.one()
    calls.one("oom")
    assert calls.limit.hold_until - calls.now == pytest.approx(COOL_DOWN)


@pytest.mark.parametrize(("asked", "held"), [(0.0, -math.inf), (7.0, 8.0), (3600.0, 1.0 + LONGEST_HOLD)])
@pytest.mark.parametrize("make", [partial(FixedLimit, 2), partial(AdaptiveLimit, ceiling=2)])
def test_a_busy_server_is_left_alone_for_as_long_as_it_asks_but_a_minute_at_most(
    make: Callable[[], Limit], asked: float, held: float
) -> None:
    limit = make()
    limit.record(Sample(0.0, 1.0, 1.0, 2, "busy", 2, retry_after=asked))
    limit.record(Sample(0.0, 1.0, 1.0, 2, "busy", 2, retry_after=asked / 2))  # let in before the first answer
    assert limit.hold_until == held


def test_the_longer_of_cool_down_and_the_servers_own_word_holds() -> None:
    limit = AdaptiveLimit(ceiling=2)
    limit.record(Sample(0.0, 1.0, 1.0, 2, "busy", 2, retry_after=30.0))
    limit.record(Sample(1.0, 2.0, 1.0, 2, "oom", 2))
    assert limit.hold_until == 31.0


@pytest.mark.parametrize("outcome", ["busy", "timeout"])
def test_busy_and_late_answers_take_it_one_level_down_without_a_cool_down(outcome: Outcome) -> None:
    calls = at(6)
    calls.one(outcome)
    assert calls.limit.limit == 5
    assert calls.limit.hold_until == -math.inf


def test_after_a_cut_it_goes_up_to_below_what_failed() -> None:
    calls = at(8)
    calls.one("oom")
    assert calls.many(3) == {5, 6, 7}
    assert max(calls.many(150)) == 7


def test_calls_that_leave_permits_unused_delay_the_way_up_no_further() -> None:
    calls = at(4)
    calls.one("oom")
    assert calls.limit.limit == 2
    for tenth in range(10):
        calls.limit.record(Sample(calls.now, calls.now + tenth / 10, 1.0, 1, "ok", 1))
    calls.limit.record(Sample(calls.now - 5.0, calls.now + 1.1, 1.0, 2, "ok", 2))
    assert calls.limit.limit == 3


def test_after_a_cut_before_anything_is_known_each_level_is_measured_before_it_is_kept() -> None:
    calls = Calls(AdaptiveLimit(ceiling=8), flat(2))
    calls.one("oom")
    assert calls.many(300) <= {1, 2, 3, 4, 5}
    assert calls.home() == 2


def test_a_level_that_failed_is_shunned_and_tried_again_when_the_memory_fades() -> None:
    calls = Calls(AdaptiveLimit(ceiling=4))
    calls.one("oom")
    failed_at = calls.now
    successes = 0
    while calls.limit.limit < 4:
        calls.one()
        successes += 1
        assert successes < 10 * SHUN_CALLS, "never tried again"
    assert successes >= SHUN_CALLS
    assert calls.now - failed_at >= SHUN_SECONDS


def test_many_quick_successes_do_not_shorten_that_time() -> None:
    calls = Calls(AdaptiveLimit(ceiling=4), lambda n: 100.0 * n)
    calls.one("oom")
    calls.until(3)
    calls.until(4)
    assert calls.now >= SHUN_SECONDS


def test_when_the_server_becomes_much_faster_failures_are_forgotten() -> None:
    calls = Calls(AdaptiveLimit(ceiling=4))
    calls.one("oom")
    calls.many(100)
    assert calls.limit.limit <= 3
    calls.speed = lambda n: 2.0 * n
    assert 4 in calls.many(60)


def test_a_neighbour_that_slows_all_levels_alike_does_not_move_it() -> None:
    calls = Calls(AdaptiveLimit(ceiling=None), flat(4))
    assert calls.home() == 4
    calls.speed = lambda n: 0.5 * min(n, 4)
    assert calls.home() == 4


def test_it_follows_a_server_whose_peak_moved() -> None:
    calls = Calls(AdaptiveLimit(ceiling=None), flat(6))
    assert calls.home() == 6
    calls.speed = flat(2)
    calls.many(1500)
    assert calls.home() == 2


def test_every_change_is_told_with_its_reason() -> None:
    calls = Calls(AdaptiveLimit(ceiling=None), flat(3))
    before = calls.limit.limit
    for _ in range(500):
        change = calls.one()
        assert (change is not None) == (calls.limit.limit != before)
        if change:
            assert change.limit == calls.limit.limit
            assert change.reason
        before = calls.limit.limit


def test_to_a_raised_ceiling_it_climbs_as_to_the_first_one() -> None:
    calls = at(2)
    calls.changes.clear()
    assert calls.limit.set_ceiling(7) is None
    calls.until(7)
    assert visited(calls) == [4, 7]
    assert [change.limit for change in calls.changes] == [3, 4, 5, 6, 7]


@pytest.mark.parametrize("ceiling", [8, 12, None])
def test_a_raised_ceiling_lowers_nothing_whatever_it_was_doing(ceiling: int | None) -> None:
    for successes in range(60):
        calls = Calls(AdaptiveLimit(ceiling=4))
        calls.many(successes)
        assert calls.limit.set_ceiling(ceiling) is None
        assert calls.limit.limit <= 4


def test_a_ceiling_below_the_limit_lowers_it_at_once() -> None:
    calls = at(4)
    assert calls.limit.set_ceiling(3) == LimitChange(3, Sentence("an admin changed the ceiling"))
    assert calls.limit.set_ceiling(3) is None


def test_a_raised_ceiling_does_not_lift_a_limit_that_found_its_level_below() -> None:
    calls = Calls(AdaptiveLimit(ceiling=8), flat(2))
    calls.many(600)
    before = calls.limit.limit
    assert calls.limit.set_ceiling(12) is None
    assert calls.limit.limit == before


def test_a_raised_ceiling_does_not_lift_it_to_a_level_that_just_failed() -> None:
    calls = at(8)
    calls.one("oom", in_flight=6)
    calls.limit.set_ceiling(3)
    calls.limit.set_ceiling(8)
    assert max(calls.many(150)) == 5


@pytest.mark.parametrize("successes", [0, 3, 20, 60, 200, 400])
def test_a_lowered_ceiling_holds_at_once_whatever_it_was_doing(successes: int) -> None:
    calls = Calls(AdaptiveLimit(ceiling=9), flat(6))
    calls.one("oom")
    calls.many(successes)
    calls.limit.set_ceiling(2)
    assert calls.limit.limit <= 2
    assert calls.many(300) <= {1, 2}
    assert calls.limit.set_ceiling(None) is None
    calls.many(1500)
    assert calls.home() == 6


def test_odd_samples_break_nothing() -> None:
    calls = Calls(AdaptiveLimit(ceiling=None))
    for number in range(100):
        calls.limit.record(
            Sample(
                float(number), float(number), 1e-9 if number % 2 else 10.0, calls.limit.limit, "ok", calls.limit.limit
            )
        )
    assert calls.limit.limit >= 1
    calls.now = 100.0
    calls.many(1000)
    assert calls.limit.limit > 8


def test_its_memory_does_not_grow_with_the_calls() -> None:
    calls = Calls(AdaptiveLimit(ceiling=None), flat(5))
    calls.many(2000)
    steps = len(calls.limit._gains)  # type: ignore[union-attr]
    calls.many(20000)
    assert len(calls.limit._gains) <= steps + 4  # type: ignore[union-attr]


@pytest.mark.parametrize(("floor", "ceiling"), [(0, 4), (-1, None), (3, 2)])
def test_impossible_bounds_are_refused_with_a_sentence(floor: int, ceiling: int | None) -> None:
    with pytest.raises(ValueError, match=r"(floor|ceiling) must be at least \d, not -?\d\.$"):
        AdaptiveLimit(floor=floor, ceiling=ceiling)


def test_an_impossible_ceiling_is_refused_and_changes_nothing() -> None:
    limit = AdaptiveLimit(floor=2, ceiling=4)
    with pytest.raises(ValueError, match=r"The ceiling must be at least 2, not 1\."):
        limit.set_ceiling(1)
    assert (limit.limit, limit.ceiling) == (2, 4)


def test_a_fixed_limit_changes_only_by_an_admin() -> None:
    limit = FixedLimit(3)
    calls = Calls(limit)
    calls.one("oom")
    calls.many(100)
    assert limit.limit == limit.ceiling == 3
    assert limit.set_ceiling(5) == LimitChange(5, Sentence("an admin changed the ceiling"))
    assert limit.set_ceiling(5) is None
    for wrong in (None, 0):
        with pytest.raises(ValueError, match=r"\.$"):
            limit.set_ceiling(wrong)
    assert limit.limit == limit.ceiling == 5
