"""Live captions from end to end: real speech into Chromium's microphone, the real product, a second browser."""

import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Dialog, Page, expect

from tests.support.browser import PATIENCE
from tests.support.live_client import speaking
from tests.support.product import Product
from tests.support.screen_reader import listen
from tests.support.screen_reader import spoken as spoken_by_itself
from tests.support.speaking import (
    Person,
    Samples,
    Talk,
    hearing,
    lines,
    make_talk,
    person,
    place_in,
    recorded,
    seconds_recorded,
    sound,
)
from tests.support.speech import word_error_rate
from tests.support.waiting import wait_for
from tests.support.whisper_stub import WhisperStub, said

pytestmark = pytest.mark.slow  # at the pace of speech

SENTENCES = [f"This is sentence {number}." for number in range(1, 1000)]
BROKEN = ("WebSocket connection", "Failed to load resource", "ERR_INTERNET_DISCONNECTED")


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Talk:
    """Three sentences in 19 s."""
    return make_talk(tmp_path_factory.mktemp("talk") / "talk.wav", [0, 1, 4])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def speakers(talk: Talk) -> AsyncIterator[Browser]:
    async with hearing(talk) as browser:
        yield browser


@pytest.fixture(scope="module")
def whisper() -> Iterator[WhisperStub]:
    """A Whisper stub whose answers are all different, so that a test sees a caption that comes twice or never."""
    with WhisperStub(seconds=0.1, replies=[said(sentence) for sentence in SENTENCES]) as stub:
        yield stub


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, whisper: WhisperStub) -> Iterator[Product]:
    """A product without second passes, so that the captions stay the transcript."""
    folder = tmp_path_factory.mktemp("live")
    with Product(folder, ASR_API_URL=whisper.url, ASR_MAX_CONCURRENT="1", LIVE_SECOND_PASS="off") as product:
        yield product


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cookies(speakers: Browser, product: Product) -> list[Any]:
    context = await speakers.new_context()
    await (await context.new_page()).goto(str(product.link()))
    signed_in = await context.cookies()
    await context.close()
    return list(signed_in)


@pytest_asyncio.fixture(loop_scope="session")
async def mei(speakers: Browser, product: Product, cookies: list[Any]) -> AsyncIterator[Person]:
    async with person(speakers, product, cookies) as mei:
        yield mei


@pytest.fixture(scope="module")
def api(product: Product) -> Iterator[httpx.Client]:
    with product.client("admin") as client:
        yield client


async def start(page: Page, title: str = "") -> str:
    """Press Start and return the viewers' link, when there is a session."""
    await page.goto("/live")
    await page.get_by_label("Title", exact=True).fill(title)
    await page.get_by_role("button", name="Start captions").click()
    await expect(page.locator("#watch")).to_be_visible()
    return str(await page.locator("#viewer").get_attribute("href"))


async def stop(page: Page) -> int:
    """Press Stop and return the id of the recording that the page goes to."""
    await page.get_by_role("button", name="Stop", exact=True).click()
    await page.wait_for_url("**/recordings/*", timeout=PATIENCE)
    return int(page.url.rpartition("/")[2])


async def listen_to_log(page: Page) -> None:
    """Note the text that a screen reader speaks: all that is added to the log."""
    await page.add_init_script("""
        window.heard = []; // { node, at }
        addEventListener("DOMContentLoaded", () => {
            const log = document.querySelector("[role=log][aria-live=polite]");
            const hear = (node) => heard.push({ node: node.querySelector("p") ?? node, at: Date.now() / 1000 });
            const note = (change) => change.addedNodes.forEach(hear);
            const changes = { childList: true, subtree: true };
            if (log) new MutationObserver((changed) => changed.forEach(note)).observe(log, changes);
        });
    """)


async def read_aloud(page: Page) -> list[str]:
    texts: list[str] = await page.evaluate("heard.map(({ node }) => node.textContent)")
    return texts


async def assert_told_next(page: Page, whisper: WhisperStub) -> None:
    """Assert that the page gets the final caption of a later call, after Whisper got that call.

    Captions of earlier calls do not count: a page that is opened late, on a busy machine, gets those, too.
    """
    found = await page.wait_for_function(
        """asked => heard.map(({ node, at }) => [parseInt(node.textContent.match(/[0-9]+/)), at])
            .find(([number]) => number > asked)""",
        arg=len(whisper.received),
        timeout=PATIENCE,
    )
    number, at = await found.json_value()
    assert at > whisper.received[number - 1].at + time.time() - time.monotonic(), whisper.received


