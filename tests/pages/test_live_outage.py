"""What goes wrong for a while in a live session is seen as long as it lasts, and spoken when it begins and is over."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.async_api import Page, expect

from recordings.models import LiveSession
from tests.support.live_stage import SILENT, Stage, opened
from tests.support.screen_reader import listen, spoken
from tests.support.speaking import seconds_recorded

BUSY = "Captions are late. The server is busy."
AWAY = "The Whisper server cannot be reached. Captions catch up later. The sound is safe."
NO_SOUND = "No sound comes from the speaker. Captions go on when it does."
KEPT = "Reconnecting… The sound waits in this browser: nothing is lost."
OVER = "Captions are up to date again."
READY = {"session": "first", "sample_rate": 16000, "max_frame_bytes": 16004}


@pytest.fixture
def stage() -> Stage:
    return Stage(acknowledges=True)


@pytest.fixture
def session(mei: User) -> LiveSession:
    return LiveSession.objects.create(owner=mei, title="Board meeting", public=True)


def late(stage: Stage, *states: str) -> None:
    """Tell a status for each, as a server does once a second, with another figure each time."""
    for number, state in enumerate(states):
        stage.say("status", state=state, behind_seconds=6.0 + number)


def busy(stage: Stage) -> None:
    late(stage, *["catching_up"] * 25)


def whisper_away(stage: Stage) -> None:
    """Whisper goes and comes several times before the captions have caught up."""
    late(stage, "catching_up", *["waiting", "waiting", "catching_up"] * 8)


def speaker_gone(stage: Stage) -> None:
    stage.say("speaker", state="away")
    stage.say("speaker", state="here")
    busy(stage)


@pytest.mark.parametrize(
    ("outage", "told"),
    [(busy, [BUSY, OVER]), (whisper_away, [BUSY, AWAY, OVER]), (speaker_gone, [NO_SOUND, OVER])],
)
async def test_a_viewer_is_told_once_and_once_when_it_is_over(
    page: Page, stage: Stage, session: LiveSession, outage: Callable[[Stage], None], told: list[str]
) -> None:
    await listen(page)
    await opened(page, stage, f"/live/{session.pk}")
    stage.final(0, "Good morning.")
    outage(stage)
    await expect(page.get_by_text("Captions are 30 s behind.")).to_be_visible()
    late(stage, "live")
    await expect(page.locator("#trouble")).to_have_text(OVER, use_inner_text=True)
    await expect(page.locator("#trouble")).to_have_text("", use_inner_text=True)
    assert await spoken(page) == told


async def test_a_viewer_whose_own_connection_breaks_is_told_so_and_when_it_is_over(
    page: Page, stage: Stage, session: LiveSession
) -> None:
    await listen(page)
    await opened(page, stage, f"/live/{session.pk}")
    stage.say("speaker", state="away")
    await expect(page.get_by_text(NO_SOUND)).to_have_count(2)  # seen and said
    for count in (2, 3, 4):  # as a network that comes and goes
        await stage.socket.close(code=1012)
        await stage.opened(count)
    await expect(page.locator("#trouble")).to_have_text(OVER, use_inner_text=True)
    assert await spoken(page) == [NO_SOUND, "Reconnecting…", OVER]


async def test_a_viewer_is_told_that_the_speaker_pauses(page: Page, stage: Stage, session: LiveSession) -> None:
    await listen(page)
    await opened(page, stage, f"/live/{session.pk}")
    stage.say("speaker", state="paused")
    await expect(page.get_by_text("The speaker pauses.")).to_be_visible()
    stage.say("speaker", state="here")
    await expect(page.get_by_text("The speaker pauses.")).to_be_hidden()
    assert await spoken(page) == ["The speaker pauses."]


async def test_a_speaker_is_told_once_and_once_when_it_is_over(page: Page, stage: Stage, mei: User) -> None:
    await page.add_init_script(SILENT)
    await listen(page)
    await opened(page, stage, "/live")
    await page.get_by_role("button", name="Start captions").click()
    await stage.asked(1)
    stage.say("ready", next_seq=0, **READY)
    await seconds_recorded(page, 1)
    for count in (2, 3):
        await stage.socket.close(code=1012)
        await expect(page.get_by_text("s of sound wait in this browser: nothing is lost.")).to_be_visible()
        await stage.asked(count)
        stage.say("ready", next_seq=sum(map(len, stage.heard)), **READY)
        whisper_away(stage)
        await expect(page.locator("#trouble")).to_have_text(
            "Captions are 30 s behind. The server is busy.", use_inner_text=True
        )
    late(stage, "live")
    await expect(page.locator("#trouble")).to_have_text(OVER, use_inner_text=True)
    assert await spoken(page) == ["Connecting…", KEPT, OVER]


async def test_one_figure_says_how_late_captions_are(page: Page, stage: Stage, mei: User) -> None:
    await page.add_init_script(SILENT)
    await opened(page, stage, "/live")
    await page.get_by_role("button", name="Start captions").click()
    await stage.asked(1)
    stage.say("ready", next_seq=0, **READY)
    await seconds_recorded(page, 3)
    stage.caption(0, "Good morning.", "final", 13)
    late(stage, "catching_up")
    await expect(page.get_by_text("Captions are 6 s behind.")).to_be_visible()
    text = await page.locator("main").inner_text()
    assert "lag" not in text
    assert text.count(" s behind") == 1


# A microphone in which somebody speaks for a second, is silent for four, and speaks again.
TWO_SENTENCES = """
    navigator.mediaDevices.getUserMedia = async () => {
        const context = new AudioContext();
        const voice = new OscillatorNode(context), gate = new GainNode(context, { gain: 0.5 });
        for (const [at, loudness] of [[1, 0], [5, 0.5]]) gate.gain.setValueAtTime(loudness, context.currentTime + at);
        const microphone = context.createMediaStreamDestination();
        voice.connect(gate).connect(microphone);
        voice.start();
        return microphone.stream;
    };
"""


async def test_a_pause_between_two_sentences_is_not_spoken(page: Page, mei: User) -> None:
    await page.add_init_script(TWO_SENTENCES)
    await listen(page)
    await page.goto("/record")
    await page.get_by_role("button", name="Test the microphone").click()
    await expect(page.get_by_text("We can hear you.")).to_be_visible()
    level = "Number(document.getElementById('level').ariaValueNow)"
    await page.wait_for_function(f"() => {level} === 0")
    await page.wait_for_function(f"() => {level} > 50")
    assert await spoken(page) == ["We can hear you."]
