"""The viewer's page, the overlay and the speaker's notices, with a simulated server."""

import asyncio
import re
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from playwright.async_api import Page, async_playwright, expect

from recordings.models import LiveSession, Recording
from tests.support.browser import CHROMIUM, FLAGS, note_faults, session_cookies, watch
from tests.support.live_stage import SILENT, STARTS, Stage, opened
from tests.support.page_server import Server
from tests.support.speaking import assert_accessible, lines, seconds_recorded
from tests.support.waiting import until


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def session(mei: User) -> LiveSession:
    return LiveSession.objects.create(owner=mei, title="Board meeting", public=True)


# --- The viewer ----------------------------------------------------------------------------------


async def test_a_viewer_waits_then_reads_and_is_led_to_the_transcript(
    page: Page, stage: Stage, session: LiveSession
) -> None:
    await opened(page, stage, f"/live/{session.pk}")
    await expect(page.get_by_text("Captions will appear here when the speaker starts.")).to_be_visible()
    stage.caption(0, "Good morning every", stable=12)
    await expect(page.locator("#tentative b")).to_have_text("Good morning")
    await expect(page.get_by_text("Captions will appear here")).to_be_hidden()
    stage.final(0, "Good morning, everyone.")
    stage.caption(1, "𝄞大家早上好 let us", stable=6)  # characters; the first one is two in UTF-16
    await expect(page.locator("#tentative b")).to_have_text("𝄞大家早上好")
    stage.final(1, "")  # it turned out to be silence
    await expect(page.locator("#tentative")).to_be_empty()
    stage.final(2, "大家早上好。")
    await expect(page.locator("#log p:lang(zh)")).to_have_text("大家早上好。")
    assert await lines(page) == ["Good morning, everyone.", "大家早上好。"]
    stage.say("status", state="catching_up", behind_seconds=7.4)
    await expect(page.get_by_text("Captions are 7 s behind. The server is busy.", exact=True)).to_be_visible()
    stage.say("status", state="waiting", behind_seconds=60)
    await expect(page.get_by_text("The Whisper server cannot be reached. Captions are 60 s behind")).to_be_visible()
    stage.say("status", state="live", behind_seconds=0.4)
    await expect(page.locator("#trouble > :visible")).to_have_count(0)
    stage.say("done", recording=12)
    await expect(page.get_by_role("link", name="Read the transcript")).to_have_attribute("href", "/recordings/12")
    await expect(page.get_by_role("link", name="Read or download the text")).to_be_hidden()


async def test_a_viewer_who_is_not_the_owner_is_led_to_the_text(page: Page, stage: Stage, session: LiveSession) -> None:
    await opened(page, stage, f"/live/{session.pk}")
    stage.final(0, "Good morning, everyone.")
    await expect(page.locator("#log p")).to_have_count(1)
    stage.say("done", recording=None)
    link = page.get_by_role("link", name="Read or download the text")
    await expect(link).to_have_attribute("href", f"/live/{session.pk}")
    await expect(page.get_by_role("link", name="Read the transcript")).to_be_hidden()


async def test_a_viewer_that_comes_back_asks_for_what_it_has_not_seen(
    page: Page, stage: Stage, session: LiveSession
) -> None:
    await opened(page, stage, f"/live/{session.pk}")
    stage.final(7, "Seven.")
    stage.final(8, "Eight.")
    await expect(page.locator("#log p")).to_have_count(2)
    await stage.socket.close(code=1012)
    await expect(page.locator("#trouble").get_by_text("Reconnecting…")).to_be_visible()
    await expect(page.locator("#trouble").get_by_text("Reconnecting…")).to_be_hidden()
    await stage.opened(2)
    assert stage.paths == [f"/{session.pk}", f"/{session.pk}?after=8"]
    for index, text in ((8, "Eight."), (9, "Nine.")):
        stage.final(index, text)
    stage.caption(9, "Late and wrong")
    await expect(page.locator("#log p")).to_have_count(3)
    assert await lines(page) == ["Seven.", "Eight.", "Nine."]
    await expect(page.locator("#tentative")).to_be_empty()
    await stage.socket.close(code=4404)
    await expect(page.get_by_text("The speaker has closed this session to others.")).to_be_visible()


