"""The player under mouse, finger and keys, at real coordinates, and links that lead to a moment."""

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from playwright.async_api import Browser, BrowserContext, Page, expect

from recordings.models import Recording, Segment
from tests.support.browser import PATIENCE, note_faults, session_cookies
from tests.support.page_server import Server
from tests.support.rows import Status, make_recording, make_transcription, words

SENTENCE = "So the root cause was nesting. We wrapped the wrapper, and nobody counted the call."
PLACES = {600: "aardvark", 3600: "beaver", 7200: "capybara"}  # seconds, and the word that is said only then
LENGTH = 9000  # seconds
# How far the middle of a line is from the middle of the screen, in heights of a line, once nothing moves any more.
OFF = """async (start) => {
    const line = [...document.querySelectorAll(".line")].find((one) => Number(one.dataset.start) === start);
    const where = () => line.getBoundingClientRect().top;
    for (let same = 0, last = NaN; same < 10; last = where()) {
        await new Promise(requestAnimationFrame);
        same = where() === last ? same + 1 : 0;
    }
    const { top, bottom } = line.getBoundingClientRect();
    return Math.abs((top + bottom - innerHeight) / 2) / parseFloat(getComputedStyle(line).lineHeight);
}"""


@pytest.fixture
def minute(mei: User) -> Recording:
    recording = make_recording(mei, "Standup", seconds=60)
    make_transcription(recording, Status.DONE, SENTENCE)
    return recording


@pytest.fixture
def long(mei: User) -> Recording:
    """Two and a half hours of silence, with paragraphs of very different lengths."""
    recording = make_recording(mei, "Long", seconds=LENGTH)
    with open(default_storage.path(str(recording.original)), "r+b") as file:
        for at, more in ((4, 36), (40, 0)):  # the sizes in the header of a WAV file
            file.seek(at)
            file.write((LENGTH * 16000 + more).to_bytes(4, "little"))
        size = file.truncate(44 + LENGTH * 16000)  # takes no room on the disk
    Recording.objects.filter(pk=recording.pk).update(bytes=size)
    run = make_transcription(recording, Status.DONE)
    dice = random.Random(1)  # noqa: S311
    segments = []
    for index in range(LENGTH // 20):
        start = index * 20
        sentences = [f"{PLACES.get(start, 'well').capitalize()}.", *[SENTENCE] * dice.randint(0, 5)]
        text = " ".join(sentences)
        segments.append(
            Segment(transcription=run, index=index, start=start, end=start + 19, text=text, words=words(text, start))
        )
    Segment.objects.bulk_create(segments)
    return recording


async def time(page: Page) -> float:
    seconds: float = await page.evaluate("document.getElementById('audio').currentTime")
    return seconds


async def place(page: Page, share: float) -> tuple[float, float]:
    """The point at this share of the waveform's width, in the middle of its height."""
    await page.locator(".wave.drawn").wait_for()
    box = await page.locator("#wave").bounding_box()
    assert box
    return box["x"] + share * box["width"], box["y"] + box["height"] / 2


async def at(page: Page, seconds: float) -> None:
    """Wait until the audio is at this time, as exactly as two pixels of the waveform can tell it."""
    box = await page.locator("#wave").bounding_box()
    assert box
    near = "([seconds, near]) => Math.abs(document.getElementById('audio').currentTime - seconds) <= near"
    await page.wait_for_function(near, arg=[seconds, 0.1 + 2 * 60 / box["width"]], timeout=PATIENCE)


@pytest.mark.parametrize("width", [1280, 390])
async def test_the_waveform_is_clicked_and_dragged(page: Page, minute: Recording, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    await page.goto(f"/recordings/{minute.pk}")
    for share in (0.25, 0.9, 0.01, 0.5):
        await page.mouse.click(*await place(page, share))
        await at(page, 60 * share)
    await page.mouse.move(*await place(page, 0.5))
    await page.mouse.down()
    for share in (0.55, 0.7, 0.3, 0.2):
        await page.mouse.move(*await place(page, share))
        await at(page, 60 * share)
    await page.mouse.up()
    await at(page, 12)
    await page.mouse.move(*await place(page, 0.8))
    await at(page, 12)  # the button was let go


async def test_the_waveform_is_moved_by_keys(page: Page, minute: Recording) -> None:
    await page.goto(f"/recordings/{minute.pk}")
    await page.locator(".wave.drawn").wait_for()
    await page.get_by_role("slider", name="Position").focus()
    await expect(page.locator(".wave")).to_have_css("outline-style", "solid")
    for key, seconds in {"ArrowRight": 5, "ArrowUp": 10, "ArrowLeft": 5, "End": 60, "ArrowDown": 55, "Home": 0}.items():
        await page.keyboard.press(key)
        await at(page, seconds)
    await expect(page.get_by_role("slider", name="Position")).to_have_attribute("aria-valuetext", "0:00")


@pytest_asyncio.fixture(loop_scope="session")
async def touched(server: Server, browser: Browser, mei: User, faults: list[str]) -> AsyncIterator[Page]:
    """A page on a telephone."""
    viewport = {"width": 390, "height": 800}
    options = {"viewport": viewport, "has_touch": True, "is_mobile": True}
    context: BrowserContext = await browser.new_context(base_url=server.url, **options)  # type: ignore[arg-type]
    await context.add_cookies(await sync_to_async(session_cookies)(mei, server.url))
    page = await context.new_page()
    note_faults(page, server.url, faults)
    yield page
    await context.close()
    assert faults == []


async def test_the_waveform_is_tapped_and_dragged_by_a_finger(touched: Page, minute: Recording) -> None:
    page = touched
    await page.goto(f"/recordings/{minute.pk}")
    await page.touchscreen.tap(*await place(page, 0.4))
    await at(page, 24)
    finger = await page.context.new_cdp_session(page)
    for kind, share in (("touchStart", 0.4), ("touchMove", 0.5), ("touchMove", 0.7), ("touchEnd", None)):
        points = []
        if share:
            x, y = await place(page, share)
            points = [{"x": x, "y": y}]
        await finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    await at(page, 42)


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
async def test_links_and_hits_lead_to_their_line_in_a_long_text(page: Page, long: Recording, motion: str) -> None:
    reduced: dict[str, str] = {"reduced_motion": motion}
    await page.emulate_media(**reduced)  # type: ignore[arg-type]
    await page.goto(f"/?q={PLACES[7200]}")
    await page.get_by_role("link", name="Long").click()
    await page.wait_for_url(f"/recordings/{long.pk}#*")
    await expect(page.locator("#found")).to_have_text("1 of 1")
    assert await page.evaluate(OFF, 7200) <= 1
    for seconds in (600, 3600, 7200, 600):
        await page.evaluate(f"location.hash = 't={seconds}'")
        await expect(page.locator("[aria-current=true].line")).to_have_attribute("data-start", str(float(seconds)))
        assert await page.evaluate(OFF, seconds) <= 1, seconds
    for seconds, word in PLACES.items():
        await page.get_by_role("searchbox", name="Find in transcript").fill(word)
        await expect(page.locator("#found")).to_have_text("1 of 1")
        assert await page.evaluate(OFF, seconds) <= 1, word
    await page.goto(f"/recordings/{long.pk}?again#t=3600")
    assert await page.evaluate(OFF, 3600) <= 1
    assert abs(await time(page) - 3600) < 1
