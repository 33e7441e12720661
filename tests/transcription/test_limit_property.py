"""The adaptive limit keeps its bounds under random outcomes, loads, times and ceilings."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from transcription.limit import AdaptiveLimit, Outcome, Sample

FLOOR = 2
outcomes: st.SearchStrategy[Outcome] = st.sampled_from(["ok"] * 6 + ["oom", "busy", "timeout", "error"])
finished_calls = st.tuples(
    outcomes,
    st.floats(0.0, 30.0),  # seconds of audio
    st.floats(0.0, 5.0),  # seconds in the server
    st.integers(-2, 2),  # calls in flight beyond or below the limit
    st.integers(1, 40),  # how many of these in a row
)
ceilings = st.one_of(st.none(), st.integers(FLOOR, 20))


@settings(max_examples=300)
@given(ceiling=ceilings, script=st.lists(st.one_of(finished_calls, ceilings), max_size=60))
def test_it_stays_within_its_bounds_and_tells_each_change(
    ceiling: int | None, script: list[tuple[Outcome, float, float, int, int] | int | None]
) -> None:
    limit = AdaptiveLimit(floor=FLOOR, ceiling=ceiling)
    now = 0.0
    for step in script:
        if not isinstance(step, tuple):
            before, change = limit.limit, limit.set_ceiling(step)
            assert (change.limit if change else before) == limit.limit
            assert FLOOR <= limit.limit <= (math.inf if step is None else step)
            continue
        outcome, audio, seconds, beside, times = step
        for _ in range(times):
            before = limit.limit
            now += seconds / before
            change = limit.record(
                Sample(max(0.0, now - seconds), now, audio, max(1, before + beside), outcome, max(1, before + beside)),
            )
            assert (change is not None) == (limit.limit != before)
            assert not change or (change.limit == limit.limit and change.reason)
            assert FLOOR <= limit.limit <= (math.inf if limit.ceiling is None else limit.ceiling)
            assert limit.hold_until <= now + 60.0
            assert limit.limit <= before or outcome == "ok"
