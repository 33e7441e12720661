"""The states of a live session: each event leads to its state, or is forbidden."""

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio
from django.conf import LazySettings
from django.contrib.auth.models import User

from recordings.live.refusals import LiveRefused
from recordings.live.session import Session
from recordings.live.state import Event, ForbiddenTransition, Lifecycle, State
from recordings.models import LiveSession, Recording
from tests.support.live_speaker import Told
from transcription.captions import Pace

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


# --- A session that runs -----------------------------------------------------------------------


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """All events of the sessions of a test, in order."""
    noted: list[Event] = []
    enter = Lifecycle.on

    def on(life: Lifecycle, event: Event) -> None:
        enter(life, event)
        noted.append(event)

    monkeypatch.setattr(Lifecycle, "on", on)
    return noted


@pytest_asyncio.fixture
async def session(transactional_db: None, settings: LazySettings, tmp_path: Path) -> Session:
    settings.LIVE_ROOT, settings.MEDIA_ROOT = tmp_path / "live", tmp_path / "media"
    owner = await User.objects.acreate(username="mei")
    return Session(await LiveSession.objects.acreate(owner=owner), Pace(lambda: 1))


async def speaking(session: Session) -> Told:
    """A socket that has sent a second of silence."""
    told = Told()
    await session.attach(told)
    for number in range(10):
        await session.hear(told, number, bytes(3200))
    return told


async def test_a_session_that_is_stopped_becomes_a_recording(session: Session, events: list[Event]) -> None:
    running = asyncio.create_task(session.run())
    told = await speaking(session)
    session.stop()
    session.stop()  # a client may send `stop` twice
    await running
    assert events == [Event.OPENED, Event.STOP, Event.KEPT, Event.CAPTIONED, Event.MADE]
    assert session.state is State.DONE
    recording = await Recording.objects.aget()
    assert (recording.pk, recording.duration) == (session.recording, 1.0)
    assert told.kinds == ["ready", "status", "ack", "done"]
    session.stop()
    session.suspend()
    late = Told()
    await session.attach(late)
    assert late.kinds == ["done"]
    assert len(events) == 5


async def test_a_session_of_a_process_that_stops_keeps_its_sound_and_takes_no_more(
    session: Session, events: list[Event]
) -> None:
    running = asyncio.create_task(session.run())
    told = await speaking(session)
    session.suspend()
    session.stop()
    await session.hear(told, 10, bytes(3200))
    await running
    assert events == [Event.OPENED, Event.SUSPEND]
    assert told.kinds == ["ready", "status", "ack", "restarting"]
    assert (session.journal.acked, session.journal.size) == (9, 32000)
    with pytest.raises(LiveRefused, match="restarting"):
        await session.attach(Told())


async def test_a_session_that_is_canceled_while_it_opens_lets_nobody_wait(
    session: Session, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = asyncio.Event()

    async def away(_work: object) -> None:
        opening.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(session._disk, "surely", away)
    running = asyncio.create_task(session.run())
    coming = asyncio.create_task(session.attach(Told()))
    await opening.wait()
    running.cancel()
    with pytest.raises(LiveRefused, match="restarting"):
        await coming
    assert events == [Event.CANCEL]


async def test_a_session_that_fails_tells_its_speaker_and_takes_nothing(
    session: Session, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_sound: bytes, _last: int) -> None:
        raise ArithmeticError

    monkeypatch.setattr(session.sound, "_put", broken)
    running = asyncio.create_task(session.run())
    told = await speaking(session)
    await running
    assert events == [Event.OPENED, Event.FAIL]
    assert told.kinds == ["ready", "status", "internal_error"]
    await session.hear(told, 10, bytes(3200))  # a frame that was on its way
    assert session.sound.next_seq == 10
    with pytest.raises(LiveRefused, match="internal_error"):
        await session.attach(Told())


async def test_a_session_that_had_ended_before_it_opens_takes_no_sound(session: Session, events: list[Event]) -> None:
    session._row.ended_at = session._row.created_at
    told = Told()
    coming = asyncio.create_task(session.attach(told))
    await session.run()
    await coming
    assert events == [Event.OPENED, Event.STOP, Event.KEPT, Event.CAPTIONED, Event.MADE]
    assert told.kinds[-1] == "nothing"
