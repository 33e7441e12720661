"""The states of a live session: each event leads to its state, or is forbidden."""

import pytest

from recordings.live.state import Event, ForbiddenTransition, Lifecycle, State

# The next state for OPENED, STOP, KEPT, CAPTIONED, MADE, SUSPEND, CANCEL and FAIL; "-": forbidden.
TABLE = {
    "OPENING": "LIVE - - - - SUSPENDED SUSPENDED FAILED",
    "LIVE": "- STOPPING - - - SUSPENDED SUSPENDED FAILED",
    "STOPPING": "- - CAPTIONING - - SUSPENDED SUSPENDED FAILED",
    "CAPTIONING": "- - - FINISHING - SUSPENDED SUSPENDED FAILED",
    "FINISHING": "- - - - DONE - SUSPENDED FAILED",
    "DONE": "- - - - - - - -",
    "SUSPENDED": "- - - - - - SUSPENDED FAILED",
    "FAILED": "- - - - - - - -",
}


def test_the_table_has_every_pair() -> None:
    assert list(TABLE) == list(State.__members__)
    assert {len(row.split()) for row in TABLE.values()} == {len(Event)}


@pytest.mark.parametrize(
    ("state", "event", "following"),
    [
        (State[state], event, following)
        for state, row in TABLE.items()
        for event, following in zip(Event, row.split(), strict=True)
    ],
)
def test_each_event_leads_to_its_state_or_is_forbidden(state: State, event: Event, following: str) -> None:
    life = Lifecycle()
    life.state = state
    if following == "-":
        assert not life.allows(event)
        with pytest.raises(ForbiddenTransition, match=f"{event.name} while {state.name}"):
            life.on(event)
        assert life.state is state
    else:
        assert life.allows(event)
        life.on(event)
        assert life.state is State[following]


def test_a_session_begins_with_opening() -> None:
    assert Lifecycle().state is State.OPENING
