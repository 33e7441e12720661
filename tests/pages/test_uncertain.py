"""Words that the machine may have misheard: which they are, how they are marked, and the way from one to the next."""

import re

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from playwright.async_api import Page, expect

from recordings.models import Recording, Segment
from recordings.transcripts.sentences import UNSURE, lines
from tests.support.rows import Status, make_recording, make_transcription

SURE, LOW = 1.0, UNSURE - 0.1
MARKED = "[...CSS.highlights.get('{}')].map(String)"


def heard(*words: tuple[str, float | None], **fields: object) -> Segment:
    """A segment in which each of these words takes a second."""
    times = [{"start": n, "end": n + 1, "word": word, "probability": p} for n, (word, p) in enumerate(words)]
    text = "".join(word for word, _ in words).strip()
    return Segment(index=0, start=0, end=len(words), text=text, words=times, **fields)


def unsure(segment: Segment) -> list[list[str]]:
    """The shaded stretches of each sentence, cut out of its text as a browser does it."""
    found = []
    for line in lines(segment):
        units = line.text.encode("utf-16-le")
        found.append([units[2 * begin : 2 * end].decode("utf-16-le") for begin, end in line.unsure])
    return found


@pytest.mark.parametrize(
    ("segment", "shaded"),
    [
        (heard((" So", SURE), (" the", LOW), (" cause.", SURE)), [["the"]]),
        (heard((" So", SURE), (" the", UNSURE), (" cause.", SURE)), [[]]),
        (heard((" So", LOW), (" the", LOW), (" cause.", SURE)), [["So the"]]),
        (heard((" So", LOW), (" the", SURE), (" cause.", LOW)), [["So", "cause."]]),
        (heard((" So.", LOW), (" Then", LOW), (" this", SURE)), [["So."], ["Then"]]),
        (heard(("发", SURE), ("布", LOW), ("会", LOW), ("。", LOW)), [["布会"]]),
        (heard((" 😀😀", SURE), (" yes", LOW), (" 👍", LOW), (" no", LOW)), [["yes", "no"]]),
        (heard((" So", None), (" the", None)), [[]]),
        (heard((" So", LOW), (" the", SURE), correction="So the"), [[]]),
    ],
    ids=lambda value: value.text if isinstance(value, Segment) else None,
)
def test_words_below_the_threshold_are_shaded_in_what_nobody_corrected(
    segment: Segment, shaded: list[list[str]]
) -> None:
    assert unsure(segment) == shaded


def test_a_server_that_tells_no_probabilities_leaves_all_words_unshaded() -> None:
    segment = heard((" So", LOW))
    del segment.words[0]["probability"]
    assert unsure(segment) == [[]]


@pytest.fixture
def standup(mei: User) -> Recording:
    """Two sentences, a corrected one and another one: “nesting”, “wrapped the” and “平” are unsure."""
    recording = make_recording(mei, "Standup")
    run = make_transcription(
        recording,
        Status.DONE,
        "So the root cause was nesting. We wrapped the wrapper.",
        "Nobody counted.",
        "显存曲线应该是平的。",
        detected_language="en",
    )
    for segment, doubted in zip(run.segments.all(), ({5, 7, 8}, {1}, {7}), strict=True):
        for number, word in enumerate(segment.words):
            word["probability"] = LOW if number in doubted else SURE
        segment.save()
    run.segments.filter(index=1).update(correction="Nobody counted.")
    return recording


async def test_keys_lead_from_one_uncertain_word_to_the_next_and_into_it(page: Page, standup: Recording) -> None:
    await page.goto(f"/recordings/{standup.pk}")
    assert await page.evaluate(MARKED.format("unsure")) == ["nesting.", "wrapped the", "平"]
    button, told = page.get_by_role("button", name="Uncertain"), page.locator("#saved")
    await expect(button).to_have_text("Uncertain 3")
    for key, word in (
        ("u", "1 of 3: nesting."),
        ("u", "2 of 3: wrapped the"),
        ("u", "3 of 3: 平"),
        ("u", "1 of 3: nesting."),
        ("Shift+U", "3 of 3: 平"),
        ("Shift+U", "2 of 3: wrapped the"),
        ("Shift+U", "1 of 3: nesting."),
    ):
        await page.keyboard.press(key)
        await expect(told).to_have_text(word)
        assert await page.evaluate(MARKED.format("unsure-here")) == [word.partition(": ")[2]]
    assert await page.evaluate("document.getElementById('audio').currentTime") == pytest.approx(9.5, abs=0.1)

    await page.keyboard.press("e")
    await expect(page.get_by_role("textbox", name="Text of this part")).to_be_focused()
    assert await page.evaluate("String(getSelection())") == "nesting."
    await page.keyboard.type("testing.")
    await page.keyboard.press("Enter")
    await expect(button).to_have_text("Uncertain 1")  # nobody doubts what a person wrote
    assert await page.evaluate(MARKED.format("unsure")) == ["平"]
    await page.keyboard.press("u")
    await expect(told).to_have_text("1 of 1: 平")
    segment = await Segment.objects.aget(index=0)
    assert segment.correction == "So the root cause was testing. We wrapped the wrapper."


async def test_the_way_goes_on_from_where_the_player_is(page: Page, standup: Recording) -> None:
    await page.goto(f"/recordings/{standup.pk}#t=41")
    await expect(page.locator("#time")).to_have_text("0:41")
    await page.keyboard.press("u")
    await expect(page.locator("#saved")).to_have_text("3 of 3: 平")


@pytest.mark.parametrize("width", [1280, 390])
async def test_the_button_does_what_the_key_does(page: Page, standup: Recording, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    await page.goto(f"/recordings/{standup.pk}")
    box = await page.get_by_role("button", name="Uncertain").bounding_box()
    assert box
    for word in ("nesting.", "wrapped the"):
        await page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        await expect(page.locator("#saved")).to_have_text(re.compile(f": {word}$"))


async def test_where_no_word_is_uncertain_nothing_is_offered(page: Page, mei: User) -> None:
    recording = await sync_to_async(make_recording)(mei, "Standup")
    await sync_to_async(make_transcription)(recording, Status.DONE, "All is said.")
    await page.goto(f"/recordings/{recording.pk}")
    await expect(page.get_by_role("button", name="Uncertain")).to_be_hidden()
    await page.keyboard.press("u")
    await expect(page.locator("#saved")).to_have_text("")
