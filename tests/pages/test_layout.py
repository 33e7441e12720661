"""The layout of every page: narrow and wide, light and dark, in both languages, with and without JavaScript."""

import asyncio
from datetime import UTC, datetime

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.template.loader import render_to_string
from django.test import Client
from playwright.async_api import Browser, Page, expect

from recordings.models import Recording
from tests.support.browser import session_cookies
from tests.support.page_server import Server
from tests.support.rows import Status, guest_path, make_recording, make_transcription
from tests.support.waiting import until_it_is

FITS = "[location.pathname, innerWidth, document.documentElement.scrollWidth <= innerWidth]"


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_no_page_overflows_or_breaks_the_policy(
    page: Page, shelf: Recording, server: Server, language: str, theme: str
) -> None:
    cookies = {"django_language": language, "theme": theme}
    await page.context.add_cookies([{"name": n, "value": v, "url": server.url} for n, v in cookies.items()])
    guests = [await sync_to_async(guest_path)(shelf, audio=audio) for audio in (True, False)]
    own = ("/", f"/recordings/{shelf.pk}", "/search?q=Averylong", "/settings/tokens", "/accounts/password")
    for path in (*own, *guests, "/admin/asr/monitor/"):
        await page.goto(path)
        if not path.startswith("/admin"):
            paper = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
            assert paper == ("rgb(20, 22, 26)" if theme == "dark" else "rgb(251, 250, 247)")
        for width in (320, 390, 768, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            for menu in await page.locator("main details.menu").all():
                await menu.evaluate("menu => { menu.open = true; }")
                left = await menu.locator(".list").evaluate("list => list.getBoundingClientRect().left")
                assert left >= 0, (path, width)
                await menu.evaluate("menu => { menu.open = false; }")
            await until_it_is(lambda: page.evaluate(FITS), [path.partition("?")[0], width, True])


@pytest.mark.parametrize(
    "runs",
    [
        [Status.CANCELED],
        [Status.DONE, Status.DONE],
        [Status.CANCELED, Status.CANCELED],
        [Status.DONE, Status.TRANSCRIBING],
    ],
)
async def test_on_a_phone_the_menu_of_a_recording_stands_beside_its_buttons(
    page: Page, mei: User, runs: list[Status]
) -> None:
    recording = await sync_to_async(make_recording)(mei, "Standup")
    for status in runs:
        await sync_to_async(make_transcription)(recording, status, "Half of it.")
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.goto(f"/recordings/{recording.pk}")
    tops = await page.locator(".standing summary").evaluate_all("all => all.map(e => e.getBoundingClientRect().top)")
    assert tops == [tops[0]] * 2  # the menus “Download” and “More actions”


async def test_the_tab_key_passes_skip_link_navigation_files_and_first_title_in_that_order(
    page: Page, shelf: Recording
) -> None:
    await page.goto("/")
    passed = []
    for _ in range(14):
        await page.keyboard.press("Tab")
        passed.append(await page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id"))
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "2px"
    stops = ["Skip to content", "Library", "files", "产品周会"]
    assert [stop for stop in passed if stop in stops] == stops


async def test_reading_needs_no_javascript(browser: Browser, server: Server, mei: User, shelf: Recording) -> None:
    context = await browser.new_context(base_url=server.url, java_script_enabled=False)
    await context.add_cookies(await asyncio.to_thread(session_cookies, mei, server.url))
    page = await context.new_page()
    await page.goto("/")
    await expect(page.get_by_text("Next in line", exact=True)).to_be_visible()
    await page.get_by_role("link", name="产品周会").click()
    await expect(page.locator("audio[controls]")).to_be_visible()
    await expect(page.get_by_text("我们先过一遍上周的发布情况。")).to_be_visible()
    await context.close()


@pytest.mark.parametrize(
    ("status", "path", "words"),
    [(404, "/nope", "Nothing here."), (403, "/accounts/language", "The page was too old.")],
)
def test_faults_are_told_in_the_same_layout(client: Client, status: int, path: str, words: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post(path) if status == 403 else client.get(path)
    assert answer.status_code == status
    assert words in answer.content.decode()
    assert 'class="bar"' in answer.content.decode()


async def test_times_are_told_by_the_readers_clock(
    browser: Browser, server: Server, mei: User, shelf: Recording
) -> None:
    evening = datetime(2026, 11, 27, 20, 30, tzinfo=UTC)
    await shelf.transcriptions.aupdate(created_at=evening)
    context = await browser.new_context(base_url=server.url, timezone_id="Asia/Shanghai")
    await context.add_cookies(await asyncio.to_thread(session_cookies, mei, server.url))
    page = await context.new_page()
    await page.goto("/")
    await page.goto(f"/recordings/{shelf.pk}/transcriptions")
    await expect(page.get_by_role("link", name="Nov. 28, 2026, 4:30 a.m.")).to_be_visible()
    await context.close()


@pytest.mark.parametrize("zone", ["", "Nowhere/Land", "../../etc/passwd", "Asia", "zone.tab", "\0"])
def test_a_zone_that_is_none_leaves_times_as_the_settings_say(
    mei: User, client: Client, shelf: Recording, zone: str
) -> None:
    shelf.transcriptions.update(created_at=datetime(2026, 11, 27, 20, 30, tzinfo=UTC))
    client.force_login(mei)
    client.cookies["timezone"] = zone
    assert "Nov. 27, 2026, 8:30 p.m." in client.get(f"/recordings/{shelf.pk}/transcriptions").content.decode()


@pytest.mark.parametrize("template", ["400.html", "403.html", "500.html"])
def test_a_fault_page_needs_neither_a_person_nor_a_database(template: str) -> None:
    assert "<h1>" in render_to_string(template)


async def test_what_a_stranger_opens_leads_to_the_sign_in(
    browser: Browser, server: Server, mei: User, lost: list[str]
) -> None:
    context = await browser.new_context(base_url=server.url)
    page = await context.new_page()
    await page.goto("/recordings/1")
    await page.fill("[name=username]", "mei")
    await page.fill("[name=password]", "correct horse")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Nothing here.")).to_be_visible()
    assert lost.pop() == f"404 {server.url}/recordings/1"
    await page.goto("/")
    await page.get_by_label("You and how this looks").click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await context.close()