async def test_a_viewer_follows_unless_somebody_scrolls_back(page: Page, stage: Stage, session: LiveSession) -> None:
    await opened(page, stage, f"/live/{session.pk}")
    at_end = "() => stage.scrollHeight - stage.clientHeight - stage.scrollTop < 2"
    for index in range(30):
        stage.final(index, f"Line {index}.")
    await expect(page.locator("#log p")).to_have_count(30)
    await page.wait_for_function(at_end)
    await expect(page.get_by_role("button", name="⏷ Live")).to_be_hidden()
    await page.mouse.move(400, 300)
    await page.mouse.wheel(0, -600)
    to_live = page.get_by_role("button", name="Live")
    await expect(to_live).to_be_visible()
    before = await page.evaluate("stage.scrollTop")
    stage.final(30, "Line 30.")
    await expect(page.locator("#log p")).to_have_count(31)
    assert await page.evaluate("stage.scrollTop") == before
    await to_live.click()
    await page.wait_for_function(at_end)
    await expect(to_live).to_be_hidden()


async def test_a_viewer_reads_as_large_and_in_such_colours_as_wanted(
    page: Page, stage: Stage, session: LiveSession
) -> None:
    await opened(page, stage, f"/live/{session.pk}")
    for index in range(9):
        stage.final(index, f"Line {index}.")
    size = "parseFloat(getComputedStyle(stage).fontSize)"
    first = await page.evaluate(size)
    assert await page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(11, 12, 14)"
    await page.get_by_role("button", name="Larger").click()
    assert await page.evaluate(size) == pytest.approx(first * 1.2, rel=0.01)
    await page.get_by_role("group", name="Lines").get_by_role("button", name="2").click()
    await page.get_by_role("button", name="Yellow on black").click()
    await page.reload()
    await stage.opened(2)
    await expect(page.get_by_role("button", name="Yellow on black")).to_have_attribute("aria-pressed", "true")
    assert await page.evaluate(size) == pytest.approx(first * 1.2, rel=0.01)
    assert await page.evaluate("getComputedStyle(stage).color") == "rgb(255, 235, 59)"
    stage.final(0, "One long line after another, far more than there is room for. " * 9)
    height = await page.evaluate("stage.clientHeight / parseFloat(getComputedStyle(stage).lineHeight)")
    assert height == pytest.approx(2, abs=0.02)
    for _ in range(20):
        await page.get_by_role("button", name="Larger").click()
    assert await page.evaluate(size) == 8 * 16
    for _ in range(20):
        await page.get_by_role("button", name="Smaller").click()
    assert await page.evaluate(size) == 1.5 * 16


@pytest.mark.parametrize("contrast", ["Dark", "Light", "Yellow on black"])
async def test_everyone_can_read_what_is_final_and_what_is_not(
    page: Page, stage: Stage, session: LiveSession, contrast: str
) -> None:
    await opened(page, stage, f"/live/{session.pk}")
    await page.get_by_role("button", name=contrast).click()
    stage.final(0, "Older.")
    stage.final(1, "The newest.")
    stage.caption(2, "Stable, and not", stable=6)
    stage.say("status", state="catching_up", behind_seconds=9)
    await expect(page.locator("#tentative")).not_to_be_empty()
    await assert_accessible(page)


async def test_controls_give_way_to_the_text_and_come_back(page: Page, stage: Stage, session: LiveSession) -> None:
    await page.clock.install()
    await opened(page, stage, f"/live/{session.pk}")
    controls = page.locator(".controls")
    await expect(controls).to_have_css("opacity", "1")
    await page.clock.run_for(4_100)
    await expect(page.locator("html")).to_have_class("viewer idle")
    await page.keyboard.press("Tab")
    await expect(page.locator("html")).to_have_class("viewer")
    await page.clock.run_for(4_100)
    await page.mouse.move(10, 10)
    await expect(page.locator("html")).to_have_class("viewer")


# --- The overlay -----------------------------------------------------------------------------------


async def test_an_overlay_is_text_on_nothing(page: Page, stage: Stage, session: LiveSession) -> None:
    await page.clock.install()
    await opened(page, stage, f"/live/{session.pk}/overlay?size=64&lines=2&align=left&bg=50&upper=1")
    stage.final(0, "Good morning.")
    stage.caption(1, "Let us start")
    text = page.locator("#text")
    await expect(text).to_have_text("Good morning. Let us start")
    style = "element => { const { %s: value } = getComputedStyle(element); return value; }"
    for part in ("html", "body"):
        assert await page.locator(part).evaluate(style % "backgroundColor") == "rgba(0, 0, 0, 0)"
    assert await text.evaluate(style % "fontSize") == "64px"
    assert await text.evaluate(style % "textAlign") == "left"
    assert await text.evaluate(style % "textTransform") == "uppercase"
    assert await text.evaluate(style % "backgroundColor") == "rgba(0, 0, 0, 0.5)"
    assert await page.locator("a, button, input, select, summary, [tabindex]").count() == 0
    stage.final(1, "Let us start with the release, and with all that was left over from last week. " * 4)
    await expect(page.locator("#log")).to_contain_text("release")
    assert await page.locator("#stage").evaluate("stage => stage.clientHeight") == pytest.approx(2 * 1.4 * 64, abs=1)
    await page.clock.run_for(5_500)
    await expect(text).to_be_visible()
    await page.clock.run_for(1_000)
    await expect(text).to_be_hidden()
    stage.final(2, "New.")
    await expect(text).to_have_text("New. ")


