"""An action that fails tells the person so, on the page where the person pressed the button."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection
from django.test import Client
from playwright.async_api import Page, Route, expect

from recordings.models import Recording
from tests.support.rows import Status, make_recording, make_transcription

LOST = "No connection. Try again."
FAILED = "This did not work. Reload the page and try again."
FULL = "The server’s disk is full. Nothing was kept of this request."
Act = Callable[[Page], Awaitable[None]]


@pytest.fixture
def shelf(mei: User) -> dict[str, Recording]:
    made = {title: make_recording(mei, title) for title in ("Waiting", "Failed", "Done")}
    make_transcription(made["Waiting"], Status.QUEUED)
    make_transcription(made["Failed"], Status.FAILED, error_code="timed_out")
    make_transcription(made["Done"], Status.DONE, "All is said.")
    return made


def in_menu(title: str, action: str) -> Act:
    async def act(page: Page) -> None:
        await page.get_by_label(f"Actions for {title}").click()
        await page.locator(".row", has_text=title).get_by_role("button", name=action).click()

    return act


async def retry(page: Page) -> None:
    await page.locator(".row", has_text="Failed").get_by_role("button", name="Retry").click()


async def delete_row(page: Page) -> None:
    await in_menu("Done", "Delete")(page)
    await page.evaluate("dispatchEvent(new Event('pagehide'))")  # deletes now, not after ten seconds


async def rename(page: Page) -> None:
    await in_menu("Done", "Rename…")(page)
    await page.get_by_role("dialog").get_by_role("button", name="Save").click()


async def transcribe_again(page: Page) -> None:
    await page.get_by_label("More actions").click()
    await page.get_by_role("button", name="Transcribe again…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Transcribe", exact=True).click()


async def delete_page(page: Page) -> None:
    await page.get_by_label("More actions").click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()


async def retry_page(page: Page) -> None:
    await page.get_by_role("button", name="Retry").click()


async def cancel_page(page: Page) -> None:
    await page.get_by_role("button", name="Cancel", exact=True).first.click()


# For each action: the title of the recording on whose page it is, "" for the library; and the presses.
ACTIONS: dict[str, tuple[str, Act]] = {
    "row: transcribe": ("", in_menu("Done", "Transcribe again")),
    "row: cancel": ("", in_menu("Waiting", "Cancel")),
    "row: retry": ("", retry),
    "row: delete": ("", delete_row),
    "row: rename": ("", rename),
    "page: transcribe again": ("Done", transcribe_again),
    "page: delete": ("Done", delete_page),
    "page: retry": ("Failed", retry_page),
    "page: cancel": ("Waiting", cancel_page),
}


# Keeps a page from loading its pieces, which would lead to the sign-in before the action does. Playwright's routes
# cannot do that: with them, Chromium follows no redirect of a request with `keepalive`.
HOLD_PIECES = """addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.requestConfig.verb === "get") event.preventDefault();
});"""


@pytest.mark.parametrize("action", ACTIONS)
async def test_an_action_that_fails_says_so(
    page: Page, shelf: dict[str, Recording], faults: list[str], action: str
) -> None:
    where, act = ACTIONS[action]
    answer = ""

    async def fail(route: Route) -> None:
        if route.request.method == "GET":
            await route.fallback()
        elif answer == LOST:
            await route.abort("internetdisconnected")
        elif answer == FULL:
            await route.fulfill(status=507, content_type="text/plain", body=FULL)
        else:
            await route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")

    await page.route("**/*", fail)
    for answer in (LOST, FAILED, FULL):
        await page.goto(f"/recordings/{shelf[where].pk}" if where else "/")
        await act(page)
        told = page.locator("#toast:not([hidden]) span, dialog[open] .problem:not([hidden])")
        await expect(told).to_have_text(answer)
    faults.clear()


@pytest.mark.parametrize("action", [action for action in ACTIONS if action != "row: rename"])
async def test_where_the_session_has_ended_an_action_leads_to_the_sign_in(
    page: Page, shelf: dict[str, Recording], action: str
) -> None:
    where, act = ACTIONS[action]
    await page.add_init_script(HOLD_PIECES)
    await page.route_web_socket("/ws/recordings", lambda _: None)
    await page.goto(f"/recordings/{shelf[where].pk}" if where else "/")
    await Session.objects.all().adelete()
    await act(page)
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert await Recording.objects.acount() == 3


def test_a_full_disk_is_said_to_the_person_who_transcribes_again(
    mei: User, client: Client, shelf: dict[str, Recording]
) -> None:
    """SQLite says that the disk is full when its file may not grow any more."""
    if connection.vendor != "sqlite":
        return
    client.force_login(mei)
    address, more = f"/recordings/{shelf['Done'].pk}/transcribe", {"prompt": "x" * 2000}
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0]}")
        try:
            for size in (2000, 200):  # until no page is free, and then until those in use are full
                with suppress(DatabaseError):
                    for _ in range(1000):
                        make_transcription(shelf["Failed"], Status.DONE, prompt="x" * size)
            answer = client.post(address, more, headers={"X-CSRFToken": "a script's"})
        finally:
            cursor.execute("PRAGMA max_page_count = 1073741823")  # SQLite's default
    assert (answer.status_code, answer.content.decode()) == (507, FULL)
    assert client.post(address, more, headers={"X-CSRFToken": "a script's"}).status_code == 204
