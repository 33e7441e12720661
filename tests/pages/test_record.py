"""A recording without captions: the browser keeps it while it is made, and then uploads it as a file."""

import asyncio
import filecmp
import time
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.async_api import Browser, BrowserContext, Dialog, Page, Route, expect

from recordings.models import Recording, Transcription
from tests.support.browser import PATIENCE, note_faults, session_cookies
from tests.support.page_server import Server
from tests.support.product import Product, transcribed
from tests.support.speaking import (
    Talk,
    assert_accessible,
    hearing,
    make_talk,
    person,
    place_in,
    recorded,
    seconds_recorded,
    sound,
)
from tests.support.speech import word_error_rate

OFFLINE = "The server cannot be reached. The recording is safe in this browser, and saving goes on by itself."


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Talk:
    """One sentence after a second of silence, in which a test presses Start."""
    return make_talk(tmp_path_factory.mktemp("talk") / "talk.wav", [1], lead=1.0)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def recorders(talk: Talk) -> AsyncIterator[Browser]:
    async with hearing(talk) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def context(
    server: Server, recorders: Browser, mei: User, tmp_path: Path, settings: LazySettings
) -> AsyncIterator[BrowserContext]:
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "incoming"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()
    context = await recorders.new_context(base_url=server.url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE)
    await context.add_cookies(await asyncio.to_thread(session_cookies, mei, server.url))
    yield context
    await context.close()


async def record(page: Page, seconds: float, title: str = "") -> None:
    await page.goto("/record")
    await page.get_by_label("Title", exact=True).fill(title)
    await page.get_by_role("button", name="Start recording").click()
    await seconds_recorded(page, seconds)


async def save(page: Page) -> Recording:
    """Press Save and return the recording that the page goes to."""
    await page.get_by_role("button", name="Save", exact=True).click()
    return await saved(page)


async def saved(page: Page) -> Recording:
    await page.wait_for_url("**/recordings/*", timeout=PATIENCE)
    return await Recording.objects.aget(pk=int(page.url.rpartition("/")[2]))


async def next_visit(context: BrowserContext, server: Server, faults: list[str]) -> Page:
    page = await context.new_page()
    note_faults(page, server.url, faults)
    await page.goto("/record")
    return page


@pytest.mark.slow
async def test_what_was_said_is_heard_found_and_read_in_the_library(
    recorders: Browser, tmp_path: Path, whisper_server: str, talk: Talk
) -> None:
    with Product(tmp_path, ASR_API_URL=whisper_server, ASR_MAX_CONCURRENT="1") as product:
        link = str(product.link())
        async with person(recorders, product) as mei:
            page = await mei.page()
            await page.goto(link)
            await page.get_by_role("link", name="New recording").click()
            await page.get_by_role("button", name="Start recording").click()
            await page.wait_for_function("() => Number(document.getElementById('level').ariaValueNow) > 20")
            await seconds_recorded(page, talk.seconds)
            await page.get_by_role("button", name="Save", exact=True).click()
            await page.wait_for_url("**/recordings/*")
            await expect(page.locator("#text")).to_contain_text("young man", ignore_case=True, timeout=PATIENCE)
            await page.locator("nav").get_by_role("link", name="Library").click()
            await expect(page.locator("#rows h2")).to_contain_text("Recording 20")
        with product.client("admin") as api:
            made = await asyncio.to_thread(transcribed, api, 1)
            assert (made["source"], made["media_type"]) == ("browser", "audio/wav")
            assert word_error_rate(talk.clips[0].text, made["text"]) < 0.25
            assert place_in(recorded(api, 1), sound(talk.clips[0].path))[1] > 0.8


