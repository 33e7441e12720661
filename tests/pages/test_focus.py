"""The focus of a person who uses the keyboard: after an action it is on a control nearby, and never on the body."""

from collections.abc import Sequence

import pytest
from django.contrib.auth.models import User
from playwright.async_api import Locator, Page, expect

from recordings.models import Recording, Segment
from tests.support.rows import Status, make_recording, make_transcription

CONTROLS = "a, button, summary, input"


@pytest.fixture
def shelf(mei: User) -> dict[str, Recording]:
    made = {title: make_recording(mei, title) for title in ("Waiting", "Failed", "Canceled", "Done")}
    make_transcription(made["Waiting"], Status.QUEUED)
    make_transcription(made["Failed"], Status.FAILED, error_code="timed_out")
    make_transcription(made["Canceled"], Status.CANCELED)
    run = make_transcription(made["Done"], Status.DONE, "All is said.", "And more.")
    Segment.objects.filter(transcription=run, index=1).update(correction="And less.", version=1)
    return made


def control(page: Page, name: str) -> Locator:
    """The first control with this label or text: in the dialog, in a recording's row (`Title: …`), or in the page."""
    where: Page | Locator = page
    if ": " in name:
        title, name = name.split(": ")
        where = page.locator(f".row:has(h2 a:text-is('{title}'))")
    elif name.startswith("dialog "):
        where, name = page.locator("dialog[open]"), name.removeprefix("dialog ")
    labelled = where.locator(f'[aria-label^="{name}"]:visible')
    return labelled.or_(where.locator(CONTROLS).filter(has_text=name, visible=True)).first


@pytest.mark.parametrize(
    ("title", "pressed", "gone", "focused"),
    [
        ("Waiting", ["Cancel"], "#standing .status.queued", "Transcribe"),
        ("Canceled", ["Transcribe"], "#standing .status.canceled", "Cancel"),
        ("Failed", ["Retry"], "#standing .status.failed", "Cancel"),
        ("Done", ["Download", "Plain text"], "details[open]", "Download"),
        ("Done", ["More actions", "Rename…", "dialog Cancel"], "dialog[open]", "More actions"),
        ("Done", ["More actions", "Rename…", "dialog Save"], "dialog[open]", "More actions"),
        ("Done", ["More actions", "Transcribe again…", "dialog Cancel"], "dialog[open]", "More actions"),
        (
            "Done",
            ["More actions", "Transcribe again…", "dialog Transcribe"],
            ".state[data-status=done]",
            "More actions",
        ),
        ("Done", ["More actions", "Delete", "dialog Keep it"], "dialog[open]", "More actions"),
        ("Done", ["Share", "dialog Close"], "dialog[open]", "Share"),
        ("Done", ["Keyboard", "dialog Close"], "dialog[open]", "Keyboard"),
        ("Done", ["Find in transcript", "End the search"], "#finding:not([hidden])", "Find in transcript"),
        ("Done", ["Find in transcript", "Replace…", "dialog Cancel"], "dialog[open]", "Replace…"),
        ("Done", ["Edited", "Undo"], "#toast:not([hidden])", "Play from 0:20"),
        ("Done", ["Edited", "The toast ends"], "#toast:not([hidden])", "Play from 0:20"),
        ("Done", ["Search everything", "dialog Close"], "dialog[open]", "Search everything"),
        ("", ["Search everything", "dialog Close"], "dialog[open]", "Search everything"),
        ("", ["Waiting: Actions", "Waiting: Cancel"], ".status.queued", "Waiting: Actions"),
        ("", ["Done: Actions", "Done: Transcribe again"], ".state[data-status=done]", "Done: Actions"),
        ("", ["Canceled: Actions", "Canceled: Transcribe"], ".status.canceled", "Canceled: Actions"),
        ("", ["Failed: Retry"], ".status.failed", "Failed: Failed"),
        ("", ["Done: Actions", "Done: Rename…", "dialog Cancel"], "dialog[open]", "Done: Actions"),
        ("", ["Done: Actions", "Done: Delete", "Undo"], "#toast:not([hidden])", "Done: Done"),
        ("", ["Done: Actions", "Done: Delete", "The toast ends"], "#toast:not([hidden])", "Canceled: Canceled"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
async def test_the_focus_stays_near_what_was_pressed(
    page: Page, shelf: dict[str, Recording], title: str, pressed: Sequence[str], gone: str, focused: str
) -> None:
    await page.goto(f"/recordings/{shelf[title].pk}" if title else "/")
    await page.locator("html:not([data-offline])").wait_for()
    for name in pressed:
        if name == "The toast ends":
            await expect(page.get_by_role("button", name="Undo")).to_be_focused()
            await page.evaluate("dispatchEvent(new Event('pagehide'))")  # the other end takes ten seconds
        else:
            await control(page, name).press("Enter")
    await expect(page.locator(gone)).to_have_count(0)
    await expect(control(page, focused)).to_be_focused()


async def test_the_title_is_selected_for_another_one_to_be_typed(page: Page, shelf: dict[str, Recording]) -> None:
    await page.goto(f"/recordings/{shelf['Done'].pk}")
    await control(page, "More actions").press("Enter")
    await control(page, "Rename…").press("Enter")
    await page.keyboard.type("Standup")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("Standup")
