"""Correcting the text on its page: a correction is saved by itself, and never lost."""

import random
import re

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from playwright.async_api import BrowserContext, Locator, Page, Request, Route, expect

from recordings.events import recording_changed
from recordings.library.organising import adelete_recording
from recordings.models import Recording, Segment, Transcription
from tests.support.page_server import Server
from tests.support.rows import Status, add_segment, make_recording, make_transcription
from tests.support.waiting import until_it_is

HEARD = "So the root cause was nesting. We wrapped the wrapper."
SECOND = "对，把并发设成一再测。"
SAVED = re.compile(r"^Saved \d+:\d\d")
AGAIN = "This line was changed elsewhere. Keep yours or take theirs?"


@pytest.fixture
def standup(mei: User) -> Recording:
    recording = make_recording(mei, "Standup")
    make_transcription(recording, Status.DONE, HEARD, SECOND, detected_language="en")
    return recording


def line(page: Page, number: int = 0) -> Locator:
    return page.locator(".segment > p").nth(number)


async def edit(page: Page, number: int = 0) -> Locator:
    """Begin to edit a line by a double click. The cursor is then at the place of the click."""
    await line(page, number).dblclick(position={"x": 30, "y": 15})
    await expect(page.locator(".editing")).to_have_count(1)
    return line(page, number)


async def hear_of_a_change(page: Page, server: Server, recording: Recording) -> None:
    """Tell the page that the recording changed, and wait longer than it takes to ask for the text (see events.js)."""
    await server.do(sync_to_async(recording_changed)(recording.pk, recording.owner_id))
    await page.wait_for_timeout(300)


async def stored(index: int = 0) -> Segment:
    return await Segment.objects.aget(index=index)


async def test_enter_saves_and_the_machines_text_can_be_had_back(page: Page, standup: Recording) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    text = await edit(page)
    assert await page.evaluate("getSelection().anchorOffset") < len("So the root")  # where the click was
    await page.keyboard.press("End")
    await page.keyboard.type(" Nobody counted.")
    await page.keyboard.press("Enter")
    await expect(page.locator("#saved")).to_have_text(SAVED)
    await expect(page.locator(".editing")).to_have_count(0)
    segment = await stored()
    assert (segment.text, segment.correction) == (HEARD, f"{HEARD} Nobody counted.")

    await page.reload()
    await expect(text).to_have_text(f"{HEARD} Nobody counted.")
    await page.get_by_role("button", name="Edited. Bring the machine’s text back").click()
    await expect(text).to_have_text(HEARD)
    await expect(text.locator(".line")).to_have_count(2)  # with the times of its sentences
    await page.get_by_role("button", name="Undo").click()
    await expect(text).to_have_text(f"{HEARD} Nobody counted.")
    assert (await stored()).correction == f"{HEARD} Nobody counted."


async def test_what_is_typed_is_saved_by_itself_and_escape_brings_back_how_it_was(
    page: Page, standup: Recording
) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    text = await edit(page)
    await text.fill("So far.")
    await expect(page.locator("#saved")).to_have_text(SAVED)
    assert (await stored()).correction == "So far."
    await expect(page.locator(".editing")).to_have_count(1)  # editing goes on
    await page.keyboard.press("Escape")
    await expect(page.locator(".editing")).to_have_count(0)
    await expect(text).to_have_text(HEARD)
    await expect(page.get_by_role("button", name="Edited")).to_have_count(0)
    assert (await stored()).correction is None


async def test_looking_into_a_line_changes_nothing(page: Page, standup: Recording) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "PATCH" else None)
    await page.goto(f"/recordings/{standup.pk}")
    await edit(page)
    await page.keyboard.press("Enter")
    await expect(page.locator(".editing")).to_have_count(0)
    await expect(line(page).locator(".line")).to_have_count(2)
    assert sent == []


async def test_leaving_the_line_saves_it_and_a_break_stays_a_break(page: Page, standup: Recording) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    await (await edit(page)).fill("")
    await page.keyboard.type("One.")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("Two.")
    await page.locator("h1").click()
    await expect(page.locator(".editing")).to_have_count(0)
    await expect(page.locator("#saved")).to_have_text(SAVED)
    assert (await stored()).correction == "One.\nTwo."
    await page.reload()
    assert await line(page).inner_text() == "One.\nTwo."


