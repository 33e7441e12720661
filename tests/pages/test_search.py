"""Searching everything: from every page by a key, a press or a finger, while one types; and the hits that come."""

import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from playwright.async_api import Browser, Locator, Page, Request, Route, expect

from recordings.models import Recording
from tests.support.browser import note_faults, session_cookies
from tests.support.page_server import Server
from tests.support.rows import Status, make_recording, make_transcription

# Keeps the sound that is played, which is on no page, in `heard`.
NOTE_SOUND = """() => { HTMLMediaElement.prototype.play = new Proxy(HTMLMediaElement.prototype.play, {
    apply: (play, sound) => Reflect.apply(play, globalThis.heard = sound, []),
}); }"""
HOSTILE = "<img src=x onerror=alert(1)> & <b>budget</b>"


@pytest.fixture
def said(mei: User) -> Recording:
    """Two recordings that have the word “budget”, in a text of a minute and in a title."""
    recording = make_recording(mei, "Monday meeting", seconds=60)
    make_transcription(recording, Status.DONE, "Good morning.", "First the budget, then lunch.", "会议到此结束。")
    make_recording(mei, "Budget 2027")
    return recording


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Search everything")


async def opened(page: Page, path: str = "/") -> Locator:
    await page.goto(path)
    await page.keyboard.press("Control+k")
    await expect(dialog(page).get_by_role("searchbox")).to_be_focused()
    return dialog(page)


async def typed(page: Page, text: str) -> None:
    """Type a search into the open dialog, and wait for its results: they take the place of those of its beginning."""

    def is_answered(request: Request) -> bool:
        return parse_qs(urlsplit(request.url).query).get("q") == [text]

    async with page.expect_event("requestfinished", is_answered):
        await page.keyboard.type(text)
    await expect(dialog(page).get_by_role("searchbox")).not_to_have_class(re.compile("htmx-request"))


@pytest.mark.parametrize("path", ["/", "recording", "/record", "/live", "/accounts/password", "/search"])
async def test_the_keys_open_it_on_every_page(page: Page, said: Recording, path: str) -> None:
    await page.goto(f"/recordings/{said.pk}" if path == "recording" else path)
    for keys in ("Control+k", "Meta+k"):
        await page.keyboard.press(keys)
        await expect(dialog(page).get_by_role("searchbox")).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(dialog(page)).to_be_hidden()


async def test_results_come_while_one_types_and_the_keys_lead_through_them(page: Page, said: Recording) -> None:
    search = await opened(page)
    await page.keyboard.type("lunch bud")
    await expect(search.locator(".hit mark")).to_have_text(["bud", "lunch"])
    await expect(search.get_by_role("status")).to_have_text("1 recording")
    await page.keyboard.press("Control+a")
    await page.keyboard.type("budget")
    await expect(search.locator("h2")).to_have_text(["Budget 2027", "Monday meeting"])
    await expect(search.locator("h2 mark")).to_have_text("Budget")
    focused = search.locator(":focus")
    for words in ("Budget 2027", "Monday meeting", "First the budget, then lunch."):
        await page.keyboard.press("ArrowDown")
        await expect(focused).to_contain_text(words)
    await page.keyboard.press("ArrowDown")  # there are no more
    await expect(focused).to_contain_text("First the budget")
    await page.keyboard.press("ArrowUp")
    await expect(focused).to_have_text("Monday meeting")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("ArrowUp")
    await expect(search.get_by_role("searchbox")).to_be_focused()
    await page.keyboard.press("Control+a")
    await page.keyboard.type("会议")
    await expect(search.locator(".hit mark")).to_have_text("会议")
    await page.keyboard.press("Control+a")
    await page.keyboard.type("dinner")
    await expect(search.locator(".told")).to_have_text("Nothing matches “dinner”.")


async def test_a_hit_leads_to_its_moment_also_on_the_page_of_its_recording(page: Page, said: Recording) -> None:
    search = await opened(page)
    await page.keyboard.type("then lunch")
    await page.keyboard.press("ArrowDown")
    await expect(search.locator(".hit")).to_have_count(1)
    await page.keyboard.press("ArrowDown")
    await expect(search.locator("h2 a")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"/recordings/{said.pk}#t=*")
    await expect(page.locator("[aria-current=true].line")).to_have_text("First the budget, then lunch.")
    search = await opened(page, page.url)
    await page.keyboard.type("会议")
    await search.get_by_role("link", name="会议到此结束。").click()
    await expect(dialog(page)).to_be_hidden()
    await expect(page.locator("[aria-current=true].line")).to_have_text("会议到此结束。")


