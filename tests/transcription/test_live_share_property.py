"""The live share under anything that may come: answers, failures, pauses and limits in any order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from transcription.limit import FixedLimit
from transcription.live_share import QUIET, LiveBounds, LiveCall, LiveShare

TARGET = 1.5
calls = st.tuples(
    st.floats(-1.0, 20.0),  # seconds from the last call's end to this one's asking
    st.floats(0.0, 5.0),  # seconds to its end
    st.integers(0, 20),  # others beside it
    st.booleans(),  # whether it was answered
    st.integers(1, 40),  # how many of these in a row
)


@settings(max_examples=300)
@given(script=st.lists(st.tuples(calls, st.integers(1, 12)), max_size=40))
def test_the_bounds_hold_always_and_all_permits_come_back(
    script: list[tuple[tuple[float, float, int, bool, int], int]],
) -> None:
    share = LiveShare(TARGET)
    now = 0.0
    for (pause, seconds, others, answered, times), permits in script:
        limit = FixedLimit(permits)
        for _ in range(times):
            now = max(0.0, now + pause)
            share.ask(now)
            asked, now = now, now + seconds
            before = share.bounds(now, limit)
            share.record(LiveCall(asked, now, others, answered), limit)
            after = share.bounds(now, limit)
            assert 1 <= after.others <= after.total <= permits
            if seconds > TARGET:
                assert after.others <= before.others
                assert before.total == 1 or after.total <= before.total
            assert share.bounds(max(now, share.until), limit) == LiveBounds(permits, permits)
            assert share.until <= max(now, share.until - QUIET) + QUIET