def assert_all_heard_in_time(talk: Talk, recording: Samples) -> None:
    """Assert that the recording has every sentence of the talk, with the same time between them."""
    found = [place_in(recording, sound(clip.path)) for clip in talk.clips]
    assert all(alike > 0.8 for _, alike in found), found
    for (spoken, heard), (next_spoken, next_heard) in pairwise(zip(talk.starts, (at for at, _ in found), strict=True)):
        assert next_heard - heard == pytest.approx(next_spoken - spoken, abs=0.15), found


def assert_all_captioned(talk: Talk, recording: Samples, captions: list[dict[str, Any]]) -> None:
    """Assert that the middle of each sentence has a caption. After a break, sentences may share one."""
    for clip in talk.clips:
        spoken = sound(clip.path)
        amid = place_in(recording, spoken)[0] + len(spoken) / 16000 / 2
        assert any(each["start"] < amid < each["end"] for each in captions), (amid, captions)


def segments(api: httpx.Client, pk: int) -> list[dict[str, Any]]:
    """The segments of the recording's text. If captions were missing at the stop, as on a busy machine, a job makes
    it."""
    wait_for(lambda: api.get(f"/api/recordings/{pk}").json()["status"] == "done", "the recording's text")
    return list(api.get(f"/api/recordings/{pk}/transcript", params={"format": "json"}).json()["segments"])


def transcript(api: httpx.Client, pk: int) -> list[str]:
    return [segment["text"] for segment in segments(api, pk)]


async def test_others_read_what_is_said_and_the_session_becomes_a_recording(
    mei: Person,
    speakers: Browser,
    product: Product,
    api: httpx.Client,
    talk: Talk,
    whisper: WhisperStub,
    lost: list[str],
) -> None:
    speaker = await mei.page()
    await listen_to_log(speaker)
    link = await start(speaker, "Stand-up")
    await expect(speaker.get_by_role("heading", name="Stand-up")).to_be_visible()
    async with person(speakers, product) as stranger:
        viewer = await stranger.page()
        await listen_to_log(viewer)
        answer = await viewer.goto(link)
        assert answer
        assert answer.status == 404
        stranger.forgive("404")
        lost.clear()
        await speaker.get_by_label("Anyone with the link can watch").check()
        await expect(speaker.get_by_text("Only you can open")).to_be_hidden()
        await viewer.goto(link)
        await expect(speaker.get_by_text("Viewers 1", exact=True)).to_be_visible()
        await expect(viewer.locator("#tentative")).not_to_be_empty()
        await expect(viewer.locator("#tentative")).to_have_attribute("aria-hidden", "true")
        await assert_told_next(viewer, whisper)
        await expect(viewer.get_by_role("log").locator("p").first).to_be_visible()
        await stranger.context.set_offline(True)
        await expect(viewer.locator("#trouble").get_by_text("Reconnecting…")).to_be_visible()
        await viewer.wait_for_timeout(5000)
        await stranger.context.set_offline(False)
        await seconds_recorded(speaker, talk.seconds)
        on_the_way = await read_aloud(speaker)
        recording = await stop(speaker)
        await expect(speaker.get_by_role("heading", name="Stand-up")).to_be_visible()
        await expect(viewer.get_by_text("The session has ended.")).to_be_visible()
        await expect(viewer.get_by_role("link", name="Read the transcript")).to_be_hidden()  # it belongs to the owner
        read, heard = await lines(viewer), await read_aloud(viewer)
        await viewer.get_by_role("link", name="Read or download the text").click()
        kept = await viewer.locator(".read p").all_text_contents()
        await viewer.locator("summary", has_text="Download").click()
        async with viewer.expect_download() as downloading:
            await viewer.get_by_role("link", name="Plain text").click()
        downloaded = (await (await downloading.value).path()).read_text().splitlines()
        stranger.forgive(*BROKEN)
    assert read == heard == kept == downloaded == transcript(api, recording)
    assert len(read) >= 3
    assert on_the_way == read[: len(on_the_way)]
    assert_all_heard_in_time(talk, recorded(api, recording))


