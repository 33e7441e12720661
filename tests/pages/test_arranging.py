"""Splitting, joining and re-timing lines, and replacing in all of them, on the page: by keys, by mouse, and undone."""

from collections.abc import Awaitable, Callable

import pytest
from django.contrib.auth.models import User
from playwright.async_api import Locator, Page, Route, expect

from recordings.models import Recording, Segment
from tests.support.page_server import Server
from tests.support.rows import Status, make_recording, make_transcription

FIRST, SECOND = "So the root cause was nesting. We wrapped it.", "Nobody counted the wrapping."
Act = Callable[[Page], Awaitable[None]]


@pytest.fixture
def standup(mei: User) -> Recording:
    recording = make_recording(mei, "Standup")
    make_transcription(recording, Status.DONE, FIRST, SECOND, "对，再测。", detected_language="en")
    return recording


def texts(page: Page) -> Locator:
    return page.locator(".segment > p")


async def edit(page: Page, number: int, cursor: int) -> None:
    """Edit a line by its pencil, and put the cursor behind so many of its characters, by keys."""
    await page.locator(".segment").nth(number).hover()
    await page.locator(f"#edit-{number}").click()
    await page.keyboard.press("Control+Home")
    for _ in range(cursor):
        await page.keyboard.press("ArrowRight")


async def press(page: Page, name: str) -> None:
    """Press a button of the line that is edited, by the mouse."""
    box = await page.get_by_role("toolbar").get_by_role("button", name=name).bounding_box()
    assert box
    await page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


async def split_by_key(page: Page) -> None:
    await edit(page, 0, len("So the root cause was nesting."))
    await page.keyboard.press("Alt+Enter")


async def split_by_mouse(page: Page) -> None:
    await edit(page, 0, len("So the root cause was nesting."))
    await press(page, "Split here")


async def join_by_backspace(page: Page) -> None:
    await edit(page, 1, 0)
    await page.keyboard.press("Backspace")


async def join_by_delete(page: Page) -> None:
    await edit(page, 0, len(FIRST))
    await page.keyboard.press("Delete")


async def join_by_mouse(page: Page) -> None:
    await edit(page, 0, 3)
    await press(page, "Join with next")


async def retime(page: Page) -> None:
    await edit(page, 0, 3)
    await press(page, "Times…")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Begins at")).to_have_value("0:00.00")
    await dialog.get_by_label("Ends at").fill("0:18.5")
    await dialog.get_by_label("Ends at").press("Enter")


async def replace(page: Page) -> None:
    await page.keyboard.press("h")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Find").fill("wrap")
    await expect(dialog.get_by_role("status")).to_have_text("Matches: 2 · lines: 2")
    await dialog.get_by_label("Replace with").fill("pack")
    await expect(dialog.locator("li").first).to_have_text("0:00 So the root cause was nesting. We wrappackped it.")
    await dialog.get_by_role("button", name="Replace all").click()


SPLIT = ["So the root cause was nesting.", "We wrapped it.", SECOND, "对，再测。"]
JOINED = [f"{FIRST} {SECOND}", "对，再测。"]
CHANGES: dict[str, tuple[Act, str, list[str]]] = {
    "split by key": (split_by_key, "The line is split.", SPLIT),
    "split by mouse": (split_by_mouse, "The line is split.", SPLIT),
    "join by backspace": (join_by_backspace, "The lines are joined.", JOINED),
    "join by delete": (join_by_delete, "The lines are joined.", JOINED),
    "join by mouse": (join_by_mouse, "The lines are joined.", JOINED),
    "times": (retime, "The times are changed.", [FIRST, SECOND, "对，再测。"]),
    "replace": (replace, "2 replaced.", [FIRST.replace("wrap", "pack"), SECOND.replace("wrap", "pack"), "对，再测。"]),
}


async def stored() -> list[dict[str, object]]:
    return [dict(row) async for row in Segment.objects.values("index", "start", "end", "text", "correction", "words")]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_of_lines_is_shown_and_kept(page: Page, standup: Recording, change: str) -> None:
    act, told, after = CHANGES[change]
    before = await stored()
    await page.goto(f"/recordings/{standup.pk}")
    await act(page)
    await expect(page.locator("#toast")).to_contain_text(told)
    await expect(texts(page)).to_have_text(after)
    assert await stored() != before
    await page.reload()
    await expect(texts(page)).to_have_text(after)


