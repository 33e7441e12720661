"""Transcribing again, reading an earlier transcription, and restoring it."""

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from playwright.async_api import Page, expect

from recordings.models import Recording, Transcription
from tests.support.rows import Status, add_segment, make_recording, make_transcription


@pytest.fixture
def standup(mei: User) -> Recording:
    """A recording that was transcribed twice. Its first text is better."""
    recording = make_recording(mei, "Standup")
    make_transcription(recording, Status.DONE, "Hello there.", detected_language="en", model="large")
    make_transcription(recording, Status.DONE, "Jello there.", detected_language="en")
    return recording


async def test_an_earlier_text_is_looked_at_and_restored(page: Page, standup: Recording) -> None:
    text = page.locator(".segment > p")
    await page.goto(f"/recordings/{standup.pk}")
    await expect(text).to_have_text("Jello there.")
    await page.get_by_role("link", name="2 transcriptions").click()
    earlier = page.locator(".runs .row").last
    await expect(earlier).to_contain_text("English (detected) · large")
    await earlier.get_by_role("link").click()
    await expect(page.get_by_text("You are looking at another transcription")).to_be_visible()
    await expect(text).to_have_text("Hello there.")
    await text.dblclick()
    await page.keyboard.press("e")
    await expect(page.locator(".editing")).to_have_count(0)  # the text of another transcription cannot be edited
    await page.get_by_text("Download", exact=True).click()
    async with page.expect_download() as saved:
        await page.get_by_role("link", name="Plain text").click()
    assert (await (await saved.value).path()).read_text() == "Hello there.\n"

    await page.get_by_role("link", name="Back").click()
    await expect(text).to_have_text("Jello there.")
    await page.go_back()
    await page.get_by_role("button", name="Restore").click()
    await page.wait_for_url(f"/recordings/{standup.pk}")
    await expect(text).to_have_text("Hello there.")
    await expect(page.get_by_text("This is the text of a transcription that you went back to")).to_be_visible()


async def test_an_earlier_text_stays_on_its_page_when_the_recording_changes(page: Page, standup: Recording) -> None:
    """The page loads its text again from an address with a query. It once took the answer for a redirect to the sign-in
    and reloaded: the playback ended, and a person who had pressed "Restore" was back at the earlier text."""
    earlier = await Transcription.objects.filter(recording=standup).aearliest("pk")
    await page.goto(f"/recordings/{standup.pk}?transcription={earlier.pk}")
    await page.evaluate("window.same = true")
    async with page.expect_response(lambda answer: f"transcription={earlier.pk}" in answer.url):
        await sync_to_async(add_segment)(earlier, 1, "How are you?")
        await page.evaluate("htmx.trigger('#text', 'changed')")
    await expect(page.locator(".segment > p")).to_have_text(["Hello there.", "How are you?"])
    assert await page.evaluate("window.same")


async def test_the_dialog_asks_for_language_model_and_terms(page: Page, standup: Recording) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    await page.get_by_label("More actions").click()
    await page.get_by_role("button", name="Transcribe again…").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Language").select_option(label="Cantonese")
    await dialog.get_by_label("Model").fill("large-v3")
    await dialog.get_by_label("Names and terms").fill("Stile, 听序")
    await dialog.get_by_role("button", name="Transcribe").click()
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#text .status")).to_have_text("Next in line")
    await expect(page.locator(".segment > p")).to_have_text("Jello there.")  # stays readable meanwhile
    run = await Transcription.objects.alatest("pk")
    assert (run.language, run.model, run.prompt) == ("yue", "large-v3", "Stile, 听序")


async def test_the_dialog_says_why_a_job_is_refused(
    page: Page, standup: Recording, settings: LazySettings, mei: User, faults: list[str]
) -> None:
    settings.USER_MAX_QUEUED = 1
    waiting = await sync_to_async(make_recording)(mei, "Waiting")
    await sync_to_async(make_transcription)(waiting, Status.QUEUED)
    await page.goto(f"/recordings/{standup.pk}")
    await page.get_by_label("More actions").click()
    await page.get_by_role("button", name="Transcribe again…").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Transcribe").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("You have 1 transcriptions in line.")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_be_hidden()
    faults.clear()


def test_without_javascript_an_earlier_text_can_be_restored(mei: User, client: Client, standup: Recording) -> None:
    client.force_login(mei)
    first = standup.transcriptions.earliest("pk")
    path = f"/recordings/{standup.pk}"
    assert "Hello there." in client.get(f"{path}?transcription={first.pk}").content.decode()
    assert client.post(f"{path}/transcriptions/{first.pk}/restore").headers["Location"] == path
    assert "Hello there." in client.get(path).content.decode()
    assert "Hello there." in client.get("/").content.decode()
    assert "Standup" in client.get("/", {"q": "Hello"}).content.decode()
    assert "Nothing matches" in client.get("/", {"q": "Jello"}).content.decode()


def test_a_wrong_language_is_told_in_words(mei: User, client: Client, standup: Recording) -> None:
    client.force_login(mei)
    answer = client.post(f"/recordings/{standup.pk}/transcribe", {"language": "xx"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "text/plain")
    assert answer.content.decode().startswith("language: Whisper does not know this language.")


@pytest.mark.parametrize("transcription", ["x", "99999", "9" * 40, "²"])
def test_an_address_of_no_transcription_is_no_page(
    mei: User, client: Client, standup: Recording, transcription: str
) -> None:
    client.force_login(mei)
    answer = client.get(f"/recordings/{standup.pk}", {"transcription": transcription})
    assert answer.status_code == (404 if transcription.startswith("9") else 200)


@pytest.mark.parametrize(
    ("query", "brings"),
    [
        ("", "all"),
        ("?run={shown}", "all"),
        ("?run={shown}&have=", "changes"),
        ("?run={shown}&have=0", "nothing"),
        ("?run={shown}&have=0x9999999999999999999999", "nothing"),
        ("?run={shown}&have=1", "changes"),
        ("?run={shown}&have=0x\u00b2.x.-1", "nothing"),
        ("?run={first}&have=0", "all"),  # another transcription is shown since
        ("?run={first}&have=0&transcription={first}", "nothing"),
        ("?run={shown}&have=0&transcription={shown}", "all"),  # the page looked at it before it was shown
    ],
)
def test_an_open_page_gets_what_it_does_not_have(
    mei: User, client: Client, standup: Recording, query: str, brings: str
) -> None:
    client.force_login(mei)
    first, shown = standup.transcriptions.order_by("pk").values_list("pk", flat=True)
    answer = client.get(f"/recordings/{standup.pk}/text{query.format(first=first, shown=shown)}")
    content = answer.content.decode()
    assert answer.status_code == 200
    assert ('id="text"' in content) == (brings == "all") == ("HX-Reswap" not in answer)
    assert ("Edit the text at 0:00" in content or "Hello there." in content) == (brings != "nothing")
