"""Listening and reading: the text follows the sound, and the sound follows a click on the text."""

import re

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client
from playwright.async_api import Page, expect

from recordings.events import recording_changed, whisper_changed
from recordings.models import Recording, Segment, Transcription
from recordings.transcripts.sentences import lines
from recordings.work import places
from tests.support.page_server import Server
from tests.support.rows import Status, add_segment, make_recording, make_transcription, words
from tests.support.waiting import until
from transcription.monitor.capacity import Capacity
from transcription.sentence import Sentence

ENGLISH = "So the root cause was nesting. We wrapped the wrapper, and nobody counted the call."
CHINESE = "对，把并发设成一再测。显存曲线应该是平的。"


@pytest.fixture
def standup(mei: User) -> Recording:
    recording = make_recording(mei, "Standup")
    transcription = make_transcription(recording, Status.DONE, ENGLISH, CHINESE, detected_language="en")
    add_segment(transcription, 2, "No word times here. It can be read all the same.", timed=False)
    return recording


async def time(page: Page) -> float:
    seconds: float = await page.evaluate("document.getElementById('audio').currentTime")
    return seconds


async def test_a_click_on_a_word_or_a_timestamp_goes_there(page: Page, standup: Recording) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    place = await page.evaluate(
        """() => {
            const range = new Range(), text = document.querySelector(".line").firstChild;
            range.setStart(text, 12); range.setEnd(text, 17);  // "cause"
            const { x, y, width, height } = range.getBoundingClientRect();
            return [x + width / 2, y + height / 2, range.toString()];
        }"""
    )
    assert place[2] == "cause"
    await page.mouse.click(place[0], place[1])
    cause = words(ENGLISH, 0)[3]["start"]
    assert await time(page) == pytest.approx(cause, abs=0.15)
    await page.wait_for_function("[...CSS.highlights.get('word')].map(String).join() === 'cause'")
    await page.get_by_label("Play from 0:20").click()
    assert await time(page) == pytest.approx(20, abs=0.15)
    await page.get_by_text("No word times here.").click()
    assert await time(page) == pytest.approx(40, abs=0.15)


async def test_the_line_being_spoken_is_marked_while_it_plays(page: Page, standup: Recording) -> None:
    await page.goto(f"/recordings/{standup.pk}#t=24")
    current = page.locator("[aria-current=true].line")
    await expect(current).to_have_text("对，把并发设成一再测。")
    await expect(page.locator(".segment.current .stamp")).to_have_text("0:20")
    await page.get_by_role("button", name="Play", exact=True).click()
    await page.get_by_role("button", name="Pause").wait_for()
    await page.locator("#seek").fill("32")
    await expect(current).to_have_text("显存曲线应该是平的。")
    assert await time(page) >= 32


async def test_following_stops_for_a_hand_that_scrolls_and_can_be_taken_up_again(page: Page, mei: User) -> None:
    recording = await sync_to_async(make_recording)(mei, "Long", seconds=60)
    await sync_to_async(make_transcription)(recording, Status.DONE, *(f"{ENGLISH} Number {n}." * 4 for n in range(30)))
    await page.goto(f"/recordings/{recording.pk}")
    await page.get_by_role("button", name="Play", exact=True).click()
    await expect(page.locator("[aria-current=true].line")).to_have_count(1)
    await page.mouse.move(600, 600)
    await page.mouse.wheel(0, 2000)
    jump = page.get_by_role("button", name="Jump to current")
    await jump.click()
    await expect(page.locator("[aria-current=true].line")).to_be_in_viewport()
    await expect(jump).to_be_hidden()
    await expect(page.get_by_label("Follow")).to_be_checked()


async def test_keys_do_what_the_list_says_and_can_be_turned_off(page: Page, standup: Recording) -> None:
    await page.goto(f"/recordings/{standup.pk}#t=20")
    await expect(page.locator("#time")).to_have_text("0:20")
    await page.keyboard.press("l")
    assert await time(page) == pytest.approx(25, abs=0.1)
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    assert await time(page) == pytest.approx(15, abs=0.1)
    await page.keyboard.press("]")
    await page.keyboard.press("]")
    assert await page.evaluate("document.getElementById('audio').playbackRate") == 1.5
    await page.keyboard.press(" ")
    await page.get_by_role("button", name="Pause").wait_for()
    await page.keyboard.press(" ")
    await page.keyboard.press("?")
    await page.get_by_label("Use these keys").uncheck()
    await page.get_by_role("button", name="Close").click()
    await page.reload()
    assert await page.evaluate("document.getElementById('audio').playbackRate") == 1.5  # the speed is kept
    before = await time(page)
    await page.keyboard.press("l")
    assert await time(page) == before