async def test_an_overlay_comes_back_from_everything(page: Page, stage: Stage, session: LiveSession) -> None:
    await page.clock.install()
    await opened(page, stage, f"/live/{session.pk}/overlay?size=huge&lines=-3&align=top&bg=&upper=no")
    assert await page.evaluate("document.documentElement.style.getPropertyValue('--size')") == "48px"
    assert await page.evaluate("document.documentElement.style.getPropertyValue('--lines')") == "1"
    stage.final(3, "Three.")
    await expect(page.locator("#text")).to_have_text("Three. ")
    for count, code in enumerate((1012, None, 4404, 1011), start=2):
        await stage.socket.close(code=code)
        await page.clock.run_for(100)  # the page notices the close
        await page.clock.run_for(6_000)
        await stage.opened(count)
    assert stage.paths[-1] == f"/{session.pk}?after=3"
    stage.say("done", recording=None)
    await page.clock.run_for(60_000)
    assert len(stage.paths) == 5


# --- The speaker ------------------------------------------------------------------------------------

REFUSED = """
    navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("No", "%s"); };
"""


@pytest.mark.parametrize("path", STARTS)
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("NotAllowedError", "Microphone access is blocked. Allow it in the address bar, then try again."),
        ("NotFoundError", "No microphone found."),
        ("NotReadableError", "The microphone cannot be opened. Does another program use it?"),
    ],
)
async def test_a_microphone_that_cannot_be_had_is_told(
    page: Page, stage: Stage, mei: User, fault: str, words: str, path: str
) -> None:
    await page.add_init_script(REFUSED % fault)
    await opened(page, stage, path)
    await page.get_by_role("button", name=STARTS[path]).click()
    await expect(page.get_by_text(words)).to_be_visible()
    await expect(page.get_by_role("button", name=STARTS[path])).to_be_enabled()
    assert stage.paths == []


@pytest.mark.parametrize("path", STARTS)
async def test_silence_is_told_before_and_after_the_start(page: Page, stage: Stage, mei: User, path: str) -> None:
    await page.add_init_script(SILENT)
    await opened(page, stage, path)
    await page.get_by_role("button", name="Test the microphone").click()
    await expect(page.get_by_text("We can’t hear anything.", exact=True)).to_be_visible()
    await page.evaluate("const now = Date.now; Date.now = () => now() + (window.ahead ?? 0)")
    await page.get_by_role("button", name=STARTS[path]).click()
    await seconds_recorded(page, 1)
    await page.evaluate("window.ahead = 11_000")
    await expect(page.get_by_text("Is the right microphone selected?")).to_be_visible()


async def test_the_microphone_needs_a_safe_origin(server: Server, mei: User, settings: LazySettings) -> None:
    settings.ALLOWED_HOSTS = ["asr.lan"]
    address = server.url.replace("127.0.0.1", "asr.lan")
    async with async_playwright() as playwright:
        rules = "--host-resolver-rules=MAP asr.lan 127.0.0.1"
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, rules])
        watch(browser)
        context = await browser.new_context(base_url=address)
        await context.add_cookies(await asyncio.to_thread(session_cookies, mei, address))
        page = await context.new_page()
        faults: list[str] = []
        note_faults(page, address, faults)
        for path, start in STARTS.items():
            await page.goto(path)
            words = "Your browser allows the microphone only over HTTPS or on localhost."
            await expect(page.get_by_text(words)).to_be_visible()
            await expect(page.get_by_text("https://")).to_be_visible()
            for button in (start, "Test the microphone", "Continue here"):
                await expect(page.get_by_role("button", name=button)).to_be_hidden()
        assert [fault for fault in faults if "Cross-Origin-Opener-Policy" not in fault] == []  # needs HTTPS, too
        await browser.close()


SPEAKERS_ERRORS = [
    ("disk_full", "The server’s disk is full.", None),
    ("too_many_sessions", "You have too many live sessions open.", 4429),
]