async def test_five_seconds_of_a_hit_are_played(page: Page, said: Recording) -> None:
    search = await opened(page)
    await page.evaluate(NOTE_SOUND)
    await typed(page, "budget lunch")
    await search.get_by_role("button", name="Play five seconds from 0:").click()
    await expect(search.get_by_role("button", name="Pause")).to_be_visible()
    await page.wait_for_function("() => heard.currentTime > 20 && !heard.paused")
    start = float(await search.locator("[data-play]").get_attribute("data-start") or 0)
    assert 19.9 < start < 30
    await expect(search.get_by_role("button", name="Play five seconds from 0:")).to_be_visible()  # it has ended
    assert start + 5 <= await page.evaluate("heard.currentTime") < start + 15  # on a busy machine it is told late
    await search.locator(".hit a").focus()
    await page.keyboard.press("Space")
    await page.wait_for_function("() => !heard.paused")
    await page.keyboard.press("Escape")
    await page.wait_for_function("() => heard.paused")


async def test_nothing_that_people_wrote_is_taken_for_markup(page: Page, mei: User, faults: list[str]) -> None:
    recording = await sync_to_async(make_recording)(mei, HOSTILE)
    await sync_to_async(make_transcription)(recording, Status.DONE, HOSTILE)
    search = await opened(page)
    await typed(page, "budget <img")
    await expect(search.locator(".told")).to_contain_text("1 recording")
    await expect(search.locator("h2")).to_have_text(HOSTILE)
    await expect(search.locator(".hit a")).to_contain_text(HOSTILE)
    await expect(search.locator(".results img, .results b")).to_have_count(0)
    await page.goto("/?q=budget")
    await expect(page.locator(".what p")).to_have_text(HOSTILE)


async def test_a_search_that_fails_says_so_and_goes_on(page: Page, said: Recording, faults: list[str]) -> None:
    answers = iter(("offline", "broken"))

    async def fail(route: Route) -> None:
        match next(answers, ""):
            case "offline":
                await route.abort("internetdisconnected")
            case "broken":
                await route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")
            case _:
                await route.continue_()

    await page.route("**/search?*", fail)
    search = await opened(page)
    await page.keyboard.type("budget")
    told = search.get_by_role("status")
    await expect(told).to_have_text("No connection. Try again.")
    await page.keyboard.type(" ")
    await expect(told).to_have_text("This did not work. Try again in a moment.")
    await page.evaluate("dispatchEvent(new Event('online'))")
    await expect(told).to_have_text("2 recordings")
    await expect(search.get_by_role("searchbox")).to_have_value("budget ")
    faults.clear()


async def test_where_the_session_has_ended_the_sign_in_leads_back_to_the_search(page: Page, said: Recording) -> None:
    await opened(page, "/accounts/password")
    await Session.objects.all().adelete()
    await page.keyboard.type("budget")
    await page.fill("[name=username]", "mei")
    await page.fill("[name=password]", "correct horse")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("main .hit mark")).to_have_text("budget")
    await expect(page.locator("main").get_by_role("searchbox")).to_have_value("budget")


@pytest_asyncio.fixture(loop_scope="session")
async def touched(server: Server, browser: Browser, mei: User, faults: list[str]) -> AsyncIterator[Page]:
    """A page on a telephone."""
    options = {"viewport": {"width": 390, "height": 700}, "has_touch": True, "is_mobile": True}
    context = await browser.new_context(base_url=server.url, **options)  # type: ignore[arg-type]
    await context.add_cookies(await sync_to_async(session_cookies)(mei, server.url))
    page = await context.new_page()
    note_faults(page, server.url, faults)
    yield page
    await context.close()
    assert faults == []