async def test_speaker_and_viewers_hear_of_an_outage_once_and_once_when_it_is_over(
    mei: Person, speakers: Browser, product: Product, talk: Talk
) -> None:
    speaker = await mei.page()
    await listen(speaker)
    link = await start(speaker, "Outage")
    await speaker.get_by_label("Anyone with the link can watch").check()
    await expect(speaker.get_by_text("Only you can open")).to_be_hidden()
    over = "Captions are up to date again."
    async with person(speakers, product) as stranger:
        viewer = await stranger.page()
        await listen(viewer)
        await viewer.goto(link)
        await expect(speaker.get_by_text("Viewers 1", exact=True)).to_be_visible()
        await seconds_recorded(speaker, 4)
        await mei.context.set_offline(True)
        told = viewer.locator("#trouble").get_by_text("No sound comes from the speaker.")
        await expect(told).to_be_visible()  # while the speaker is still offline
        await seconds_recorded(speaker, 16)
        await expect(told).to_be_visible()
        await mei.context.set_offline(False)
        for page in (speaker, viewer):
            await expect(page.locator("#trouble").get_by_text(over)).to_be_visible()
        heard = await spoken_by_itself(speaker)
        await stop(speaker)
        await expect(viewer.get_by_text("The session has ended.")).to_be_visible()
        seen = await spoken_by_itself(viewer)
        mei.forgive(*BROKEN)
    assert heard.count(over) == seen.count(over) == 1, (heard, seen)
    assert len([line for line in heard if line.startswith("Reconnecting")]) == 1, heard
    assert len([line for line in seen if line.startswith("No sound comes")]) == 1, seen
    assert len(heard) <= 5, heard  # and one more while the last captions are made
    assert len(seen) <= 6, seen


async def test_nothing_is_lost_while_the_speaker_is_offline_and_the_server_restarts(
    mei: Person, product: Product, api: httpx.Client, talk: Talk
) -> None:
    speaker = await mei.page()
    await start(speaker)
    await seconds_recorded(speaker, 3)
    await mei.context.set_offline(True)
    await expect(speaker.locator("#trouble").get_by_text("nothing is lost")).to_be_visible()
    await seconds_recorded(speaker, 8)
    await mei.context.set_offline(False)
    await expect(speaker.locator("#trouble").get_by_text("nothing is lost")).to_be_hidden()
    product.stop()
    await expect(speaker.locator("#trouble").get_by_text("nothing is lost")).to_be_visible()
    product.start()
    await expect(speaker.locator("#trouble").get_by_text("nothing is lost")).to_be_hidden()
    await seconds_recorded(speaker, talk.seconds)
    shown = float(await speaker.evaluate("document.getElementById('clock').textContent.split(':')[1]"))
    recording = await stop(speaker)
    mei.forgive(*BROKEN)
    sound = recorded(api, recording)
    assert len(sound) / 16000 == pytest.approx(shown, abs=1.5)
    assert_all_heard_in_time(talk, sound)
    captions = segments(api, recording)
    assert len(captions) == len({each["text"] for each in captions})
    assert_all_captioned(talk, sound, captions)


async def test_sound_that_was_not_sent_outlives_the_page(mei: Person, api: httpx.Client) -> None:
    speaker = await mei.page()
    began = time.monotonic()
    await start(speaker, "Cut short")
    await seconds_recorded(speaker, 2)
    await mei.context.set_offline(True)
    await seconds_recorded(speaker, 7)
    await speaker.close(run_before_unload=False)
    spoken = time.monotonic() - began
    await mei.context.set_offline(False)
    again = await mei.page()
    await again.goto("/live")
    row = again.locator("#open li", has_text="Cut short")
    await expect(row.get_by_text("s of sound wait in this browser")).to_be_visible()
    await row.get_by_role("button", name="End it").click()
    await again.wait_for_url("**/recordings/*", timeout=PATIENCE)
    mei.forgive(*BROKEN)
    assert 6.5 < len(recorded(api, int(again.url.rpartition("/")[2]))) / 16000 < spoken