async def test_three_seconds_are_three_seconds_and_a_pause_is_none(page: Page, talk: Talk) -> None:
    began = time.monotonic()
    await record(page, 1, "Memo")
    await expect(page.get_by_role("button", name="Pause")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Paused")).to_be_visible()
    await page.wait_for_timeout(2000)
    await expect(page.get_by_role("button", name="Go on")).to_be_focused()
    await page.keyboard.press("Enter")
    await seconds_recorded(page, 3)
    made = await save(page)
    assert 2.5 < made.duration < time.monotonic() - began - 2
    assert (made.title, made.source, made.bytes) == ("Memo", "browser", 44 + round(made.duration * 32_000))
    with wave.open(made.original.path) as file:
        assert file.getnframes() == round(made.duration * 16_000)
    assert await Transcription.objects.filter(recording=made, status="queued").aexists()
    length = await page.evaluate("document.getElementById('audio').duration")
    assert length == pytest.approx(made.duration, abs=0.05)
    await page.evaluate("document.getElementById('audio').currentTime = 2")
    await page.wait_for_function("() => !audio.seeking && Math.abs(audio.currentTime - 2) < 0.1")


DRAWN = "scope.toDataURL()"  # what is seen of the waveform


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
async def test_a_recording_under_way_has_the_whole_screen_with_a_living_waveform(
    page: Page, size: tuple[int, int], motion: Literal["no-preference", "reduce"]
) -> None:
    width, height = size
    await page.set_viewport_size({"width": width, "height": height})
    await page.emulate_media(reduced_motion=motion)
    await record(page, 1)
    await expect(page.get_by_role("navigation")).to_be_hidden()
    deck = await page.locator(".deck").bounding_box()
    assert deck
    assert deck["width"] > 0.85 * width
    assert deck["height"] > 0.75 * height
    assert await page.evaluate("document.documentElement.scrollHeight") <= height
    before = await page.evaluate(DRAWN)
    await seconds_recorded(page, 2)
    assert await page.evaluate(DRAWN) != before
    await page.get_by_role("button", name="Pause").click()
    await page.wait_for_timeout(300)  # the last bar comes to rest
    still = await page.evaluate(DRAWN)
    await page.wait_for_timeout(500)
    assert await page.evaluate(DRAWN) == still
    await assert_accessible(page)


async def test_names_and_terms_go_with_the_recording_and_are_remembered(page: Page) -> None:
    await page.goto("/record")
    await page.get_by_label("Names and terms").fill("Stile, 听序")
    await page.get_by_role("button", name="Start recording").click()
    await seconds_recorded(page, 1)
    assert (await save(page)).prompt == "Stile, 听序"
    await page.goto("/record")
    await expect(page.get_by_label("Names and terms")).to_have_value("Stile, 听序")


async def test_a_page_that_is_left_asks_and_the_next_visit_has_the_take(
    page: Page, context: BrowserContext, server: Server, faults: list[str]
) -> None:
    await record(page, 2, "Cut short")
    asked: list[str] = []

    async def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.accept()

    page.on("dialog", leave)
    await page.reload()
    assert asked == ["beforeunload"]
    await expect(page.locator("#open li")).to_contain_text("Cut short")
    await page.close()
    page = await next_visit(context, server, faults)
    await expect(page.locator("#open .length")).to_have_text("0:02")
    await assert_accessible(page)
    await page.locator("#open").get_by_role("button", name="Save").click()
    assert 1.9 < (await saved(page)).duration < 4
    await page.goto("/record")
    await expect(page.get_by_role("heading", name="Not saved yet")).to_be_hidden()


async def test_a_take_belongs_to_the_window_that_makes_it(
    page: Page, context: BrowserContext, server: Server, faults: list[str]
) -> None:
    await record(page, 1)
    other = await next_visit(context, server, faults)
    await expect(other.get_by_role("button", name="Start recording")).to_be_visible()
    await expect(other.locator("#open li")).to_have_count(0)
    await page.close(run_before_unload=False)
    await other.reload()
    await expect(other.locator("#open li")).to_have_count(1)


async def test_a_take_is_thrown_away_unless_that_is_taken_back(page: Page) -> None:
    await record(page, 1)
    page.on("dialog", lambda dialog: dialog.accept())
    await page.reload()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Undo").click()
    await expect(page.locator("#open li")).to_be_visible()
    await page.get_by_role("button", name="Delete").click()
    await page.reload()
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()
    await expect(page.locator("#open li")).to_have_count(0)


async def test_a_recording_under_way_is_discarded_unless_that_is_taken_back(page: Page) -> None:
    await record(page, 1, "Slip")
    await page.get_by_role("button", name="Discard").click()
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()
    await expect(page.get_by_role("button", name="Undo")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#open li")).to_contain_text("Slip")
    await expect(page.locator("#open").get_by_role("button", name="Save")).to_be_focused()
    await page.get_by_role("button", name="Start recording").click()
    await page.get_by_role("button", name="Pause").click()
    await page.get_by_role("button", name="Discard").click()
    await page.reload()
    await expect(page.locator("#open li")).to_have_count(1)
    await expect(page.locator("#open li")).to_contain_text("Slip")


async def test_a_take_that_was_left_is_seen_in_the_library(page: Page, tmp_path: Path) -> None:
    await record(page, 1, "Left behind")
    page.on("dialog", lambda dialog: dialog.accept())
    await page.goto("/")
    row = page.locator("#open li")
    await expect(page.get_by_role("heading", name="Only in this browser yet")).to_be_visible()
    await expect(row).to_contain_text("Left behind")
    await row.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Undo").click()
    async with page.expect_download() as downloading:
        await row.get_by_role("button", name="Download").click()
    await (await downloading.value).save_as(tmp_path / "take.wav")
    await row.get_by_role("button", name="Save").click()
    await expect(row).to_have_count(0)
    await expect(page.locator("#rows h2")).to_have_text("Left behind")
    made = await Recording.objects.aget()
    assert filecmp.cmp(made.original.path, tmp_path / "take.wav", shallow=False)


async def test_saving_waits_for_the_network_and_goes_on_by_itself(
    page: Page, context: BrowserContext, faults: list[str], tmp_path: Path
) -> None:
    await record(page, 1)
    await context.set_offline(True)
    await seconds_recorded(page, 2)
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_text(OFFLINE)).to_be_visible()
    await assert_accessible(page)
    await page.get_by_role("button", name="Save later").click()
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Download").click()
    file = tmp_path / "take.wav"
    await (await downloading.value).save_as(file)
    await page.locator("#open").get_by_role("button", name="Save").click()
    await expect(page.get_by_text(OFFLINE)).to_be_visible()
    await context.set_offline(False)
    made = await saved(page)
    assert filecmp.cmp(made.original.path, file, shallow=False)
    assert all("ERR_INTERNET_DISCONNECTED" in fault for fault in faults)
    faults.clear()


@pytest.mark.parametrize("remembered", [True, False], ids=["with its address", "without"])
async def test_a_take_that_arrived_without_the_page_hearing_of_it_becomes_one_recording(
    page: Page, context: BrowserContext, server: Server, faults: list[str], remembered: bool
) -> None:
    async def lose(route: Route) -> None:
        if route.request.method == "PATCH":
            await route.fetch()
        await route.abort("connectionreset")

    await page.route("**/api/uploads/*", lose)
    await record(page, 1)
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_text(OFFLINE)).to_be_visible()
    await page.close(run_before_unload=False)
    made = await Recording.objects.aget()
    page = await next_visit(context, server, faults)
    if not remembered:
        await page.evaluate("localStorage.clear()")
    await page.locator("#open").get_by_role("button", name="Save").click()
    assert await saved(page) == made
    assert await Recording.objects.acount() == 1
    faults.clear()


