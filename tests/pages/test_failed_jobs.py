"""A transcription that failed says what happened, what was kept, and what to do; one that went well says nothing."""

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client
from playwright.async_api import Page, expect

from recordings.models import Recording, Transcription
from recordings.pages.failure import REMEDIES, Failure
from tests.support.codes import codes
from tests.support.rows import Status, make_recording, make_transcription
from tests.support.speaking import assert_accessible
from transcription.errors import BadAudio
from web.codes import CODES


def failed(recording: Recording, code: str, *texts: str, **fields: str) -> Transcription:
    return make_transcription(
        recording,
        Status.FAILED,
        *texts,
        error_code=code,
        segments_done=len(texts),
        seconds_done=20 * len(texts),
        **fields,
    )


def test_every_error_of_a_job_has_a_remedy() -> None:
    own = {
        "crashed_decoder",
        "internal_error",
        "source_missing",
        *(BadAudio.__doc__ or "").split("code: ")[1].split(".")[0].split(),
    }
    known = {code.strip(",") for code in own} - {"or"} | codes()
    assert known == REMEDIES.keys()
    assert REMEDIES.keys() <= CODES.keys()


def test_each_says_what_happened_what_was_kept_and_what_to_do(mei: User, client: Client) -> None:
    client.force_login(mei)
    recording = make_recording(mei, "Standup")
    run = failed(recording, "", "Half of it.", "And a little more.")
    buttons = {"retry": "Retry", "options": "Choose and transcribe again…", "upload": "Upload it in the library"}
    for code in (*REMEDIES, "of_an_older_version"):
        Transcription.objects.update(error_code=code)
        run.refresh_from_db()
        failure = Failure(run)
        page, row = (client.get(path).content.decode() for path in (f"/recordings/{recording.pk}", "/"))
        said = page[page.index("failure") : page.index("Half of it.")]
        for sentence in (failure.what, failure.kept, str(failure.remedy.words), f"transcription {run.pk}", code):
            assert sentence in said, code
        assert "the text of its first 0:40" in said.lower(), code
        assert buttons[failure.remedy.button] in page, code
        assert failure.what in row, code
        assert failure.kept in row, code
        assert ("Retry" if failure.remedy.button == "retry" else "What to do") in row, code


def test_the_servers_own_words_are_for_the_administrator(mei: User, jonas: User, client: Client) -> None:
    for person in (mei, jonas):
        client.force_login(person)
        recording = make_recording(person, "Standup")
        failed(recording, "rejected", error_message="http://10.0.0.7 says: no such model")
        assert ("10.0.0.7" in client.get(f"/recordings/{recording.pk}").content.decode()) == person.is_staff


async def test_attempts_and_details_are_folded_until_they_are_asked_for(page: Page, mei: User) -> None:
    recording = await sync_to_async(make_recording)(mei, "Standup")
    for code in ("poison", "", "timed_out", "rejected"):
        status = Status.FAILED if code else Status.DONE
        await sync_to_async(make_transcription)(recording, status, error_code=code)
    await page.goto(f"/recordings/{recording.pk}")
    box = page.get_by_role("region", name="What failed")
    await expect(box.get_by_role("listitem")).to_have_count(0)  # the text of an earlier transcription matters more
    await box.get_by_text("Details").focus()
    await page.keyboard.press("Enter")
    await expect(box.get_by_role("listitem")).to_have_count(2)  # those since the last that went well
    await expect(box.get_by_role("listitem").last).to_contain_text("The Whisper server took too long")
    await box.get_by_role("button", name="Choose and transcribe again…").click()
    await expect(page.get_by_role("dialog", name="Transcribe again")).to_be_visible()


async def test_a_recording_without_speech_offers_another_language(page: Page, silent: Recording) -> None:
    await page.goto(f"/recordings/{silent.pk}")
    await page.get_by_role("button", name="Try another language").click()
    await expect(page.get_by_role("dialog", name="Transcribe again").get_by_label("Language")).to_be_visible()


@pytest.fixture
def silent(mei: User) -> Recording:
    recording = make_recording(mei, "Silence")
    make_transcription(recording, Status.DONE)
    return recording


async def test_a_failure_keeps_nobody_out(page: Page, shelf: Recording, faults: list[str]) -> None:
    run = await Transcription.objects.aget(status="failed")
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)
        await page.goto(f"/recordings/{run.recording_id}")
        await page.get_by_text("Details").click()
        await assert_accessible(page)
    faults.clear()  # axe adds styles, which the content security policy forbids


def test_nothing_is_said_of_what_went_well(mei: User, client: Client, shelf: Recording) -> None:
    client.force_login(mei)
    for path in ("/", f"/recordings/{shelf.pk}"):
        page = client.get(path).content.decode()
        assert "took" not in page
        assert 'class="status done"' not in page