async def test_keys_for_text_are_named_where_there_is_text(page: Page, standup: Recording, mei: User) -> None:
    silent = await sync_to_async(make_recording)(mei, "Silent")
    keys = page.locator("main .keys")
    await page.goto(f"/recordings/{silent.pk}")
    assert await keys.inner_text() == "Space play · J L ±5 s · [ ] speed · ? all shortcuts"
    await page.goto(f"/recordings/{standup.pk}")
    assert await keys.inner_text() == "Space play · J L ±5 s · [ ] speed · E edit · F find · ? all shortcuts"


def test_skipped_seconds_are_named_in_the_readers_language(mei: User, client: Client, standup: Recording) -> None:
    client.force_login(mei)
    client.cookies["django_language"] = "zh-hans"
    page = client.get(f"/recordings/{standup.pk}").content.decode()
    assert all(f"{sign}5 秒" in page for sign in "−+±")


async def test_text_appears_as_it_comes_and_a_failure_says_why_and_can_be_retried(
    page: Page, mei: User, server: Server
) -> None:
    recording = await sync_to_async(make_recording)(mei, "Workshop")
    transcription = await sync_to_async(make_transcription)(recording, Status.QUEUED)
    await page.goto(f"/recordings/{recording.pk}")
    status = page.locator("#text .status")
    await expect(status).to_have_text("Next in line")

    await sync_to_async(add_segment)(transcription, 0, ENGLISH)
    this = Transcription.objects.filter(pk=transcription.pk)
    await this.aupdate(status=Status.TRANSCRIBING, seconds_done=20)
    await server.do(sync_to_async(recording_changed)(recording.pk, mei.pk))
    await expect(page.locator("#text .segment")).to_contain_text(ENGLISH)
    await expect(status).to_have_text("Transcribing 33%")

    await this.aupdate(status=Status.FAILED, error_code="out_of_memory", error_message="CUDA out of memory")
    await server.do(sync_to_async(recording_changed)(recording.pk, mei.pk))
    await expect(page.get_by_text("The Whisper server ran out of GPU memory.")).to_be_visible()
    await expect(page.get_by_text("This is the part that was finished:")).to_be_visible()
    await expect(page.get_by_text("CUDA")).to_be_hidden()  # for staff, behind Details
    await page.get_by_role("button", name="Retry").click()
    await expect(status).to_have_text("Next in line")


async def test_a_page_says_within_five_seconds_that_whisper_is_away_and_when_it_is_back(
    page: Page, mei: User, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five seconds of the page's own clock, in which it does not poll."""
    recording = await sync_to_async(make_recording)(mei, "Workshop")
    await sync_to_async(make_transcription)(recording, Status.TRANSCRIBING, seconds_done=24)
    told: list[str | bytes] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: told.append(frame)))
    await page.clock.install()
    async with page.expect_response(re.compile(r"/text\?")):  # it asks once when its socket is open
        await page.goto(f"/recordings/{recording.pk}")
    status, warning = page.locator("#text .status"), page.locator("#standing .warning")
    await expect(status).to_have_text("Transcribing 40%")
    await page.clock.pause_at(await page.evaluate("Date.now()"))
    lost = Sentence("The Whisper server did not answer the latest call.")
    for away, said in ((lost, "Waiting for Whisper · 40%"), (None, "Transcribing 40%")):
        able = Capacity(permits=1, out=0, rate=None, away=away, slow=None)
        monkeypatch.setattr(places, "capacity", lambda able=able: able)
        told.clear()
        await server.do(whisper_changed())
        await until(lambda: bool(told))
        await page.clock.run_for(5_000)
        await expect(status).to_have_text(said)
        await expect(warning).to_have_count(1 if away else 0)
        if away:
            await expect(warning).to_have_text(f"{lost} Nothing is lost: work goes on by itself when it is back.")