async def test_one_line_after_the_other_without_the_mouse(page: Page, standup: Recording) -> None:
    await page.goto(f"/recordings/{standup.pk}#t=21")
    await expect(page.locator(".segment.current")).to_contain_text(SECOND)
    await page.keyboard.press("e")
    await expect(page.get_by_role("textbox", name="Text of this part")).to_be_focused()
    await page.keyboard.type("jl[]ef? ")  # no key is a shortcut here
    await page.keyboard.press("Enter")
    await expect(page.locator(".editing")).to_have_count(0)
    await expect(line(page, 1)).to_have_text(f"{SECOND}jl[]ef?")
    await expect(page.locator("#edit-1")).to_be_focused()
    await page.locator("#edit-0").press("Enter")
    await expect(line(page, 0)).to_be_focused()
    assert await page.evaluate("document.querySelector('dialog[open]')") is None


async def test_an_unfinished_word_of_an_input_method_is_not_ended_by_enter(page: Page, standup: Recording) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    text = await edit(page, 1)
    await text.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    await text.dispatch_event("keydown", {"key": "Escape", "isComposing": True})
    await expect(page.locator(".editing")).to_have_count(1)


async def test_what_cannot_be_saved_stays_in_the_line_until_it_is(
    page: Page, standup: Recording, faults: list[str]
) -> None:
    broken = True

    async def sometimes(route: Route) -> None:
        await (route.fulfill(status=500, json={"error": {"message": "Broken."}}) if broken else route.continue_())

    await page.route("**/segments/*", sometimes)
    await page.goto(f"/recordings/{standup.pk}")
    text = await edit(page)
    await text.fill("Mine.")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("Not saved. Broken.")
    await page.locator("h1").click()
    await expect(text).to_have_text("Mine.")
    await expect(page.locator(".editing")).to_have_count(1)
    broken = False
    await page.get_by_role("button", name="Retry").click()
    await expect(page.locator("#saved")).to_have_text(SAVED)
    await expect(page.locator(".editing")).to_have_count(0)
    assert (await stored()).correction == "Mine."
    faults.clear()


@pytest.mark.parametrize(("choice", "kept"), [("Keep mine", "Mine."), ("Take theirs", "Theirs.")])
async def test_two_pages_that_change_one_line_are_asked_whose_counts(
    page: Page, context: BrowserContext, standup: Recording, faults: list[str], choice: str, kept: str
) -> None:
    other = await context.new_page()
    for one in (page, other):
        await one.goto(f"/recordings/{standup.pk}")
        await edit(one)
    await line(other).fill("Theirs.")
    await other.keyboard.press("Enter")
    await expect(other.locator("#saved")).to_have_text(SAVED)

    await line(page).fill("Mine.")
    question = page.get_by_role("alert")
    await expect(question).to_contain_text(AGAIN)
    await expect(question.locator("blockquote")).to_have_text("Theirs.")
    await page.keyboard.type(" More.")
    await line(page).fill("Mine.")
    assert (await stored()).correction == "Theirs."
    await page.get_by_role("button", name=choice).click()
    await expect(page.locator(".editing")).to_have_count(0)
    for one in (page, other):
        await expect(line(one)).to_have_text(kept)
    assert (await stored()).correction == kept
    assert len(faults) == 1  # Chromium notes the 409
    faults.clear()


async def test_a_change_elsewhere_comes_into_the_page_and_leaves_the_line_under_the_cursor(
    page: Page, standup: Recording, server: Server
) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    await edit(page)
    await line(page).press("End")
    await page.keyboard.type(" Mi")
    await Segment.objects.filter(index=1).aupdate(correction="Anders.", version=1)
    await hear_of_a_change(page, server, standup)
    await page.keyboard.type("ne.")
    await page.keyboard.press("Enter")
    await expect(line(page, 1)).to_have_text("Anders.")
    await expect(line(page, 0)).to_have_text(f"{HEARD} Mine.")


async def test_an_edit_while_a_new_transcription_comes_stays_with_the_old_one(
    page: Page, standup: Recording, server: Server
) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    await edit(page)
    await line(page).fill("Mine.")
    newer = await sync_to_async(make_transcription)(standup, Status.DONE, "Newer.")
    await hear_of_a_change(page, server, standup)
    await expect(line(page)).to_have_text("Mine.")
    await page.keyboard.press("Enter")
    await expect(line(page)).to_have_text("Newer.")
    assert await Segment.objects.filter(transcription=newer, correction=None).acount() == 1
    await page.get_by_role("link", name="2 transcriptions").click()
    await expect(page.locator(".runs .row")).to_have_count(2)
    await expect(page.locator(".runs .row").last).to_contain_text("1 correction")