async def test_speaking_goes_on_after_a_reload_and_a_pause(mei: Person, api: httpx.Client) -> None:
    speaker = await mei.page()
    asked: list[str] = []

    async def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.accept()

    speaker.on("dialog", leave)
    began = time.monotonic()
    await start(speaker, "Two parts")
    await seconds_recorded(speaker, 4)
    await speaker.reload()
    assert asked == ["beforeunload"]
    row = speaker.locator("#open li", has_text="Two parts")
    await row.get_by_role("button", name="Continue here").click()
    await seconds_recorded(speaker, 6)
    await speaker.get_by_role("button", name="Pause").click()
    await expect(speaker.get_by_text("Paused")).to_be_visible()
    await speaker.wait_for_timeout(3000)
    await speaker.get_by_role("button", name="Go on").click()
    await seconds_recorded(speaker, 8)
    recording = await stop(speaker)
    assert 7.5 < len(recorded(api, recording)) / 16000 < time.monotonic() - began - 3


async def test_a_session_without_a_title_gets_one_in_the_speakers_language_and_time_zone(
    mei: Person, product: Product
) -> None:
    await mei.context.add_cookies([{"name": "django_language", "value": "zh-hans", "url": product.url}])
    page = await mei.page()
    clock = await mei.context.new_cdp_session(page)
    await clock.send("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Shanghai"})
    await page.goto("/live")
    before = datetime.now(ZoneInfo("Asia/Shanghai"))
    await page.locator(".begin").click()
    await seconds_recorded(page, 1)
    minutes = [before, datetime.now(ZoneInfo("Asia/Shanghai"))]
    title = await page.locator("#title").text_content()
    assert title in [f"实时字幕 {minute:%Y-%m-%d %H:%M}" for minute in minutes]
    await page.locator("#stop").click()
    await page.wait_for_url("**/recordings/*")
    await expect(page.get_by_role("heading", name=title)).to_be_visible()


async def test_the_newest_window_wins_and_the_older_one_is_told(mei: Person) -> None:
    older = await mei.page()
    await start(older, "Mine")
    await seconds_recorded(older, 2)
    newer = await mei.page()
    await newer.goto("/live")
    await newer.locator("#open li", has_text="Mine").get_by_role("button", name="Continue here").click()
    await expect(older.get_by_text("This session goes on in another window.")).to_be_visible()
    await expect(older.get_by_role("button", name="Stop", exact=True)).to_be_hidden()
    await seconds_recorded(newer, 5)
    await stop(newer)


async def test_nothing_is_sent_over_a_connection_that_is_closing(mei: Person) -> None:
    page = await mei.page()
    await start(page, "Closing")
    await seconds_recorded(page, 1)
    await page.evaluate(
        """() => {
            const send = WebSocket.prototype.send;
            window.sent = 0;
            window.closing = true;
            WebSocket.prototype.send = function (data) { window.sent += window.closing; send.call(this, data); };
            const { get } = Object.getOwnPropertyDescriptor(WebSocket.prototype, "readyState");
            Object.defineProperty(WebSocket.prototype, "readyState", {
                get() { return window.closing ? WebSocket.CLOSING : get.call(this); },
            });
        }"""
    )
    await seconds_recorded(page, 3)
    assert await page.evaluate("window.sent") == 0
    await page.evaluate("window.closing = false")
    await stop(page)


async def test_a_session_without_sound_leaves_no_recording(mei: Person, api: httpx.Client) -> None:
    async with speaking(api) as program:
        await program.start(title="Never said")
    page = await mei.page()
    await page.goto("/live")
    await page.locator("#open li", has_text="Never said").get_by_role("button", name="End it").click()
    await expect(page.get_by_text("There was no sound")).to_be_visible()
    await page.get_by_role("button", name="Show my sessions").click()
    await expect(page.get_by_role("button", name="Start captions")).to_be_visible()
    await expect(page.get_by_text("Never said")).to_be_hidden()


async def test_speech_is_understood_by_the_real_engine(
    speakers: Browser, tmp_path: Path, whisper_server: str, talk: Talk
) -> None:
    with Product(tmp_path, ASR_API_URL=whisper_server, ASR_MAX_CONCURRENT="1") as product:
        link = str(product.link())
        async with person(speakers, product) as mei:
            speaker = await mei.page()
            await speaker.goto(link)
            await start(speaker)
            await seconds_recorded(speaker, talk.seconds)
            recording = await stop(speaker)
            await expect(speaker.locator("#text")).to_contain_text("amiable", ignore_case=True)
        with product.client("admin") as api:
            texts = transcript(api, recording)
    assert word_error_rate(" ".join(clip.text for clip in talk.clips), " ".join(texts)) < 0.25