async def test_the_waveform_is_drawn_as_soon_as_the_first_transcription_has_ended(
    page: Page, mei: User, server: Server
) -> None:
    recording = await sync_to_async(make_recording)(mei, "Workshop")
    this = Recording.objects.filter(pk=recording.pk)
    peaks = recording.peaks
    await this.aupdate(peaks=None)
    transcription = await sync_to_async(make_transcription)(recording, Status.TRANSCRIBING)
    await page.goto(f"/recordings/{recording.pk}")
    await expect(page.locator("#text .status")).to_have_text("Transcribing 0%")
    await expect(page.locator(".wave.drawn")).to_have_count(0)
    await this.aupdate(peaks=peaks)
    await Transcription.objects.filter(pk=transcription.pk).aupdate(status=Status.DONE)
    await server.do(sync_to_async(recording_changed)(recording.pk, mei.pk))
    await expect(page.locator(".wave.drawn")).to_have_count(1)


async def test_a_recording_is_renamed(page: Page, standup: Recording) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    await page.get_by_label("More actions").click()
    await page.get_by_role("button", name="Rename…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Title", exact=True)).to_have_value("Standup")
    await dialog.get_by_label("Title", exact=True).fill(" ")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_label("Title", exact=True)).to_have_value("")  # the browser says that it is required
    await dialog.get_by_label("Title", exact=True).fill("周会 $& <b>1</b>")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_be_hidden()
    await expect(page.get_by_role("heading", level=1)).to_have_text("周会 $& <b>1</b>")
    await expect(page).to_have_title("周会 $& <b>1</b> · Stile 听序")
    await standup.arefresh_from_db()
    assert standup.title == "周会 $& <b>1</b>"


async def test_deleting_from_its_own_page_leads_back_to_the_library(page: Page, standup: Recording) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    await page.get_by_label("More actions").click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    # Not `wait_for_url`: the notice of the deletion leads there too, and may abort the first navigation.
    await expect(page).to_have_url(re.compile(r"/$"))
    await expect(page.get_by_text("No recordings yet.")).to_be_visible()


def test_what_people_and_whisper_write_stays_text(mei: User, client: Client) -> None:
    client.force_login(mei)
    recording = make_recording(mei, "<script>alert(1)</script>")
    make_transcription(recording, Status.DONE, "</span><img src=x onerror=alert(2)>")
    page = client.get(f"/recordings/{recording.pk}").content.decode()
    assert "<script>alert" not in page
    assert "<img" not in page


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (Status.DONE, "No speech found in this recording."),
        (Status.CANCELED, "Canceled. Nothing was lost; the audio is still here."),
        (Status.FAILED, "The Whisper server took too long, so we stopped waiting."),
        (Status.QUEUED, "Next in line"),
    ],
)
def test_every_state_says_what_is_the_matter(mei: User, client: Client, status: Status, sentence: str) -> None:
    client.force_login(mei)
    recording = make_recording(mei, "Standup")
    make_transcription(recording, status, error_code="timed_out" if status == Status.FAILED else "")
    assert sentence in client.get(f"/recordings/{recording.pk}").content.decode()


def test_a_refusal_names_all_that_may_be_wrong(mei: User, client: Client) -> None:
    """A Whisper server refuses an unknown model in the same way as bad audio."""
    client.force_login(mei)
    recording = make_recording(mei, "Standup")
    make_transcription(recording, Status.FAILED, model="a typing error", error_code="rejected")
    assert (
        "the audio, or the model or language asked for, may be wrong"
        in client.get(f"/recordings/{recording.pk}").content.decode()
    )


def test_an_earlier_text_stays_readable_while_a_new_one_is_made(mei: User, client: Client) -> None:
    client.force_login(mei)
    recording = make_recording(mei, "Standup")
    make_transcription(recording, Status.DONE, ENGLISH)
    make_transcription(recording, Status.TRANSCRIBING)
    page = client.get(f"/recordings/{recording.pk}").content.decode()
    assert "This is the text of the transcription before:" in page
    assert "nobody counted the call" in page


@pytest.mark.parametrize("status", [Status.CANCELED, Status.FAILED])
def test_a_partial_text_stays_when_the_next_run_ends_without_any(mei: User, client: Client, status: Status) -> None:
    client.force_login(mei)
    recording = make_recording(mei, "Standup")
    make_transcription(recording, Status.CANCELED, ENGLISH)
    add_segment(make_transcription(recording, status), 0, "", timed=False)
    page = client.get(f"/recordings/{recording.pk}").content.decode()
    assert status.label.capitalize() in page
    assert "This is the part that the transcription before finished:" in page
    assert "nobody counted the call" in page
    assert "Standup" in client.get("/", {"q": "nobody counted"}).content.decode()
    make_transcription(recording, Status.QUEUED)
    assert "nobody counted the call" not in client.get(f"/recordings/{recording.pk}").content.decode()


