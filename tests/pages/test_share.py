"""The panel “Share” of a recording, and the page that guests get, in a browser: by mouse, finger and keys."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from playwright.async_api import Browser, Page, expect

from recordings.library.sharing import end_link
from recordings.models import GuestLink, Recording
from tests.support.browser import PATIENCE, note_faults
from tests.support.page_server import Server
from tests.support.rows import Status, guest_path, make_recording, make_transcription
from tests.support.waiting import until_it_is

SENTENCE = "So the root cause was nesting. We wrapped the wrapper, and nobody counted the call."
UNREACHABLE = "Other devices cannot open this link"
TIME = "() => document.getElementById('audio').currentTime"


@pytest.fixture
def meeting(mei: User) -> Recording:
    recording = make_recording(mei, "Standup")
    make_transcription(recording, Status.DONE, SENTENCE, "And then we went home.", detected_language="en")
    return recording


address_by = sync_to_async(guest_path)


@asynccontextmanager
async def a_guest(browser: Browser, server: Server, faults: list[str], **options: Any) -> AsyncIterator[Page]:
    """A page in the browser of somebody who has no account."""
    context = await browser.new_context(base_url=server.url, **options)
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    note_faults(page, server.url, faults)
    yield page
    await context.close()


async def test_a_link_is_made_copied_opened_and_turned_off(
    page: Page, browser: Browser, server: Server, meeting: Recording, faults: list[str], lost: list[str]
) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto(f"/recordings/{meeting.pk}")
    await page.get_by_role("button", name="Share", exact=True).click()
    panel = page.get_by_role("dialog", name="Share")
    await panel.get_by_label("With the audio").check()
    await panel.get_by_label("The link works for").select_option("a week")
    await panel.get_by_role("button", name="Make a link").click()
    await expect(panel.get_by_text(UNREACHABLE)).to_be_visible()  # the tests' server is on this machine only
    await panel.get_by_role("button", name="Copy").click()
    await expect(panel.get_by_role("button", name="Copied")).to_be_visible()
    await expect(panel.get_by_role("status")).to_contain_text(UNREACHABLE)
    link = await page.evaluate("navigator.clipboard.readText()")
    assert link == await panel.get_by_label("Link", exact=True).input_value()
    async with a_guest(browser, server, faults) as guest:
        await guest.goto(link)
        await expect(guest.get_by_role("heading", name="Standup")).to_be_visible()
        await guest.get_by_text("nobody counted the call.").click()
        await guest.wait_for_function(f"{TIME} > 5")
        await guest.get_by_role("button", name="Play", exact=True).click()
        await guest.wait_for_function(f"{TIME} > 6")
        async with guest.expect_download() as kept:
            await guest.get_by_role("link", name="Plain text").click()
        assert (await kept.value).suggested_filename == "Standup.txt"
        await panel.get_by_role("button", name="Turn off").click()
        await expect(panel.get_by_role("button", name="Turn off")).to_have_count(0)
        await guest.reload()
        await expect(guest.get_by_role("heading", name="This link has expired or was turned off.")).to_be_visible()
    assert lost.pop() == f"404 {link}"
    faults[:] = [fault for fault in faults if "404" not in fault]
    await panel.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="Share", exact=True).click()
    await expect(panel.get_by_role("button", name="Make a link")).to_be_visible()
    await expect(panel.get_by_label("Link", exact=True)).to_have_count(0)  # the address is not shown again


async def test_the_panel_is_used_by_keys_alone(page: Page, meeting: Recording) -> None:
    focused = "(document.activeElement.closest('label') ?? document.activeElement).textContent.trim()"
    await page.goto(f"/recordings/{meeting.pk}")
    await page.get_by_role("button", name="Share", exact=True).press("Enter")
    await until_it_is(lambda: page.evaluate(focused), "With the audio")
    await page.keyboard.press("Space")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await until_it_is(lambda: page.evaluate(focused), "Copy")
    link = await GuestLink.objects.aget()
    assert link.audio
    await page.get_by_role("button", name="Turn off").press("Enter")
    await until_it_is(lambda: page.evaluate(focused), "With the audio")
    await expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("The link does not work any more.")
    assert not await GuestLink.objects.aexists()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Share", exact=True)).to_be_focused()


@pytest.mark.parametrize("pressed", ["Share", "Make a link"])
async def test_where_the_session_has_ended_the_panel_leads_to_the_sign_in(
    page: Page, meeting: Recording, pressed: str
) -> None:
    await page.goto(f"/recordings/{meeting.pk}")
    for name in ("Share", "Make a link"):
        if name == pressed:
            await Session.objects.all().adelete()
        await page.get_by_role("button", name=name, exact=True).click()
        if name == pressed:
            break
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert not await GuestLink.objects.aexists()


async def test_where_the_browser_has_no_clipboard_the_link_is_copied_all_the_same(
    page: Page, meeting: Recording
) -> None:
    """Browsers have none on a page that came over plain HTTP from another machine."""
    await page.add_init_script("Object.defineProperty(Navigator.prototype, 'clipboard', { get: () => undefined })")
    await page.goto(f"/recordings/{meeting.pk}")
    await page.get_by_role("button", name="Share", exact=True).click()
    await page.get_by_role("button", name="Make a link").click()
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = await page.get_by_label("Link", exact=True).input_value()
    await page.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="Find in transcript").click()
    await page.keyboard.press("Control+V")
    await expect(page.get_by_role("searchbox", name="Find in transcript")).to_have_value(link)


@pytest.mark.parametrize(
    ("host", "open_to_others"),
    [
        ("localhost:8000", False),
        ("127.0.0.1", False),
        ("127.0.1.1:8000", False),
        ("[::1]:8000", False),
        ("stile.localhost", False),
        ("stile.example", True),
        ("192.168.1.7:8000", True),
        ("[fd00::7]", True),
    ],
)
def test_a_link_that_nobody_else_can_open_says_so(
    mei: User, meeting: Recording, client: Client, settings: Any, host: str, open_to_others: bool
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    client.force_login(mei)
    answer = client.post(f"/recordings/{meeting.pk}/links", {"days": "7"}, headers={"Host": host})
    assert f"http://{host}/s/" in answer.content.decode()
    assert (UNREACHABLE in answer.content.decode()) is not open_to_others


@pytest.mark.parametrize("pressed", ["", "/0/end"])
def test_the_panel_refuses_what_the_api_refuses(mei: User, meeting: Recording, client: Client, pressed: str) -> None:
    client.force_login(mei)
    answer = client.post(f"/recordings/{meeting.pk}/links{pressed}", {"days": "9999"})
    assert answer.status_code == (200 if pressed else 422)  # a link that is gone already is gone
    assert not GuestLink.objects.exists()


async def test_a_guest_on_a_phone_taps_a_word_to_hear_it(
    browser: Browser, server: Server, meeting: Recording, faults: list[str]
) -> None:
    phone = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
    async with a_guest(browser, server, faults, **phone) as guest:
        await guest.goto(await address_by(meeting))
        await guest.locator(".wave.drawn").wait_for()
        await guest.get_by_text("And then we went home.").tap()
        await guest.wait_for_function(f"{TIME} >= 20")
        await guest.get_by_role("button", name="Play from 0:00").tap()
        await guest.wait_for_function(f"{TIME} < 1")
        await guest.get_by_role("button", name="Play", exact=True).tap()
        await guest.wait_for_function(f"{TIME} > 0.5")
    assert faults == []


def hour(owner: User) -> Recording:
    """An hour of silence: more than a browser loads before it is played."""
    recording = make_recording(owner, "Long")
    sound = 3600 * 16000  # bytes
    with open(recording.original.path, "r+b") as file:
        for at, more in ((4, 36), (40, 0)):  # the sizes in the header of a WAV file
            file.seek(at)
            file.write((sound + more).to_bytes(4, "little"))
        size = file.truncate(44 + sound)
    Recording.objects.filter(pk=recording.pk).update(bytes=size, duration=3600)
    return recording


async def test_a_guest_whose_link_ends_while_listening_is_told(
    browser: Browser, server: Server, mei: User, faults: list[str]
) -> None:
    recording = await sync_to_async(hour)(mei)
    async with a_guest(browser, server, faults) as guest:
        await guest.goto(await address_by(recording))
        await guest.wait_for_function("() => document.getElementById('audio').readyState > 0")
        link = await GuestLink.objects.aget()
        await sync_to_async(end_link)(recording, link.pk)
        await guest.locator("#seek").click()  # in the middle
        await guest.get_by_role("button", name="Play", exact=True).click()
        await expect(guest.get_by_text("This link has expired or was turned off.")).to_be_visible()
    faults.clear()  # the browser says that it got a 404


async def test_a_guest_reads_without_javascript(
    browser: Browser, server: Server, meeting: Recording, faults: list[str]
) -> None:
    async with a_guest(browser, server, faults, java_script_enabled=False) as guest:
        await guest.goto(await address_by(meeting))
        await expect(guest.get_by_text("And then we went home.")).to_be_visible()
        await expect(guest.locator("audio[controls]")).to_be_visible()
        await expect(guest.get_by_role("link", name="Plain text")).to_be_visible()


async def test_a_link_to_a_moment_leads_a_guest_there(
    browser: Browser, server: Server, meeting: Recording, faults: list[str]
) -> None:
    async with a_guest(browser, server, faults) as guest:
        await guest.goto(f"{await address_by(meeting)}#t=20")
        await guest.wait_for_function(f"{TIME} >= 20")
        await expect(guest.locator(".line[aria-current]")).to_have_text("And then we went home.")
    assert faults == []


async def test_no_request_of_a_guests_page_tells_where_it_came_from(
    browser: Browser, server: Server, meeting: Recording, faults: list[str]
) -> None:
    told: list[str] = []
    async with a_guest(browser, server, faults) as guest:
        guest.on("request", lambda asked: asyncio.ensure_future(note(asked)))

        async def note(asked: Any) -> None:
            told.append((await asked.all_headers()).get("referer", ""))

        await guest.goto(await address_by(meeting))
        await guest.locator(".wave.drawn").wait_for()
    assert len(told) > 5
    assert [address for address in told if "/s/" in address] == []
