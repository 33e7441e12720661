"""How many permits other lanes may hold while live calls come, decided on paper: calls in, bounds out."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from transcription.limit import AdaptiveLimit, FixedLimit, Limit
from transcription.live_share import Failures, LiveBounds, LiveCall, LiveShare, LiveShareState

TARGET = 1.5


class Captions:
    """A speaker whose live call comes each second, beside as many other calls as may run.

    seconds: how long a live call takes beside so many others.
    """

    def __init__(
        self, seconds: Callable[[int], float], limit: Limit | None = None, share: LiveShare | None = None
    ) -> None:
        self.seconds = seconds
        self.limit = limit or FixedLimit(8)
        self.share = share or LiveShare(TARGET)
        self.now = 0.0
        self.late = 0

    @property
    def others(self) -> int:
        return self.bounds.others

    @property
    def bounds(self) -> LiveBounds:
        return self.share.bounds(self.now, self.limit)

    def one(self) -> int:
        """One live call. Returns how many others were beside it."""
        self.share.ask(self.now)
        total, others = self.bounds
        seconds = self.seconds(others if total > 1 else 0)
        self.late += seconds > TARGET
        self.share.record(LiveCall(self.now, self.now + seconds, others), self.limit)
        self.now += max(1.0, seconds)
        return others

    def many(self, calls: int) -> list[int]:
        return [self.one() for _ in range(calls)]


def slower(by: float, alone: float = 0.3) -> Callable[[int], float]:
    """A server on which each call beside a live call makes it `by` seconds slower."""
    return lambda others: alone + by * others


def test_without_live_calls_all_permits_are_everybodys() -> None:
    assert Captions(slower(9.0)).bounds == LiveBounds(8, 8)


def test_the_first_live_call_leaves_the_others_one_permit_at_once() -> None:
    captions = Captions(slower(0.1))
    captions.share.ask(0.0)
    assert captions.bounds == LiveBounds(8, 1)


def test_the_share_doubles_while_live_calls_are_in_time() -> None:
    captions = Captions(slower(0.1))
    assert sorted(set(captions.many(60))) == [1, 2, 4, 8]
    assert captions.bounds == LiveBounds(8, 8)


@pytest.mark.parametrize(("by", "most"), [(0.13, 8), (0.16, 7), (0.19, 6), (0.23, 5), (0.29, 4), (0.35, 3), (0.7, 1)])
def test_it_finds_the_most_other_calls_beside_which_live_calls_are_in_time(by: float, most: int) -> None:
    captions = Captions(slower(by))
    captions.many(60)
    captions.late = 0
    shares = captions.many(1000)
    assert max(set(shares), key=shares.count) == most
    assert captions.late <= 15  # trials of a level that failed
    assert not captions.share.missed


def test_the_first_late_answer_ends_a_trial() -> None:
    captions = Captions(slower(0.35))
    shares = captions.many(40)
    assert shares.count(4) == 1
    assert shares[shares.index(4) + 1] == 2


def test_a_server_that_slows_down_lowers_the_share_within_a_few_answers() -> None:
    captions = Captions(slower(0.1))
    captions.many(300)
    captions.seconds = slower(0.5)
    assert captions.many(12)[-1] <= 2


def test_a_server_that_becomes_fast_raises_the_share_again() -> None:
    captions = Captions(slower(0.7))
    captions.many(600)
    assert captions.others == 1
    captions.seconds = slower(0.1)
    captions.many(1000)
    assert captions.others == 8


@pytest.mark.parametrize("every", [30, 50, 100])
def test_a_late_answer_now_and_then_does_not_lower_a_share_that_was_good_for_long(every: int) -> None:
    captions = Captions(slower(0.1), FixedLimit(4))
    captions.many(200)
    before = captions.others
    for number in range(600):
        captions.seconds = slower(0.1) if number % every else slower(1.0)
        captions.one()
        assert captions.others == before


def test_a_share_with_one_late_answer_in_ten_is_lowered() -> None:
    captions = Captions(slower(0.1), FixedLimit(4))
    captions.many(200)
    shares = []
    for number in range(300):
        captions.seconds = slower(0.1) if number % 10 else slower(1.0)
        shares.append(captions.one())
    assert min(shares) < 4


def test_a_level_that_fails_again_is_tried_ever_more_rarely() -> None:
    captions = Captions(slower(0.35))  # 3 go, 4 do not
    trials = [number for number, others in enumerate(captions.many(4000)) if others == 4]
    rests = [later - earlier for earlier, later in pairwise(trials)]
    assert rests == sorted(rests)
    assert rests[0] < 60
    assert 600 < rests[-1] < 700  # the bound: failures are forgotten slowly, but they are


def test_ten_seconds_after_the_last_live_call_all_permits_are_everybodys() -> None:
    captions = Captions(slower(0.7))
    captions.many(50)
    end = captions.share.until
    assert captions.share.bounds(end - 0.01, captions.limit) == LiveBounds(8, 1)
    assert captions.share.bounds(end, captions.limit) == LiveBounds(8, 8)


def test_the_ten_seconds_begin_at_the_answer() -> None:
    share = LiveShare(TARGET)
    share.ask(0.0)
    share.record(LiveCall(0.0, 7.0, 1), FixedLimit(8))
    assert share.until == 17.0


def test_the_next_session_begins_where_the_last_one_ended() -> None:
    captions = Captions(slower(0.29))
    captions.many(100)
    captions.now += 3600.0
    assert captions.many(20) == [4] * 20


def test_a_session_that_ends_amid_a_trial_goes_on_at_home() -> None:
    captions = Captions(slower(0.0))
    while captions.one() < 4:
        pass
    captions.now += 60.0
    captions.share.ask(captions.now)
    assert captions.others == 2


def test_where_one_other_call_delays_captions_only_one_call_runs_at_a_time() -> None:
    captions = Captions(slower(2.0))
    captions.many(100)
    assert captions.bounds == LiveBounds(1, 1)
    assert not captions.share.missed


@pytest.mark.parametrize(("failures", "borne"), [(1, 4), (2, 5), (3, 6), (4, 7), (20, 7)])
def test_the_more_often_level_1_has_failed_the_more_late_answers_it_takes_to_leave_level_0_for_it(
    failures: int, borne: int
) -> None:
    captions = Captions(slower(2.0))
    captions.share.restore(LiveShareState(0, (Failures(1, failures),)))
    captions.many(45)  # more is not collected
    captions.seconds = slower(0.0, alone=2.0)
    captions.many(borne - 1)
    assert captions.bounds == LiveBounds(1, 1)
    captions.one()
    assert captions.bounds == LiveBounds(8, 1)


def test_a_target_that_cannot_be_kept_is_missed_until_it_is_kept_again() -> None:
    captions = Captions(slower(0.0, alone=2.0))
    captions.many(20)
    assert captions.share.missed
    captions.seconds = slower(0.0)
    captions.many(60)
    assert not captions.share.missed


def test_calls_beside_fewer_others_than_allowed_do_not_raise_the_share() -> None:
    captions = Captions(slower(0.0))
    captions.many(14)
    assert captions.others == 2
    for _ in range(100):
        captions.share.ask(captions.now)
        captions.share.record(LiveCall(captions.now, captions.now + 0.3, 1), captions.limit)
        captions.now += 1.0
    assert captions.others == 2


def test_late_calls_beside_fewer_others_than_allowed_lower_it_below_these() -> None:
    captions = Captions(slower(0.0))
    captions.many(60)
    for _ in range(4):
        captions.share.ask(captions.now)
        captions.share.record(LiveCall(captions.now, captions.now + 2.0, 3), captions.limit)
        captions.now += 2.0
    assert captions.others == 2


def test_late_calls_beside_permits_of_a_higher_share_do_not_lower_it_again() -> None:
    captions = Captions(slower(0.0))
    captions.many(20)
    assert captions.others == 2
    for others in (8, 7, 6, 5, 4, 3):  # these were let in before the first live call
        captions.share.record(LiveCall(captions.now, captions.now + 4.0, others), captions.limit)
    assert captions.others == 2


def test_late_calls_that_asked_before_the_share_went_down_do_not_lower_it_again() -> None:
    captions = Captions(slower(0.35))
    while captions.one() < 4:
        pass
    fallen = captions.now
    assert captions.others == 2
    for asked in (fallen - 2.0, fallen - 1.9, fallen - 1.8):
        captions.share.record(LiveCall(asked, fallen + 0.1, 2), captions.limit)
    assert captions.others == 2


def test_a_call_without_an_answer_counts_only_if_it_was_late() -> None:
    share, limit = LiveShare(TARGET), FixedLimit(8)
    for number in range(100):
        share.ask(float(number))
        share.record(LiveCall(float(number), number + 0.1, 1, answered=False), limit)
    assert share.bounds(100.0, limit).others == 1
    assert share.bounds(100.0, limit).total == 8
    share.ask(100.0)
    share.record(LiveCall(100.0, 102.0, 1, answered=False), limit)
    assert share.bounds(102.0, limit).total == 1


def test_nothing_is_held_back_while_the_limit_climbs_for_the_first_time_but_for_a_minute_at_most() -> None:
    limit = AdaptiveLimit(ceiling=None)
    limit.limit = 3
    captions = Captions(slower(1.0), limit)
    assert captions.many(15) == [3] * 15
    assert not captions.share.missed
    while captions.now < 60.0:
        captions.one()
    assert captions.others == 1


@pytest.mark.parametrize(
    ("alone", "by", "calls", "bounds"),
    [
        (0.3, 0.1, 60, LiveBounds(5, 4)),  # the other lanes may fill the limit
        (0.3, 0.7, 200, LiveBounds(5, 1)),  # they may not
        (0.3, 2.0, 60, LiveBounds(1, 1)),  # one call of any lane at a time
    ],
)
def test_while_live_calls_come_an_adaptive_limit_is_one_higher_and_the_others_may_not_have_that_permit(
    alone: float, by: float, calls: int, bounds: LiveBounds
) -> None:
    limit = AdaptiveLimit(floor=4, ceiling=None)
    limit.climbing = False
    captions = Captions(slower(by, alone), limit)
    captions.many(calls)
    assert captions.share.limit_now(captions.now, limit) == 5
    assert captions.bounds == bounds
    assert captions.share.limit_now(captions.now, FixedLimit(4)) == 4
    assert captions.share.bounds(captions.share.until, limit) == LiveBounds(4, 4)


def test_a_limit_of_one_leaves_nothing_to_hold_back() -> None:
    captions = Captions(slower(1.0, alone=1.0), FixedLimit(1))
    captions.many(30)
    assert captions.bounds == LiveBounds(1, 1)


def test_another_share_goes_on_where_one_stopped() -> None:
    captions = Captions(slower(0.35))
    captions.many(500)
    again = LiveShare(TARGET)
    again.restore(captions.share.state())
    assert Captions(slower(0.35), share=again).many(20) == [3] * 20
    assert again.state() == captions.share.state()


@pytest.mark.parametrize(("home", "failures"), [(-1, ()), (1, (Failures(-1, 1),)), (1, (Failures(2, 0),))])
def test_a_state_that_no_share_can_have_is_refused(home: int, failures: tuple[Failures, ...]) -> None:
    with pytest.raises(ValueError, match=r"^No share can have learnt this\.$"):
        LiveShareState(home, failures)