async def test_what_the_server_refuses_stays_in_this_browser(page: Page, mei: User, faults: list[str]) -> None:
    await record(page, 1, "Kept")
    await Session.objects.all().adelete()
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_text("You are signed out. The recording is safe in this browser.")).to_be_visible()
    await expect(page.locator("#open li")).to_contain_text("Kept")
    await expect(page.locator("#open").get_by_role("button", name="Save")).to_be_focused()
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()
    faults.clear()


async def test_a_browser_without_room_says_so_and_saves_all_the_same(page: Page) -> None:
    await page.add_init_script("""
        const put = IDBObjectStore.prototype.put;
        IDBObjectStore.prototype.put = function (...what) {
            if (what.length > 1 && what[1][1] > 4) throw new DOMException("Full", "QuotaExceededError");
            return put.apply(this, what);
        };
    """)
    await record(page, 2)
    await expect(page.get_by_text("leave this page open until it is saved")).to_be_visible()
    assert 1.9 < (await save(page)).duration < 4


async def test_a_take_as_long_as_the_server_takes_any_is_saved_by_itself(page: Page) -> None:
    await page.goto("/record")
    longest = int(str(await page.locator("#record").get_attribute("data-longest")))
    assert longest == 12 * 3600
    await page.evaluate("record.dataset.longest = 1")
    await page.get_by_role("button", name="Start recording").click()
    assert (await saved(page)).duration == 1


async def test_a_take_without_sound_is_told_and_leaves_nothing(page: Page) -> None:
    await page.add_init_script("AudioWorkletNode = class extends AudioWorkletNode { port = {}; };")  # sends nothing
    await page.goto("/record")
    await page.get_by_role("button", name="Start recording").click()
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    await page.evaluate("const now = Date.now; Date.now = () => now() + 11_000")
    await expect(page.get_by_text("Is the right microphone selected?")).to_be_visible()
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_text("Nothing was recorded.")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("button", name="Start recording")).to_be_visible()
    await expect(page.locator("#open li")).to_have_count(0)
