"""Listening: the player on lock screens, at the foot of the screen, from the cursor, and a stretch again and again."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.async_api import Page, expect

from recordings.models import Recording, Segment
from tests.support.page_server import Server
from tests.support.rows import Status, make_recording, make_transcription

SENTENCE = "So the root cause was nesting. We wrapped the wrapper, and nobody counted the call."
# Stands between the page and the browser, and keeps what a lock screen would call and show.
KEEP = """
    window.keys = {}; window.told = {};
    const session = navigator.mediaSession;
    session.setActionHandler = (action, handler) => { keys[action] = handler; };
    session.setPositionState = (state) => { told = { ...state }; };
"""


@pytest.fixture
def minute(mei: User) -> Recording:
    recording = make_recording(mei, "产品周会", seconds=60)
    make_transcription(recording, Status.DONE, SENTENCE, SENTENCE, SENTENCE)
    return recording


async def time(page: Page) -> float:
    seconds: float = await page.evaluate("document.getElementById('audio').currentTime")
    return seconds


async def playing(page: Page, *, yes: bool) -> None:
    await page.wait_for_function(f"() => document.getElementById('audio').paused === {str(not yes).lower()}")


async def test_the_lock_screen_shows_and_moves_the_player(page: Page, minute: Recording) -> None:
    await page.add_init_script(KEEP)
    await page.goto(f"/recordings/{minute.pk}")

    async def key(name: str, **details: Any) -> None:
        await page.evaluate("([name, details]) => keys[name](details)", [name, details])

    await key("play")
    await playing(page, yes=True)
    shown = await page.evaluate("[navigator.mediaSession.metadata.title, navigator.mediaSession.metadata.artist]")
    assert shown == ["产品周会", "Stile 听序"]
    await page.wait_for_function("() => navigator.mediaSession.playbackState === 'playing'")
    await key("pause")
    await playing(page, yes=False)
    await page.wait_for_function("() => navigator.mediaSession.playbackState === 'paused'")
    await key("seekto", seekTime=30)
    assert await time(page) == pytest.approx(30, abs=0.1)
    await key("seekforward", seekOffset=5)
    await key("seekforward")
    assert await time(page) == pytest.approx(45, abs=0.1)
    await key("seekbackward", seekOffset=None)
    assert await time(page) == pytest.approx(35, abs=0.1)
    await page.wait_for_function("() => Math.abs(told.position - 35) < 0.1 && told.duration === 60")
    await page.get_by_label("Speed").select_option("3")
    await page.wait_for_function("() => told.playbackRate === 3")


@pytest.fixture
def long(mei: User) -> Recording:
    recording = make_recording(mei, "Long", seconds=60)
    make_transcription(recording, Status.DONE, *[SENTENCE * 4] * 40)
    return recording


# Browsers guess the height of text that they have not drawn, so one step does not lead there.
TO_THE_END = """async () => {
    for (let same = 0, last = NaN; same < 5; last = scrollY) {
        scrollTo(0, document.documentElement.scrollHeight);
        await new Promise(requestAnimationFrame);
        same = scrollY === last ? same + 1 : 0;
    }
}"""
PLACE = """() => {
    const { top, bottom } = document.getElementById("player").getBoundingClientRect();
    return [Math.round(top), Math.round(innerHeight - bottom)];
}"""


async def test_the_player_lies_at_the_foot_of_a_screen_that_is_scrolled(page: Page, long: Recording) -> None:
    await page.goto(f"/recordings/{long.pk}")
    await page.locator(".wave.drawn").wait_for()
    top, below = await page.evaluate(PLACE)
    assert top > 0
    assert below > 100
    line = page.locator("#segment-5")
    distance = "document.getElementById('segment-5').offsetTop"
    before = await page.evaluate(distance)
    await page.mouse.move(600, 600)
    await page.mouse.wheel(0, 900)
    await page.wait_for_function(f"() => ({PLACE})()[1] === 0")
    assert await page.evaluate(distance) == before  # the text has not moved
    await expect(line).to_be_attached()
    await page.keyboard.press(" ")
    await playing(page, yes=True)
    await page.keyboard.press(" ")
    await page.evaluate("document.getElementById('segment-39').querySelector('.edit').focus()")
    box = await page.locator("#edit-39").bounding_box()
    assert box
    place = await page.evaluate(PLACE)
    assert box["y"] + box["height"] <= place[0]  # the player hides nothing that has the focus
    await page.evaluate("scrollTo(0, 0)")
    await page.wait_for_function(f"() => ({PLACE})()[0] === {top}")


async def test_on_a_phone_the_player_lies_there_always_and_the_end_of_the_page_can_be_read(
    page: Page, long: Recording
) -> None:
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.goto(f"/recordings/{long.pk}")
    await page.locator(".wave.drawn").wait_for()
    for scrolled in ("null", TO_THE_END):
        await page.evaluate(scrolled)
        top, below = await page.evaluate(PLACE)
        assert below == 0
        assert 800 - top <= 140
    end = await page.locator(".foot").evaluate(
        "(foot) => { const r = new Range(); r.selectNodeContents(foot); return r.getBoundingClientRect().bottom; }"
    )
    assert end <= top
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_a_key_plays_from_the_cursor_while_a_line_is_edited(page: Page, minute: Recording) -> None:
    await page.goto(f"/recordings/{minute.pk}")
    await page.locator(".segment").nth(1).hover()
    await page.locator("#edit-1").click()
    step = 19 / len(SENTENCE.split())
    for typed, word in (("", 0), ("So the ", 2), ("Well, ", 0)):
        await page.keyboard.press("Control+Home")
        if typed == "Well, ":
            await page.keyboard.type(typed)
        for _ in range(len(typed) if word else 0):
            await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Control+Enter")
        await playing(page, yes=True)
        assert 20 + word * step - 0.05 <= await time(page) <= 20 + word * step + 3
        await page.keyboard.press("Control+Enter")
        await playing(page, yes=False)
        await expect(page.get_by_role("textbox", name="Text of this part")).to_be_focused()
    await page.keyboard.press("Control+End")
    await page.get_by_role("button", name="Play from here").click()
    await playing(page, yes=True)
    assert await time(page) >= 20 + 14 * step - 0.05
    await expect(page.locator(".editing")).to_have_count(1)


@pytest.mark.parametrize("by", ["key", "mouse"])
async def test_what_is_selected_is_played_again_and_again(page: Page, minute: Recording, by: str) -> None:
    await page.goto(f"/recordings/{minute.pk}")
    await page.get_by_label("Speed").select_option("3")
    await page.evaluate(
        """() => {
            const text = document.querySelectorAll(".line")[0].firstChild;
            getSelection().setBaseAndExtent(text, 12, text, 17);  // "cause"
        }"""
    )
    button = page.get_by_role("button", name="Repeat what is selected, or the line")
    if by == "key":
        await page.keyboard.press("r")
    else:
        box = await button.bounding_box()
        assert box
        await page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await expect(page.locator("#saved")).to_have_text("Repeating 0:03–0:05")
    await expect(button).to_have_attribute("aria-pressed", "true")
    await expect(page.locator("#repeated")).to_be_visible()
    step = 19 / len(SENTENCE.split())
    turns = await page.evaluate(
        """async () => {
            const audio = document.getElementById("audio");
            let turns = 0, last = 0, highest = 0;
            while (turns < 2) {
                await new Promise(requestAnimationFrame);
                if (audio.currentTime < last - 0.3) turns += 1;
                last = audio.currentTime;
                highest = Math.max(highest, last);
            }
            return highest;
        }"""
    )
    assert turns <= 4 * step + 1.5  # at three times the speed, and on a busy machine
    await page.keyboard.press("r")
    await expect(page.locator("#repeated")).to_be_hidden()
    await expect(button).to_have_attribute("aria-pressed", "false")


async def test_whoever_goes_elsewhere_ends_the_repetition(page: Page, minute: Recording) -> None:
    await page.goto(f"/recordings/{minute.pk}#t=21")
    await expect(page.locator(".segment.current")).to_be_attached()
    await page.keyboard.press("r")
    await expect(page.locator("#saved")).to_have_text("Repeating 0:20–0:27")
    await page.get_by_label("Play from 0:40").click()
    await expect(page.locator("#repeated")).to_be_hidden()
    assert await time(page) >= 40


@pytest.mark.parametrize("language", ["en", "zh-hans"])
async def test_at_every_width_the_waveform_is_long_and_the_controls_are_seen(
    page: Page, minute: Recording, server: Server, language: str
) -> None:
    await page.context.add_cookies([{"name": "django_language", "value": language, "url": server.url}])
    segment = await Segment.objects.aget(index=0)
    segment.words[3]["probability"] = 0.1
    await segment.asave()
    await page.goto(f"/recordings/{minute.pk}")
    await page.locator(".wave.drawn").wait_for()
    for width in (390, 768, 1024, 1280, 1600):
        await page.set_viewport_size({"width": width, "height": 800})
        wave = await page.locator(".wave").bounding_box()
        assert wave, width
        assert wave["width"] >= 220, width
        for control in ("#speed", "#repeat", "#finder", "#unsure"):
            box = await page.locator(control).bounding_box()
            assert box, (width, control)
            assert box["x"] >= 0, (width, control)
            assert box["x"] + box["width"] <= width, (width, control)