@pytest.mark.parametrize("change", ["split by key", "join by backspace", "times", "replace"])
async def test_undo_brings_the_lines_back(page: Page, standup: Recording, change: str) -> None:
    act, told, after = CHANGES[change]
    before = await stored()
    await page.goto(f"/recordings/{standup.pk}")
    await act(page)
    await expect(page.locator("#toast")).to_contain_text(told)
    await expect(texts(page)).to_have_text(after)
    await expect(page.get_by_role("button", name="Undo")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#toast")).to_contain_text("Undone.")
    await expect(texts(page)).to_have_text([FIRST, SECOND, "对，再测。"])
    assert await stored() == before


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_that_fails_says_so_and_keeps_what_was_typed(
    page: Page, standup: Recording, faults: list[str], change: str
) -> None:
    before = await stored()

    async def fail(route: Route) -> None:
        if route.request.method == "GET":
            await route.fallback()
        else:
            await route.fulfill(status=500, json={"error": {"message": "Broken."}})

    await page.route("**/api/**", fail)
    await page.goto(f"/recordings/{standup.pk}")
    await CHANGES[change][0](page)
    told = page.locator("#toast:not([hidden]) span, dialog[open] .problem:not([hidden])")
    await expect(told).to_have_text("Broken.")
    await expect(texts(page)).to_have_text([FIRST, SECOND, "对，再测。"])
    assert await stored() == before
    faults.clear()


async def test_what_is_typed_goes_into_both_parts_of_a_split(page: Page, standup: Recording) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    await edit(page, 0, len("So the root cause was nesting."))
    await page.keyboard.type(" Yes!")
    await page.keyboard.press("Alt+Enter")
    await expect(texts(page)).to_have_text(
        ["So the root cause was nesting. Yes!", "We wrapped it.", SECOND, "对，再测。"]
    )
    rows = [row async for row in Segment.objects.values_list("text", "correction")]
    assert rows[:2] == [
        ("So the root cause was nesting.", "So the root cause was nesting. Yes!"),
        ("We wrapped it.", None),
    ]


async def test_a_line_that_somebody_else_changed_is_not_split(
    page: Page, standup: Recording, faults: list[str]
) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    await edit(page, 0, 6)
    await Segment.objects.filter(index=0).aupdate(correction="Theirs.", version=1)
    await page.keyboard.press("Alt+Enter")
    await expect(page.locator("#toast")).to_contain_text("This line was changed elsewhere.")
    await expect(texts(page).first).to_have_text(FIRST)
    await expect(page.locator(".editing")).to_have_count(1)
    faults.clear()


async def test_times_are_taken_from_the_player_and_refused_where_others_stand(
    page: Page, standup: Recording, faults: list[str]
) -> None:
    await page.goto(f"/recordings/{standup.pk}#t=25")
    await expect(page.locator(".segment.current")).to_contain_text(SECOND)
    await page.keyboard.press("t")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Begins at")).to_have_value("0:20.00")
    await dialog.get_by_role("button", name="Begin where the player is").click()
    await expect(dialog.get_by_label("Begins at")).to_have_value("0:25.00")
    await dialog.get_by_label("Begins at").fill("0:10")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_have_text(
        "The times must lie between 19.00 s and 40.00 s, where the lines before and after stand."
    )
    await dialog.get_by_label("Begins at").fill("0:19.5")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.locator("#segment-1 .stamp")).to_have_text("0:19")
    segment = await Segment.objects.aget(index=1)
    assert (segment.start, segment.end) == (19.5, 39)
    faults.clear()


async def test_the_buttons_of_a_line_are_reached_by_keys(page: Page, standup: Recording) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    await edit(page, 0, len("So the root cause was nesting."))
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Play from here")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(texts(page)).to_have_text(SPLIT)


async def test_a_change_of_a_line_in_a_page_beside_comes_too(page: Page, standup: Recording) -> None:
    other = await page.context.new_page()
    await other.goto(f"/recordings/{standup.pk}")
    await page.goto(f"/recordings/{standup.pk}")
    await split_by_key(page)
    await expect(texts(other)).to_have_text(SPLIT)
    await page.get_by_role("button", name="Undo").click()
    await expect(texts(other)).to_have_text([FIRST, SECOND, "对，再测。"])


@pytest.mark.parametrize("typed", ["so the  root", "SO THE"])
async def test_the_dialog_takes_over_what_was_found(page: Page, standup: Recording, typed: str) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    await page.keyboard.press("f")
    await page.keyboard.type(typed)
    await page.get_by_role("button", name="Replace…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Find")).to_have_value(typed)
    await expect(dialog.get_by_role("status")).to_have_text("Matches: 1 · lines: 1")
    await dialog.get_by_label("Match case").check()
    await expect(dialog.get_by_role("status")).to_have_text("Not found")
    await expect(dialog.get_by_role("button", name="Replace all")).to_be_disabled()


@pytest.mark.parametrize("language", ["en", "zh-hans"])
async def test_a_narrow_screen_holds_the_buttons_and_the_dialogs(
    page: Page, standup: Recording, server: Server, language: str
) -> None:
    await page.context.add_cookies([{"name": "django_language", "value": language, "url": server.url}])
    for width in (320, 390, 1280):
        await page.set_viewport_size({"width": width, "height": 800})
        await page.goto(f"/recordings/{standup.pk}")
        await edit(page, 0, 3)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for key in ("h", "t"):
            await page.keyboard.press("Escape")
            await expect(page.locator(".editing, dialog[open]")).to_have_count(0)
            await page.keyboard.press(key)
            await page.locator("dialog[open]").wait_for()
            assert await page.evaluate("document.querySelector('dialog[open]').scrollWidth <= innerWidth")
        await page.keyboard.press("Escape")
