"""What people are told of a session beside its captions: each change once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from recordings.live import reporting
from recordings.live.captioning import Captioning, next_state
from recordings.live.disk import Disk
from recordings.live.journal import SECOND, Journal
from recordings.live.messages import Message
from recordings.live.reporting import Reporting
from recordings.live.sound import AWAY, MOST_WAITING, IncomingSound
from tests.support.waiting import until


@pytest.mark.parametrize(
    ("before", "away", "behind", "state"),
    [
        ("live", False, 4.9, "live"),
        ("live", False, 5.1, "catching_up"),
        ("catching_up", False, 4.9, "catching_up"),  # one that swings about the bound is late all the time
        ("catching_up", False, 2.9, "live"),
        ("live", True, 0.9, "live"),  # nothing waits for Whisper
        ("live", True, 1.1, "waiting"),
        ("waiting", False, 4.0, "catching_up"),
        ("waiting", False, 0.0, "live"),
        ("catching_up", True, 3.5, "waiting"),
    ],
)
def test_captions_are_late_from_one_bound_until_another(before: str, away: bool, behind: float, state: str) -> None:
    assert next_state(before, away=away, behind=behind) == state


@pytest.fixture
def sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IncomingSound:
    """Sound whose clock the test turns: `sound.clock.now`."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("recordings.live.sound.time", SimpleNamespace(monotonic=lambda: clock.now))
    journal = Journal(tmp_path, "session")
    made = IncomingSound(journal, Disk("session", lambda _: None), lambda _: None)
    made.begin(float("inf"))
    made.clock = clock  # type: ignore[attr-defined]
    return made


def turn(sound: IncomingSound, seconds: float) -> None:
    sound.clock.now += seconds  # type: ignore[attr-defined]


def test_a_speaker_is_away_when_no_sound_comes_that_should(sound: IncomingSound) -> None:
    assert sound.speaker == "here"
    turn(sound, AWAY + 0.1)
    assert sound.speaker == "away"
    sound.take(bytes(3200))
    assert sound.speaker == "here"
    sound.pause()
    turn(sound, 3600)
    assert sound.speaker == "paused"
    sound.take(bytes(3200))
    assert sound.speaker == "here"


@pytest.mark.parametrize("reason", ["stopped", "the disk is behind"])
def test_a_speaker_whose_sound_is_not_taken_is_not_away(sound: IncomingSound, reason: str) -> None:
    if reason == "stopped":
        sound.close()
    else:
        sound.take(bytes(MOST_WAITING + SECOND))
    turn(sound, 3600)
    assert sound.speaker == "here"


class Told:
    """The messages that everyone got, and those that only viewers got."""

    def __init__(self) -> None:
        self.all: list[Message] = []
        self.viewers: list[Message] = []

    async def broadcast(self, message: Message) -> None:
        self.all.append(message)

    async def tell_viewers(self, message: Message) -> None:
        self.viewers.append(message)


class Late:
    """Stands in for the captioning: how late the captions are."""

    def __init__(self) -> None:
        self.state, self.asked = "live", 0

    def status(self) -> Message:
        self.asked += 1
        return {"type": "status", "state": self.state, "behind_seconds": 6.0}

    async def asked_again(self) -> None:
        """Wait until what holds now has been told."""
        asked = self.asked
        await until(lambda: self.asked >= asked + 2)


@pytest.fixture
async def told(sound: IncomingSound, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Told, Late, Reporting]]:
    monkeypatch.setattr(reporting, "EVERY", 0.01)
    told, late = Told(), Late()
    running = Reporting(cast(Captioning, late), sound, told.broadcast, told.tell_viewers)
    task = asyncio.create_task(running.run())
    yield told, late, running
    task.cancel()


async def test_viewers_are_told_once_that_the_speaker_is_away_and_once_that_it_is_over(
    told: tuple[Told, Late, Reporting], sound: IncomingSound
) -> None:
    heard, late, running = told
    await late.asked_again()
    assert running.for_newcomer() == [late.status()]
    turn(sound, AWAY + 1)
    await late.asked_again()
    away: Any = {"type": "speaker", "state": "away"}
    assert running.for_newcomer() == [late.status(), away]
    sound.take(bytes(3200))
    await late.asked_again()
    assert heard.viewers == [away, {"type": "speaker", "state": "here"}]
    assert heard.all == []


async def test_a_status_is_told_when_it_changes_and_its_figure_while_captions_are_late(
    told: tuple[Told, Late, Reporting],
) -> None:
    heard, late, _ = told
    late.state = "catching_up"
    await until(lambda: len(heard.all) >= 3)
    late.state = "live"
    await late.asked_again()
    states = [message["state"] for message in heard.all]
    assert states == ["catching_up"] * (len(states) - 1) + ["live"]
