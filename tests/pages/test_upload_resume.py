"""An upload in the page goes on where it stopped, and says so."""

import hashlib
import os
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.contrib.auth.models import User
from playwright.async_api import FilePayload, Page, Route, expect

from recordings.models import Recording, Upload
from tests.support.audio_files import tone
from tests.support.browser import PATIENCE

LOST = "Connection lost. We’ll continue where it stopped."
PIECE = 8 * 1024**2
# Notes what the row shows at each change. A test that asks from outside would be too slow to see them all.
WATCH = """() => {
    window.shown = [];
    window.notes = [];
    new MutationObserver(() => {
        const bar = document.querySelector("#uploads progress");
        const note = document.querySelector("#uploads .note");
        if (bar?.hasAttribute("value")) window.shown.push(bar.value);
        if (note && note.textContent !== window.notes.at(-1)) window.notes.push(note.textContent);
    }).observe(document.getElementById("uploads"), { subtree: true, childList: true, attributes: true });
}"""


@pytest.fixture(autouse=True)
def _incoming(tmp_path: Path, settings: LazySettings) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "incoming"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of two pieces: 9 MiB, silence but for its start."""
    path = tmp_path_factory.mktemp("long") / "会议.wav"
    header = bytearray(tone(1))
    size = 9 * 1024**2
    header[4:8] = (size - 8).to_bytes(4, "little")
    header[40:44] = (size - 44).to_bytes(4, "little")
    path.write_bytes(bytes(header).ljust(size, b"\0"))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_a_broken_upload_goes_on_without_sending_a_piece_twice(
    page: Page, mei: User, faults: list[str], long: Path
) -> None:
    confirmed: list[str] = []
    attempts = 0

    async def sometimes(route: Route) -> None:
        """The connection is cut three times, once after the server had taken the piece already."""
        nonlocal attempts
        attempts += route.request.method == "PATCH"
        if route.request.method != "PATCH":
            await route.continue_()
        elif attempts in (1, 3):
            await route.abort("connectionreset")
        else:
            response = await route.fetch()
            confirmed.append(route.request.headers["upload-offset"])
            await (route.abort("connectionreset") if attempts == 2 else route.fulfill(response=response))

    await page.route("**/api/uploads/*", sometimes)
    await page.goto("/")
    await page.evaluate(WATCH)
    await page.set_input_files("#files", long)
    await expect(page.locator("#rows h2")).to_have_text("会议", timeout=PATIENCE)
    await expect(page.locator("#uploads li")).to_have_count(0)
    recording = await Recording.objects.aget()
    assert recording.sha256 == digest(long)
    assert confirmed == ["0", str(PIECE)]
    shown = await page.evaluate("window.shown")
    assert shown == sorted(shown)
    assert LOST in await page.evaluate("window.notes")
    assert len(faults) >= 3
    faults.clear()


async def test_a_file_chosen_again_after_the_page_was_left_goes_on(
    page: Page, mei: User, faults: list[str], long: Path
) -> None:
    sent: list[str] = []

    async def first_piece_only(route: Route) -> None:
        if route.request.headers.get("upload-offset") in (None, "0"):
            await route.continue_()
        else:
            await route.abort("connectionreset")

    await page.route("**/api/uploads/*", first_piece_only)
    await page.goto("/")
    await page.set_input_files("#files", long)
    await expect(page.locator("#uploads .note")).to_have_text(LOST)
    page.on("dialog", lambda dialog: dialog.accept())  # leaving the page is asked about
    await page.goto("/record")
    await page.unroute("**/api/uploads/*")  # not earlier: the page that is left might have sent the rest
    await page.goto("/")
    page.on("request", lambda asked: sent.append(asked.headers.get("upload-offset", asked.method)))
    await page.set_input_files("#files", long)
    await expect(page.locator("#rows h2")).to_have_text("会议", timeout=PATIENCE)
    assert [step for step in sent if step == "POST" or step.isdigit()] == [str(PIECE)]
    assert await Upload.objects.acount() == 1
    faults.clear()


async def test_a_removed_upload_leaves_nothing_on_the_server(
    page: Page, mei: User, long: Path, settings: LazySettings
) -> None:
    async def slow(route: Route) -> None:
        if route.request.headers.get("upload-offset") in (None, "0"):
            await route.continue_()  # requests of later pieces never end

    await page.route("**/api/uploads/*", slow)
    await page.goto("/")
    await page.set_input_files("#files", long)
    await expect(page.locator("#uploads .note")).to_contain_text("%")
    async with page.expect_request("**/api/uploads/*"):
        pass
    async with page.expect_response(lambda answer: answer.request.method == "DELETE") as deleted:
        await page.get_by_role("button", name="Remove").click()
    assert (await deleted.value).status == 204
    await expect(page.locator("#uploads li")).to_have_count(0)
    assert not await sync_to_async(Upload.objects.exists)()
    assert os.listdir(settings.FILE_UPLOAD_TEMP_DIR) == []


async def test_documents_are_refused_before_a_byte_is_sent(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    await page.goto("/")
    letter: FilePayload = {"name": "letter.pdf", "mimeType": "application/pdf", "buffer": b"%PDF"}
    await page.set_input_files("#files", [letter])
    await expect(page.locator("#uploads .note")).to_have_text("This isn’t audio or video we can read.")
    assert sent == []