def test_a_second_pass_says_why_it_is_made(mei: User, client: Client) -> None:
    client.force_login(mei)
    recording = make_recording(mei, "Live")
    make_transcription(recording, Status.DONE, ENGLISH, lane="live")
    run = make_transcription(recording, Status.TRANSCRIBING, automatic=True)
    why = "The whole live session is being heard again, more carefully."
    assert why in client.get(f"/recordings/{recording.pk}").content.decode()
    Transcription.objects.filter(pk=run.pk).update(automatic=False)  # now somebody has asked
    assert why not in client.get(f"/recordings/{recording.pk}").content.decode()


def test_every_paragraph_says_its_language(mei: User, client: Client, standup: Recording) -> None:
    client.force_login(mei)
    paragraphs = client.get(f"/recordings/{standup.pk}").context["paragraphs"]
    assert [paragraph.language for paragraph in paragraphs] == ["en", "zh-Hans", "en"]


def test_lines_end_where_sentences_end_and_count_as_browsers_do() -> None:
    text = "🙂 Hi there. Bye."
    spoken = [
        {"start": 1.0, "end": 2.0, "word": "🙂", "probability": 1},
        {"start": 2.0, "end": 3.0, "word": " Hi", "probability": 1},
        {"start": 3.0, "end": 4.0, "word": " there.", "probability": 1},
        {"start": 4.0, "end": 5.0, "word": " Bye.", "probability": 1},
    ]
    first, second = lines(Segment(start=0, end=6, text=text, words=spoken))
    assert (first.text, first.gap, first.start, first.end) == ("🙂 Hi there.", " ", 1.0, 4.0)
    assert first.words == [[0, 1.0, 2.0], [3, 2.0, 3.0], [6, 3.0, 4.0]]  # the emoji is two units in UTF-16
    assert (second.text, second.gap, second.words) == ("Bye.", "", [[0, 4.0, 5.0]])


def test_the_dot_of_a_title_or_an_initial_ends_no_line() -> None:
    text = "And Mr. Dashwood met J. Smith. “Dr. Who?” So do I. No."
    found = lines(Segment(start=0, end=19, text=text, words=words(text, 0)))
    assert [line.text for line in found] == ["And Mr. Dashwood met J. Smith.", "“Dr. Who?”", "So do I.", "No."]


def test_a_corrected_segment_keeps_its_own_time_only() -> None:
    segment = Segment(start=0, end=19, text=ENGLISH, words=words(ENGLISH, 0), correction="Quite something else.")
    (line,) = lines(segment)
    assert (line.text, line.start, line.end, line.words) == ("Quite something else.", 0, 19, [])


@pytest.mark.parametrize(
    ("correction", "expected"),
    [
        ("Hi there. Bye.", [("Hi there.", " ", {"Hi": 1.0, "there.": 3.0}), ("Bye.", "", {"Bye.": 4.0})]),
        ("Hi there.\nBye!", [("Hi there.", "\n", {"Hi": 1.0, "there.": 3.0}), ("Bye!", "", {"Bye!": 4.0})]),
        (
            "Hi out there. Bye.",
            [("Hi out there.", " ", {"Hi": 1.0, "out": 2.0, "there.": 3.0}), ("Bye.", "", {"Bye.": 4.0})],
        ),
        ("", [("", "", {})]),
    ],
)
def test_the_words_of_a_corrected_text_have_the_times_at_which_they_were_heard(
    correction: str, expected: list[tuple[str, str, dict[str, float]]]
) -> None:
    spoken = [
        {"start": start, "end": start + 1, "word": word, "probability": 0.9}
        for start, word in ((1.0, " Hi"), (3.0, " there."), (4.0, " Bye."))
    ]
    text = "Hi there. Bye."
    found = lines(Segment(start=0, end=6, text=text, correction=correction, words=spoken))
    starts = [{line.text[int(place) :].split()[0]: start for place, start, *_ in line.words} for line in found]
    assert [(line.text, line.gap, times) for line, times in zip(found, starts, strict=True)] == expected


def test_a_corrected_text_without_times_of_words_is_one_line() -> None:
    (line,) = lines(Segment(start=0, end=6, text="Hi. Bye.", correction="Hi. Good bye.", words=[]))
    assert (line.text, line.start, line.words) == ("Hi. Good bye.", 0, [])
