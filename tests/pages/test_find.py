"""Finding words in the text on the page."""

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from playwright.async_api import Page, expect

from recordings.models import Recording
from tests.support.rows import Status, make_recording, make_transcription

MARKED = "[...CSS.highlights.get('found')].map(String)"
HERE = "[...CSS.highlights.get('found-here')].map(range => range.startContainer.parentElement.textContent)"


@pytest.fixture
def meeting(mei: User) -> Recording:
    recording = make_recording(mei, "产品周会")
    texts = ["First we look at the queue. The QUEUE is long.", *["Filler."] * 40, "会议开始。下一次会议在周五。"]
    make_transcription(recording, Status.DONE, *texts, detected_language="en")
    return recording


async def test_every_place_is_marked_and_one_after_the_other_comes_into_view(page: Page, meeting: Recording) -> None:
    await page.goto(f"/recordings/{meeting.pk}")
    await expect(page.get_by_placeholder("Find in transcript")).to_be_hidden()
    await page.keyboard.press("f")
    field = page.get_by_placeholder("Find in transcript")
    await expect(field).to_be_focused()
    await page.keyboard.type("queue. the  q")  # over the end of a sentence, whatever its case and spaces
    assert await page.evaluate(MARKED) == ["queue. The Q"]
    await field.fill("会议")
    await expect(page.locator("#found")).to_have_text("1 of 2")
    assert await page.evaluate(HERE) == ["会议开始。"]
    await expect(page.locator(".segment").last).to_be_in_viewport()
    await field.press("Enter")
    await expect(page.locator("#found")).to_have_text("2 of 2")
    assert await page.evaluate(HERE) == ["下一次会议在周五。"]
    await page.get_by_role("button", name="Next").click()
    await field.press("Shift+Enter")
    await expect(page.locator("#found")).to_have_text("2 of 2")
    await field.fill("(.*")
    await expect(page.locator("#found")).to_have_text("Not found")
    await field.press("Escape")
    await expect(field).to_be_hidden()
    assert await page.evaluate(MARKED) == []


async def test_an_address_leads_to_the_place(page: Page, meeting: Recording) -> None:
    await page.goto(f"/recordings/{meeting.pk}#t=0.5&q=queue")
    await expect(page.locator("#found")).to_have_text("1 of 2")
    await expect(page.locator("#time")).to_have_text("0:00")


async def test_a_search_in_the_library_leads_to_the_moment(page: Page, mei: User) -> None:
    recording = await sync_to_async(make_recording)(mei, "产品周会")
    texts = ["大家好。", "预算说完了。会议到此结束。"]
    await sync_to_async(make_transcription)(recording, Status.DONE, *texts, detected_language="zh")
    await page.goto("/")
    await page.get_by_role("searchbox").fill("会议")
    await page.keyboard.press("Enter")
    await expect(page.locator(".what mark")).to_have_text("会议")
    await expect(page.locator(".what p")).to_have_text("会议到此结束。")
    await page.get_by_role("link", name="产品周会").click()
    await expect(page.locator("#found")).to_have_text("1 of 1")
    await expect(page.locator("[aria-current=true].line")).to_have_text("会议到此结束。")