@pytest.mark.parametrize(("code", "words", "close"), SPEAKERS_ERRORS)
async def test_a_refusal_is_told_in_the_servers_words(
    page: Page, stage: Stage, mei: User, code: str, words: str, close: int | None
) -> None:
    await page.add_init_script(SILENT)
    await opened(page, stage, "/live")
    await page.get_by_role("button", name="Start captions").click()
    await stage.asked(1)
    await expect(page.get_by_text("Connecting…", exact=True)).to_be_visible()
    stage.say("error", code=code, message=words)
    if close:
        await stage.socket.close(code=close)
        await expect(page.get_by_role("button", name="Start captions")).to_be_visible()
    await expect(page.get_by_text(words)).to_be_visible()


async def test_a_session_that_ended_while_its_speaker_was_away_goes_on_as_another(
    page: Page, stage: Stage, mei: User
) -> None:
    await page.add_init_script(SILENT)
    await opened(page, stage, "/live")
    await page.get_by_label("Title", exact=True).fill("Long walk")
    await page.get_by_label("Names and terms").fill("Stile, 听序")
    await page.get_by_role("button", name="Start captions").click()
    await stage.asked(1)
    ready = {"sample_rate": 16000, "max_frame_bytes": 16004}
    stage.say("ready", session="first", next_seq=0, **ready)
    await until(lambda: len(stage.heard[0]) >= 10)
    stage.say("ack", seq=4)
    await stage.socket.close(code=1012)
    await stage.asked(2)
    assert stage.told[1] == [{"type": "start", "session": "first", "resume": True}]
    stage.say("done", recording=5)
    await stage.socket.close(code=1000)
    await expect(page.get_by_text("It goes on as a new one")).to_be_visible()
    await stage.asked(3)
    start = {
        "type": "start",
        "session": None,
        "sample_rate": 16000,
        "title": "Long walk",
        "language": "auto",
        "prompt": "Stile, 听序",
    }
    assert stage.told[2] == [start]
    stage.say("ready", session="second", next_seq=0, **ready)
    await expect(page.locator("#viewer")).to_have_attribute("href", re.compile("/live/second$"))
    stage.caption(0, "It is not", stable=2)
    stage.say("viewers", count=14)
    await expect(page.get_by_text("Viewers 14")).to_be_visible()
    await assert_accessible(page)
    await seconds_recorded(page, 2)
    await page.get_by_role("button", name="Stop", exact=True).click()
    await expect(page.get_by_text("Finishing")).to_be_visible()
    await until(lambda: stage.told[2][-1] == {"type": "stop"})
    assert stage.heard[0][:10] == list(range(10))
    assert stage.heard[2] == list(range(len(stage.heard[2])))
    kept = len(stage.heard[2])
    stage.say("ack", seq=kept - 1)
    stage.say("done", recording=None)
    await expect(page.get_by_text("There was no sound")).to_be_visible()


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
async def test_the_newest_caption_is_on_the_speakers_screen(
    page: Page, stage: Stage, mei: User, size: tuple[int, int]
) -> None:
    await page.set_viewport_size({"width": size[0], "height": size[1]})
    await page.add_init_script(SILENT)
    await opened(page, stage, "/live")
    await page.get_by_role("button", name="Start captions").click()
    await stage.asked(1)
    stage.say("ready", session="first", next_seq=0, sample_rate=16000, max_frame_bytes=16004)
    for index in range(30):
        stage.final(index, f"Line {index}.")
    newest = page.get_by_text("Line 29.")
    await expect(newest).to_be_in_viewport()
    await expect(page.get_by_role("button", name="Stop", exact=True)).to_be_in_viewport()
    assert await page.evaluate("document.documentElement.scrollHeight") <= size[1]


