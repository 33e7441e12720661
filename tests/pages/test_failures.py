"""Every action of every page is made to fail: it ends in a word where the person pressed, and nothing typed is lost.

The actions are in the table ACTIONS. A control that sends a request and is not in the table fails a test.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone
from playwright.async_api import (
    Browser,
    BrowserContext,
    FilePayload,
    Page,
    Route,
    WebSocketRoute,
    async_playwright,
    expect,
)

from accounts.tokens import make_token
from recordings.library.sharing import make_link
from recordings.models import LiveSession, Recording, Segment
from tests.support.audio_files import tone
from tests.support.browser import CHROMIUM, FLAGS, PATIENCE, session_cookies, watch
from tests.support.page_server import Server
from tests.support.rows import Status, make_recording, make_transcription
from tests.support.speaking import seconds_recorded

LOST = "No connection. Try again."
FAILED = "This did not work. Try again in a moment."
FULL = "The server’s disk is full. Nothing was kept of this request."
TYPED = "Typed by hand"
# Where pages tell of a failure: the toast, dialogs, forms, notices, below a segment, and the row of an upload.
WORDS = ", ".join(
    f"{place}:visible"
    for place in ("#toast span", ".problem", "#notices [data-notice]", ".unsaved > p", "#uploads .note", "#open .when")
)
Act = Callable[[Page], Awaitable[None]]


@dataclass(frozen=True)
class Action:
    """What a person does, up to the request.

    page: name of the page, see `address`. control: the label of what is pressed last, see SWEEP.
    field: what was typed into; it must still hold TYPED. words: what is said in place of LOST, FAILED and FULL.
    leads: the link or button that leads a person who is signed out to the sign-in; empty where the action does.
    back: the page after the sign-in; empty for the same as before.
    later: the control comes only while an action is under way.
    """

    page: str
    control: str
    act: Act
    field: str = ""
    words: tuple[str, str, str] = (LOST, FAILED, FULL)
    leads: str = ""
    back: str = ""
    later: bool = False


def press(*names: str) -> Act:
    """Press these buttons, menus and links, one after the other: in the open dialog where there is one."""

    async def act(page: Page) -> None:
        for name in names:
            if name.startswith("Actions for "):
                await page.get_by_label(name).click()
                continue
            dialog = page.locator("dialog[open]")
            where = dialog if await dialog.count() else page.locator("body")
            exact = re.compile(rf"^\s*{re.escape(name)}", re.IGNORECASE)
            labelled = where.locator("[aria-label]:visible").and_(where.locator(f'[aria-label^="{name}"]'))
            control = where.locator("button:visible, summary:visible, a[download]:visible").filter(has_text=exact)
            await labelled.or_(control).first.click()

    return act


def after(first: Act, then: Act) -> Act:
    async def act(page: Page) -> None:
        await first(page)
        await then(page)

    return act


def typing(field: str) -> Act:
    async def act(page: Page) -> None:
        await page.locator(field).fill(TYPED)

    return act


async def delete_row(page: Page) -> None:
    await press("Actions for Done", "Delete")(page)
    await page.evaluate("dispatchEvent(new Event('pagehide'))")  # deletes now, not after ten seconds


async def edit(page: Page) -> None:
    await press("Edit the text at 0:00")(page)
    await page.keyboard.press("Control+A")
    await page.keyboard.type(TYPED)
    await page.keyboard.press("Enter")


async def in_line(page: Page) -> None:
    """Edit a line, and put the cursor into its middle."""
    await press("Edit the text at 0:00")(page)
    await page.keyboard.press("Home")
    for _ in range(4):
        await page.keyboard.press("ArrowRight")


async def replace_all(page: Page) -> None:
    await press("Find in transcript", "Replace…")(page)
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Find").fill("said")
    await dialog.get_by_label("Replace with").fill(TYPED)
    await dialog.get_by_role("button", name="Replace all").click()


async def choose_file(page: Page) -> None:
    await page.set_input_files("#files", FilePayload(name="sound.wav", mimeType="audio/wav", buffer=tone(1)))


async def save_take(page: Page) -> None:
    await page.get_by_label("Title", exact=True).fill(TYPED)
    await press("Start recording")(page)
    await seconds_recorded(page, 1)
    await press("Save")(page)


async def let_all_watch(page: Page) -> None:
    await press("Start captions")(page)
    await page.get_by_label("Anyone with the link can watch").click()


async def save_left_take(page: Page) -> None:
    await press("Start recording")(page)
    await seconds_recorded(page, 1)
    await page.goto("/")
    await page.locator("#open").get_by_role("button", name="Save").first.click()


KEPT = "The server cannot be reached. The recording is safe in this browser"
RENAMED, AGAIN, NAMED = "#rename [name=title]", "#again [name=prompt]", "#tokens [name=name]"
UNSAVED = (f"Not saved. {LOST}", f"Not saved. {FAILED}", f"Not saved. {FULL}")
UNCHANGED = "That did not work. Try again."
FORMATS = ("Plain text TXT", "Word document DOCX", "Markdown MD", "Subtitles SRT", "Subtitles for the web VTT")
ACTIONS = [
    Action("library", "Transcribe again", press("Actions for Done", "Transcribe again")),
    Action("library", "Transcribe", press("Actions for Canceled", "Transcribe")),
    Action("library", "Cancel", press("Actions for Waiting", "Cancel")),
    Action("library", "Retry", press("Retry")),
    Action("library", "Delete", delete_row),
    Action(
        "library",
        "Save",
        after(press("Actions for Done", "Rename…"), after(typing(RENAMED), press("Save"))),
        field=RENAMED,
    ),
    Action("library", "Choose files", choose_file, words=("Connection lost.", FAILED, FULL)),
    Action(
        "done",
        "Transcribe",
        after(press("More actions", "Transcribe again…"), after(typing(AGAIN), press("Transcribe"))),
        field=AGAIN,
    ),
    Action("done", "Delete", press("More actions", "Delete", "Delete")),
    Action(
        "done",
        "Save",
        after(press("More actions", "Rename…"), after(typing(RENAMED), press("Save"))),
        field=RENAMED,
    ),
    Action("done", "Edit the text at …", edit, field="#segment-0 > p", words=UNSAVED, leads="Sign in"),
    Action("done", "Edited. Bring the machine’s text back", press("Edited"), words=UNSAVED),
    Action("done", "Split here", after(in_line, press("Split here")), later=True),
    Action("done", "Join with next", after(in_line, press("Join with next")), later=True),
    Action("done", "Save the times", after(in_line, press("Times…", "Save")), later=True),
    Action("done", "Replace all", replace_all, field="#replace [name=replace]", later=True),
    *(Action("done", name, press("Download", name.rpartition(" ")[0])) for name in FORMATS),
    Action("done", "Everything, for programs JSON", press("Download", "Everything")),
    Action("done", "Make another link", press("Share", "Make another link"), later=True),
    Action("done", "Turn off the link that ends with …", press("Share", "Turn off"), later=True),
    Action("failed", "Retry", press("Retry")),
    Action("waiting", "Cancel", press("Cancel")),
    Action("canceled", "Transcribe", press("Transcribe")),
    Action("runs", "Restore", press("Restore"), back="two"),
    Action("looking", "Restore", press("Restore"), back="two"),
    Action("tokens", "Revoke", press("Revoke “laptop”", "Revoke")),
    Action("tokens", "Make the token", after(typing(NAMED), press("Make the token")), field=NAMED),
    Action("header", "简体中文", press("简体中文")),
    Action("header", "Light", press("You and how this looks", "Light")),
    Action("header", "Dark", press("You and how this looks", "Dark")),
    Action("header", "System", press("You and how this looks", "System")),
    Action("header", "Sign out", press("You and how this looks", "Sign out"), back="library"),
    Action("record", "Save", save_take, words=(KEPT, FAILED, FULL), leads="Sign in"),
    Action("left", "Save", save_left_take, words=(KEPT, FAILED, FULL)),
    Action("live", "Make the viewers’ link now", press("Make the viewers’ link now"), words=(UNCHANGED,) * 3),
    Action("live", "Anyone with the link can watch", let_all_watch, words=(UNCHANGED,) * 3),
    Action("live", "Close it to others", press("Close it to others")),
]
# Some stay on the page, which alone has the file, or the sound. Before “Replace all”, a look at the matches leads away;
# before a link is made, its panel does (see `test_share`).
STAYING = ("Choose files", "Replace all", "Make another link", "Turn off the link that ends with …")
LEADING = [action for action in ACTIONS if action.page not in ("left", "live") and action.control not in STAYING]


def name(action: Action) -> str:
    return f"{action.page}: {action.control}"


@pytest.fixture
def shelf(mei: User) -> dict[str, Recording]:
    made = {title: make_recording(mei, title) for title in ("Two", "Waiting", "Failed", "Canceled", "Done")}
    make_transcription(made["Two"], Status.DONE, "The earlier text.")
    make_transcription(made["Two"], Status.DONE, "The later text.")
    make_transcription(made["Waiting"], Status.QUEUED)
    make_transcription(made["Failed"], Status.FAILED, error_code="timed_out")
    make_transcription(made["Canceled"], Status.CANCELED)
    run = make_transcription(made["Done"], Status.DONE, "All is said.", "And more.")
    Segment.objects.filter(transcription=run, index=1).update(correction="And less.", version=1)
    make_token(mei, "laptop", scopes=["read"], days=None)
    make_link(made["Done"], audio=False, days=1)
    LiveSession.objects.create(owner=mei, recording=made["Done"], public=True, ended_at=timezone.now())
    return made


@sync_to_async
def address(shelf: dict[str, Recording], page: str) -> str:
    """The path of a page of the table."""
    two = shelf["Two"]
    earlier = two.transcriptions.earliest("pk").pk
    return {
        "library": "/",
        "header": f"/recordings/{shelf['Done'].pk}",
        "two": f"/recordings/{two.pk}",
        "runs": f"/recordings/{two.pk}/transcriptions",
        "looking": f"/recordings/{two.pk}?transcription={earlier}",
        "tokens": "/settings/tokens",
        "record": "/record",
        "left": "/record",
        "live": "/live",
    }.get(page) or f"/recordings/{shelf[page.capitalize()].pk}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hearing() -> AsyncIterator[Browser]:
    """A browser with a microphone, which beeps."""
    microphone = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS + microphone)
        watch(browser)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(server: Server, hearing: Browser, mei: User) -> AsyncIterator[BrowserContext]:
    context = await hearing.new_context(base_url=server.url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE)
    await context.add_cookies(await sync_to_async(session_cookies)(mei, server.url))
    yield context
    await context.close()


def be_ready(socket: WebSocketRoute) -> None:
    """Be the server of a live session, which is ready for sound and says nothing else."""
    ready = json.dumps({"type": "ready", "session": "s1", "next_seq": 0})
    socket.on_message(lambda said: socket.send(ready) if isinstance(said, str) else None)


async def open_page(page: Page, shelf: dict[str, Recording], name: str) -> None:
    if name == "live":
        await page.route_web_socket("**/ws/live", be_ready)
    await page.goto(await address(shelf, name))


@pytest.mark.parametrize("action", ACTIONS, ids=name)
async def test_an_action_that_fails_says_so_and_loses_no_text(
    page: Page, shelf: dict[str, Recording], faults: list[str], action: Action
) -> None:
    failure = 0  # number in `words`

    async def fail(route: Route) -> None:
        if route.request.method == "GET" and "/transcript?" not in route.request.url:
            await route.fallback()
        elif failure == 0:
            await route.abort("internetdisconnected")
        elif failure == 1:
            await route.fulfill(status=500, content_type="text/html", body="<h1>Internal error</h1>")
        elif "/api/" in route.request.url:
            await route.fulfill(status=507, json={"error": {"code": "disk_full", "message": FULL}})
        else:
            await route.fulfill(status=507, content_type="text/plain", body=FULL)

    await page.route("**/*", fail)
    page.on("dialog", lambda dialog: dialog.accept())  # the question whether to leave an edit, or a recording
    for words in action.words:
        await open_page(page, shelf, action.page)
        await action.act(page)
        told = page.locator(WORDS).filter(has_text=words)
        await expect(told.first).to_be_visible()
        if action.field:
            await kept(page, action.field)
            await page.keyboard.press("Escape")  # ends an edit, which would be saved when the page is left
        failure += 1
    faults.clear()


async def kept(page: Page, field: str) -> None:
    """Wait until a field, or an edited paragraph, has what was typed."""
    place = page.locator(field)
    if await place.evaluate("field => 'value' in field"):
        await expect(place).to_have_value(TYPED)
    else:
        await expect(place).to_have_text(TYPED)


# Keeps a page from loading its pieces, which would lead to the sign-in before the action does, and take the place of
# controls. Playwright's routes cannot do that: with them, Chromium follows no redirect of a request with `keepalive`.
HOLD_PIECES = """addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.requestConfig.verb === "get") event.preventDefault();
});"""


async def open_and_end_session(page: Page, shelf: dict[str, Recording], which: str) -> None:
    """Open a page, and end the session of its person at the server. The page does not know yet."""
    await page.add_init_script(f"if (!location.pathname.startsWith('/accounts')) {HOLD_PIECES}")
    await page.route_web_socket("/ws/recordings", lambda _: None)
    await open_page(page, shelf, which)
    await Session.objects.all().adelete()


async def sign_in(page: Page) -> None:
    await page.locator("[name=username]").fill("mei")
    await page.locator("[name=password]").fill("correct horse")
    await page.locator("main form button").click()


@pytest.mark.parametrize("action", LEADING, ids=name)
async def test_where_the_session_has_ended_an_action_leads_to_the_sign_in_and_back(
    page: Page, shelf: dict[str, Recording], faults: list[str], action: Action
) -> None:
    await open_and_end_session(page, shelf, action.page)
    await action.act(page)
    if action.leads:
        await page.locator("main").get_by_text(action.leads, exact=True).click()
    await expect(page.get_by_role("heading", name=re.compile("Sign in|登录"))).to_be_visible()
    await sign_in(page)
    await page.wait_for_url(await address(shelf, action.back or action.page))
    if action.field and not action.field.startswith("#segment"):
        await kept(page, action.field)
    elif action.field:
        await expect(page.locator("#saved")).to_contain_text("Saved")
        await kept(page, action.field)
    if action.page == "record":
        await expect(page.locator("#open li")).to_contain_text(TYPED)
    assert await Recording.objects.acount() == len(shelf)
    faults.clear()


async def test_a_replacement_is_there_again_after_the_sign_in(
    page: Page, shelf: dict[str, Recording], faults: list[str]
) -> None:
    await open_and_end_session(page, shelf, "done")
    await press("Find in transcript", "Replace…")(page)
    await page.get_by_label("Replace with").fill(TYPED)
    await page.get_by_role("dialog").get_by_label("Find").fill("said")
    await sign_in(page)
    await expect(page.get_by_label("Replace with")).to_have_value(TYPED)
    await expect(page.locator("#replace .problem")).to_contain_text("What you typed was kept")
    faults.clear()


async def test_an_upload_without_a_session_keeps_the_file_until_the_person_is_signed_in(
    page: Page, shelf: dict[str, Recording], faults: list[str], settings: LazySettings, tmp_path: Path
) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "incoming"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()
    await open_and_end_session(page, shelf, "library")
    await choose_file(page)
    row = page.locator("#uploads li")
    await expect(row.locator(".note")).to_have_text("You are signed out. Sign in, then try again.")
    async with page.expect_popup() as opening:
        await row.get_by_role("link", name="Sign in").click()
    other = await opening.value
    await sign_in(other)
    await other.get_by_role("heading", name="Library").wait_for()
    await row.get_by_role("button", name="Retry").click()
    await expect(row).to_have_count(0)
    assert await Recording.objects.acount() == len(shelf) + 1
    faults.clear()


async def test_a_correction_is_saved_by_itself_when_the_network_is_back(
    page: Page, context: BrowserContext, shelf: dict[str, Recording], faults: list[str]
) -> None:
    await open_page(page, shelf, "done")
    await context.set_offline(True)
    await edit(page)
    await expect(page.locator(".unsaved > p")).to_have_text(UNSAVED[0])
    await context.set_offline(False)
    await expect(page.locator("#saved")).to_contain_text("Saved")
    assert await Segment.objects.filter(correction=TYPED).acount() == 1
    faults.clear()


async def test_sound_that_does_not_come_is_told_and_tried_again(
    page: Page, shelf: dict[str, Recording], faults: list[str]
) -> None:
    away = True

    async def sometimes(route: Route) -> None:
        await (route.abort("internetdisconnected") if away else route.fallback())

    await page.route("**/audio", sometimes)
    await open_page(page, shelf, "done")
    told = page.locator("#unheard")
    await expect(told).to_contain_text(LOST)
    await expect(told).to_be_visible()
    await expect(page.locator("#unplayable")).to_be_hidden()
    away = False
    await told.get_by_role("button", name="Try again").click()
    await page.wait_for_function("() => document.getElementById('audio').readyState > 0")
    await expect(told).to_be_hidden()
    faults.clear()


async def test_a_text_that_has_no_place_after_the_sign_in_is_shown_all_the_same(
    page: Page, shelf: dict[str, Recording], faults: list[str]
) -> None:
    await open_and_end_session(page, shelf, "done")
    await edit(page)
    await page.locator("main").get_by_text("Sign in", exact=True).click()
    await sync_to_async(make_transcription)(shelf["Done"], Status.DONE, "Another text.")
    await sign_in(page)
    await expect(page.locator(".unsaved blockquote")).to_have_text(TYPED)
    await expect(page.locator(".segment > p")).to_have_text("Another text.")
    faults.clear()


async def test_a_sign_in_that_fails_keeps_the_name(page: Page, mei: User, faults: list[str]) -> None:
    await page.context.clear_cookies()
    await page.goto("/accounts/login")
    person = page.locator("[name=username]")
    for words, status in ((LOST, 0), (FAILED, 500), ("Please enter a correct username and password.", 200)):
        await page.unroute("**/accounts/login")
        if not status:
            await page.route("**/accounts/login", lambda route: route.abort("internetdisconnected"))
        elif status == 500:
            await page.route("**/accounts/login", lambda route: route.fulfill(status=500, content_type="text/html"))
        await person.fill("mei")
        await page.locator("[name=password]").fill("wrong")
        await page.locator("main form button").click()
        await expect(page.locator("#toast span:visible, [role=alert]").filter(has_text=words)).to_be_visible()
        await expect(person).to_have_value("mei")
    faults.clear()


# Presses every control of a page, and returns the labels of those that send a request which changes something, or which
# fetches a text to download. No request is sent. Times in a label become “…”.
SWEEP = """async () => {
    const sent = new Set();
    let pressed = "";
    const counts = (method, url) => method.toUpperCase() !== "GET" || url.includes("/transcript?");
    const { fetch } = window, { open, send } = XMLHttpRequest.prototype;
    window.fetch = (url, options = {}) => {
        if (!counts(options.method ?? "GET", String(url))) return fetch(url, options);
        sent.add(pressed);
        return Promise.reject(new TypeError("Nothing is sent."));
    };
    XMLHttpRequest.prototype.open = function (method, url, ...more) {
        this.held = counts(method, String(url));
        if (this.held) sent.add(pressed);
        return open.call(this, method, url, ...more);
    };
    XMLHttpRequest.prototype.send = function (...what) { if (!this.held) send.apply(this, what); };
    addEventListener("submit", (event) => {
        if (event.defaultPrevented || event.target.method !== "post") return;
        sent.add(pressed);
        event.preventDefault();
    });
    addEventListener("click", (event) => { if (event.target.closest("a")) event.preventDefault(); });
    const label = (one) => (one.ariaLabel || one.closest("label")?.textContent || one.textContent)
        .trim().replace(/\\s+/g, " ").replace(/\\d+:\\d\\d/, "…");
    const tick = () => new Promise((resolve) => { setTimeout(resolve, 20); });
    const controls = document.querySelectorAll("button, summary, input, select, a[download]");
    for (const one of controls) {
        const dialog = one.closest("dialog");
        for (const open of document.querySelectorAll("dialog[open]")) if (open !== dialog) open.close();
        if (dialog && !dialog.open) dialog.showModal();
        for (const field of document.querySelectorAll("input[required]")) field.value ||= "x";
        pressed = (one.closest("header") ? "header: " : "") + label(one);
        if (one.type === "file") {
            const files = new DataTransfer();
            files.items.add(new File(["x"], "x.wav", { type: "audio/wav" }));
            one.files = files.files;
        }
        if (one.matches("select, [type=file]")) one.dispatchEvent(new Event("change", { bubbles: true }));
        else one.click();
        await tick();
        const typed = document.activeElement;
        if (typed.isContentEditable) typed.textContent += " x";
        window.dispatchEvent(new Event("pagehide")); // saves an edit, and ends the toast with its time to undo
        await tick();
        typed.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true, cancelable: true }));
        await tick();
    }
    return [...sent].sort();
}"""


@pytest.mark.parametrize("where", ["library", "done", "failed", "waiting", "canceled", "runs", "looking", "tokens"])
async def test_every_control_that_sends_a_request_is_in_the_table(
    page: Page, shelf: dict[str, Recording], faults: list[str], where: str
) -> None:
    await page.add_init_script(HOLD_PIECES)
    await page.route_web_socket("/ws/recordings", lambda _: None)
    await open_page(page, shelf, where)
    table = {f"header: {action.control}" for action in ACTIONS if action.page == "header"}
    table |= {action.control for action in ACTIONS if action.page == where}
    if where in ("failed", "waiting", "canceled", "looking"):
        table |= {action.control for action in ACTIONS if action.page == "done"}  # menus and dialogs are the same
    found = set(await page.evaluate(SWEEP))
    assert found - table == set()
    if where in ("library", "done"):  # the table names no control that is gone
        assert table - found == {action.control for action in ACTIONS if action.later and action.page == where}
    faults.clear()


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