async def test_what_was_typed_stays_readable_when_the_recording_is_deleted(
    page: Page, standup: Recording, server: Server, faults: list[str]
) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    await edit(page)
    await server.do(adelete_recording(standup))
    await page.keyboard.press("End")
    await page.keyboard.type(" Mine.")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("Not saved. There is nothing here, or it is not yours.")
    await expect(line(page)).to_have_text(f"{HEARD} Mine.")
    await page.keyboard.press("Escape")
    await page.wait_for_url("/")
    faults.clear()


async def test_what_was_typed_in_the_last_moment_is_sent_when_the_page_is_left(page: Page, standup: Recording) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    await page.goto(f"/recordings/{standup.pk}")
    await (await edit(page)).fill("Last.")
    await page.goto("/")
    await until_it_is(lambda: Segment.objects.filter(correction="Last.").acount(), 1)


async def test_an_emptied_line_can_be_had_back(page: Page, standup: Recording) -> None:
    """A person empties a line that Whisper invented."""
    await page.goto(f"/recordings/{standup.pk}")
    await (await edit(page)).fill("")
    await page.keyboard.press("Enter")
    await expect(page.locator("#saved")).to_have_text(SAVED)
    await page.reload()
    await expect(line(page)).to_have_text("")
    await page.get_by_role("button", name="Edited").click()
    await expect(line(page)).to_have_text(HEARD)


@pytest.fixture
def talk(mei: User) -> Transcription:
    """Two hours with 25,000 words. One paragraph says nothing, and is not shown."""
    dice = random.Random(1)  # noqa: S311
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(1, 9))) for _ in range(4000)]
    texts = [" ".join(dice.choices(words, k=56)).capitalize() + "." for _ in range(450)]
    run = make_transcription(make_recording(mei, "Talk", seconds=9000), Status.DONE, *texts)
    run.segments.filter(index=7).update(text="", words=[])
    return run


def traffic(page: Page) -> list[Request]:
    """The requests of the page from now on."""
    requests: list[Request] = []
    page.on("requestfinished", lambda request: requests.append(request))
    return requests


async def transferred(requests: list[Request]) -> int:
    """Bytes of the addresses and bodies of these requests, and of the bodies of their answers."""
    sizes = [(request, await request.sizes()) for request in requests]
    return sum(len(request.url) + size["requestBodySize"] + size["responseBodySize"] for request, size in sizes)


async def test_the_end_of_an_edit_moves_little_beside_two_hours_of_text(
    page: Page, context: BrowserContext, talk: Transcription
) -> None:
    other = await context.new_page()
    for one in (page, other):
        await one.goto(f"/recordings/{talk.recording_id}")
        await one.locator(".wave.drawn").wait_for()
        await one.evaluate("document.querySelectorAll('.segment').forEach((segment) => { segment.old = true; })")
    text = await edit(page, 3)
    mine, theirs = traffic(page), traffic(other)
    await text.press("Control+End")
    await page.keyboard.type(" So.")
    await page.keyboard.press("Enter")
    for one in (page, other):
        await expect(line(one, 3)).to_have_text(re.compile(r" So\.$"))
        await expect(line(one, 3).locator(".line")).to_have_count(2)  # sentences, with the times of their words
        await expect(one.get_by_role("button", name="Edited")).to_have_count(1)
        assert await one.evaluate("[...document.querySelectorAll('.segment')].filter(({ old }) => !old).length") == 1
    assert 0 < await transferred(mine) <= 5000
    assert 0 < await transferred(theirs) <= 5000


async def test_an_open_page_follows_whatever_happens_to_the_segments(
    page: Page, standup: Recording, server: Server
) -> None:
    run = await standup.transcriptions.aget()
    await page.goto(f"/recordings/{standup.pk}")

    async def shows(*texts: str) -> None:
        await server.do(sync_to_async(recording_changed)(standup.pk, standup.owner_id))
        await expect(page.locator(".segment > p")).to_have_text(list(texts))

    await shows(HEARD, SECOND)
    for index in (4, 3, 2):  # stretches that are heard at the same time end in any order
        await sync_to_async(add_segment)(run, index, f"Part {index}.")
        await shows(HEARD, SECOND, *[f"Part {number}." for number in range(index, 5)])
    await run.segments.filter(index=0).aupdate(text="", words=[])
    await run.segments.filter(index=2).aupdate(correction="Mine.", version=12)
    await run.segments.filter(index=3).aupdate(text="", words=[], version=1)
    await shows(SECOND, "Mine.", "Part 4.")