async def test_a_link_is_ready_before_the_start_and_a_copy_says_who_cannot_open_it(
    page: Page, stage: Stage, mei: User
) -> None:
    await page.add_init_script(SILENT)
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await opened(page, stage, "/live")
    await page.get_by_role("button", name="Make the viewers’ link now").click()
    everyone = page.get_by_label("Anyone with the link can watch")
    await expect(everyone).to_be_focused()
    session = await LiveSession.objects.aget()
    await expect(page.locator("#link")).to_have_text(re.compile(f"/live/{session.pk}$"))
    toast = page.locator("#toast span")
    await page.get_by_role("button", name="Copy", exact=True).click()
    await expect(toast).to_have_text(re.compile("^Link copied. Only you can open the link .* Other devices cannot"))
    assert await page.evaluate("navigator.clipboard.readText()") == await page.locator("#link").text_content()
    await everyone.check()
    await expect(page.locator("#private")).to_be_hidden()
    await page.get_by_role("button", name="Copy", exact=True).click()
    await expect(toast).to_have_text(re.compile("^Link copied. Other devices cannot"))
    await page.evaluate("navigator.clipboard.writeText = () => Promise.reject(new Error('no')); null")
    await page.get_by_role("button", name="Copy", exact=True).click()
    await expect(toast).to_have_text(re.compile("^The browser does not let this page copy."))
    await assert_accessible(page)
    await page.reload()
    await expect(everyone).to_be_checked()
    await page.get_by_label("Title", exact=True).fill("Stand-up")
    await page.get_by_role("button", name="Start captions").click()
    await stage.asked(1)
    fields = {"sample_rate": 16000, "title": "Stand-up", "language": "auto", "prompt": ""}
    assert stage.told[0] == [{"type": "start", "session": session.pk, "resume": True} | fields]
    stage.say("ready", session=session.pk, next_seq=0, sample_rate=16000, max_frame_bytes=16004)
    await expect(page.get_by_text("Viewers 0")).to_be_visible()
    await expect(everyone).to_be_checked()
    await stage.socket.close(code=1012)
    await stage.asked(2)
    assert stage.told[1] == [{"type": "start", "session": session.pk, "resume": True}]


async def test_a_link_that_cannot_be_made_says_so(page: Page, stage: Stage, mei: User, faults: list[str]) -> None:
    await opened(page, stage, "/live")
    await page.route("**/live/new/link", lambda route: route.abort())
    await page.get_by_role("button", name="Make the viewers’ link now").click()
    await expect(page.get_by_text("That did not work. Try again.")).to_be_visible()
    await expect(page.get_by_role("button", name="Make the viewers’ link now")).to_be_visible()
    faults.clear()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("busy", "All permits are out, and each stays out for about 9 s. Captions begin late and catch up."),
        ("away", "The Whisper server cannot be reached. Captions come when it can."),
    ],
)
async def test_a_person_whose_captions_would_wait_chooses_to_wait_or_to_record_only(
    page: Page, stage: Stage, mei: User, settings: LazySettings, tmp_path: Path, state: str, words: str
) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    await page.add_init_script(SILENT)
    await page.route("**/live/new/room", lambda route: route.fulfill(json={"state": state, "seconds": 9}))
    await opened(page, stage, "/live")
    await page.get_by_label("Title", exact=True).fill("Stand-up")
    await page.get_by_label("Names and terms").fill("Stile")
    start = page.get_by_role("button", name="Start captions")
    await start.click()
    dialog = page.get_by_role("dialog", name=words)
    await expect(dialog).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(start).to_be_focused()
    assert stage.paths == []
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("button", name="Start and wait")).to_be_focused()
    await assert_accessible(page)
    await page.keyboard.press("Enter")
    await stage.asked(1)
    await stage.socket.close(code=4429)
    await start.click()
    await dialog.get_by_role("button", name="Record only").click()
    await page.wait_for_url("**/record")
    await seconds_recorded(page, 1)  # without another press
    await expect(page.get_by_role("button", name="Pause")).to_be_focused()
    await page.get_by_role("button", name="Save", exact=True).click()
    await page.wait_for_url("**/recordings/*")
    made = await Recording.objects.aget()
    assert (made.title, made.prompt) == ("Stand-up", "Stile")


async def test_where_nobody_knows_whether_there_is_room_captions_start(
    page: Page, stage: Stage, mei: User, faults: list[str]
) -> None:
    await page.add_init_script(SILENT)
    await page.route("**/live/new/room", lambda route: route.fulfill(status=500))
    await opened(page, stage, "/live")
    await page.get_by_role("button", name="Start captions").click()
    await stage.asked(1)
    faults.clear()


async def test_frames_that_this_browser_has_lost_are_sent_as_silence(page: Page, stage: Stage, mei: User) -> None:
    """The silence keeps later sound in time. The page does not wait for frames that nobody has."""
    await page.add_init_script(SILENT)
    await opened(page, stage, "/live")
    await page.get_by_role("button", name="Start captions").click()
    await stage.asked(1)
    ready = {"session": "first", "sample_rate": 16000, "max_frame_bytes": 16004}
    stage.say("ready", next_seq=0, **ready)
    await seconds_recorded(page, 1)
    stage.say("ack", seq=7)
    await stage.socket.close(code=1012)
    await stage.asked(2)
    stage.say("ready", next_seq=3, **ready)
    await seconds_recorded(page, 2)
    assert stage.heard[1][:8] == list(range(3, 11))
