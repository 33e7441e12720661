"""axe-core finds no barrier on any page, light or dark: in contrast, names, roles and order."""

import json

import pytest
from asgiref.sync import sync_to_async
from axe_playwright_python.async_playwright import Axe
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.async_api import Page

from recordings.models import LiveSession, Recording
from tests.support.page_server import Server
from tests.support.rows import guest_path

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


async def complaints(page: Page, within: str | None = None) -> list[str]:
    found = await Axe().run(page, context=within, options=RULES)
    return [
        f"{rule['id']}: {node['html'][:120]} {' '.join(node['failureSummary'].split())}"
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_no_page_keeps_anybody_out(
    page: Page, mei: User, shelf: Recording, server: Server, faults: list[str], lost: list[str], theme: str
) -> None:
    await page.context.add_cookies([{"name": "theme", "value": theme, "url": server.url}])
    session = await LiveSession.objects.acreate(owner=mei, title="Standup")
    ended = await LiveSession.objects.acreate(owner=mei, recording=shelf, public=True, ended_at=timezone.now())
    paths = (
        "/",
        "/?q=nothing+that+was+ever+said",
        "/search?q=上周",
        "/search",
        f"/recordings/{shelf.pk}",
        f"/recordings/{shelf.pk}/transcriptions",
        "/record",
        "/live",
        f"/live/{session.pk}",
        f"/live/{session.pk}/overlay",
        f"/live/{ended.pk}",
        *[await sync_to_async(guest_path)(shelf, audio=audio) for audio in (True, False)],
        "/s/none/",
        "/settings/tokens",
        "/accounts/password",
        "/nothing",
        "/admin/asr/monitor/",
    )
    found: dict[str, list[str]] = {}
    for path in paths:
        await page.goto(path)
        await page.evaluate("document.querySelectorAll('details').forEach(menu => { menu.open = true; })")
        for width in (1280, 390):
            await page.set_viewport_size({"width": width, "height": 800})
            if wrong := await complaints(page):
                found[f"{path} at {width}"] = wrong
    faults.clear()  # axe adds styles, which the content security policy forbids
    assert [lost.pop(), lost.pop()] == [f"404 {server.url}/nothing", f"404 {server.url}/s/none/"]
    assert not found, json.dumps(found, indent=2, ensure_ascii=False)


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_sharing_keeps_nobody_out(
    page: Page, shelf: Recording, server: Server, faults: list[str], theme: str
) -> None:
    await page.context.add_cookies([{"name": "theme", "value": theme, "url": server.url}])
    await page.goto(f"/recordings/{shelf.pk}")
    await page.get_by_role("button", name="Share").click()
    await page.get_by_role("button", name="Make a link").click()
    await page.locator("#address").wait_for()
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await complaints(page) == [], width
    faults.clear()  # axe adds styles, which the content security policy forbids


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_correcting_keeps_nobody_out(
    page: Page, shelf: Recording, server: Server, faults: list[str], theme: str
) -> None:
    await page.context.add_cookies([{"name": "theme", "value": theme, "url": server.url}])
    found: dict[str, list[str]] = {}
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 800})
        for opens in ("e", "h", "t", "r"):
            await page.goto(f"/recordings/{shelf.pk}")
            await page.keyboard.press(opens)
            if opens == "h":
                await page.get_by_role("dialog").get_by_label("Find").fill("发布")
                await page.locator("dialog[open] li").first.wait_for()
            if wrong := await complaints(page):
                found[f"{opens} at {width}"] = wrong
    faults.clear()  # axe adds styles, which the content security policy forbids
    assert not found, json.dumps(found, indent=2, ensure_ascii=False)


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_searching_keeps_nobody_out(
    page: Page, shelf: Recording, server: Server, faults: list[str], theme: str
) -> None:
    await page.context.add_cookies([{"name": "theme", "value": theme, "url": server.url}])
    await page.goto("/")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("上周")
    await page.locator("#searching mark").wait_for()
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await complaints(page, "#searching") == [], width
    faults.clear()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_signing_in_keeps_nobody_out(
    page: Page, server: Server, faults: list[str], lost: list[str], theme: str
) -> None:
    await page.context.clear_cookies()
    await page.context.add_cookies([{"name": "theme", "value": theme, "url": server.url}])
    for path in ("/accounts/login", "/setup?token=used"):
        await page.goto(path)
        assert await complaints(page) == [], path
    faults.clear()
    assert lost.pop() == f"404 {server.url}/setup?token=used"


async def test_the_api_docs_can_be_read(page: Page, server: Server, faults: list[str]) -> None:
    """Barriers in Swagger's own markup are left out: elements within others, and elements without a name."""
    theirs = ("nested-interactive", "scrollable-region-focusable", "select-name")
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.goto("/api/docs")
    await page.locator(".opblock-summary-control").nth(1).click()
    await page.get_by_text("Expand all").first.wait_for()
    for colours in ("light", "dark"):
        await page.emulate_media(color_scheme=colours, reduced_motion="reduce")  # no colour in transition
        wrong = await complaints(
            page, ".information-container, .scheme-container, .opblock.is-open"
        )  # one of many alike
        assert [each for each in wrong if not each.startswith(theirs)] == [], colours
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await page.get_by_role("link", name="Library").click()
    await page.wait_for_url(f"{server.url}/")
    faults.clear()