async def test_on_a_phone_it_fills_the_screen_and_is_closed_by_a_tap(touched: Page, said: Recording) -> None:
    page = touched
    await page.goto("/")
    await page.get_by_role("link", name="Search everything").tap()
    search = dialog(page)
    await expect(search.get_by_role("searchbox")).to_be_focused()
    assert await search.bounding_box() == {"x": 0, "y": 0, "width": 390, "height": 700}
    await page.keyboard.type("budget")
    hit = search.locator(".hit")
    for part in (hit.get_by_role("button"), hit.get_by_role("link")):
        box = await part.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 24
    await search.get_by_role("button", name="Close").tap()
    await expect(search).to_be_hidden()
    await page.get_by_role("link", name="Search everything").tap()
    await expect(hit).to_be_visible()  # what was found last is there again
    await hit.get_by_role("link").tap()
    await page.wait_for_url(f"/recordings/{said.pk}#t=*")


async def test_all_results_have_a_page_which_needs_no_script(
    browser: Browser, server: Server, mei: User, said: Recording
) -> None:
    context = await browser.new_context(base_url=server.url, java_script_enabled=False)
    await context.add_cookies(await sync_to_async(session_cookies)(mei, server.url))
    page = await context.new_page()
    await page.goto("/")
    await page.get_by_role("link", name="Search everything").click()
    await page.get_by_role("searchbox").fill("budget")
    await page.keyboard.press("Enter")
    await expect(page.locator("main h2")).to_have_text(["Budget 2027", "Monday meeting"])
    await context.close()


async def test_enter_shows_all_results_on_their_page(page: Page, said: Recording) -> None:
    await opened(page)
    await page.keyboard.type("budget")
    await page.keyboard.press("Enter")
    await page.wait_for_url("/search?q=budget")
    await page.locator("main").get_by_role("searchbox").fill("会议")
    await expect(page.locator("main .hit mark")).to_have_text("会议")
    await page.wait_for_url("/search?q=*")  # the address goes along
    assert await page.evaluate("new URL(location).searchParams.get('q')") == "会议"


async def test_a_word_is_searched_for_when_it_is_composed(page: Page, said: Recording) -> None:
    """Pinyin on its way to Chinese is no query."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/search?" in request.url else None)
    search = await opened(page)
    await page.keyboard.type("nothing")
    await expect(search.locator(".told")).to_have_text("Nothing matches “nothing”.")
    await page.keyboard.press("Control+a")
    asked.clear()
    keyboard = await page.context.new_cdp_session(page)
    for text in ("h", "hui", "hui yi"):
        await keyboard.send("Input.imeSetComposition", {"text": text, "selectionStart": len(text), "selectionEnd": 0})
    await page.wait_for_timeout(400)
    assert asked == []
    await keyboard.send("Input.insertText", {"text": "会议"})
    await expect(search.locator(".hit mark")).to_have_text("会议")
    assert len(asked) == 1


def test_only_ones_own_are_found_and_pages_follow_each_other(mei: User, jonas: User, client: Client) -> None:
    make_transcription(make_recording(jonas, "Secret"), Status.DONE, "secret words")
    client.force_login(mei)
    assert client.get("/search", {"q": "secret"}).context["found"] == []
    for number in range(21):
        make_recording(mei, f"Standup {number}", seconds=0.1)
    first = client.get("/search", {"q": "standup"})
    assert len(first.context["found"]) == 20
    second = client.get(f"/search?q=standup&before={first.context['older']}")
    assert [found.entry.recording.title for found in second.context["found"]] == ["Standup 0"]
    assert "1 recording on this page" in second.content.decode()
    client.logout()
    assert client.get("/search?q=standup")["Location"] == "/accounts/login?next=/search%3Fq%3Dstandup"


@pytest.mark.parametrize("q", ["\0", "x" * 5000, '"' * 300, "' OR 1=1 --", "会" * 300, "* AND NOT (", "%"])
def test_no_query_is_too_much(mei: User, client: Client, q: str) -> None:
    client.force_login(mei)
    make_recording(mei, "Standup", seconds=0.1)
    for path in ("/search", "/"):
        assert client.get(path, {"q": q}).status_code == 200


def test_hits_beyond_the_first_are_counted(mei: User, client: Client) -> None:
    make_transcription(make_recording(mei, "Zoo"), Status.DONE, *["A gnu."] * 5)
    client.force_login(mei)
    assert "2 more places" in client.get("/search?q=gnu").content.decode()
    client.cookies["django_language"] = "zh-hans"
    assert "另有 2 处" in client.get("/search?q=gnu").content.decode()
