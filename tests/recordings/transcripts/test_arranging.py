"""Splitting, joining and re-timing segments: texts, words, corrections and times stay right, and all can be undone."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from recordings.models import Recording, Segment, Transcription
from recordings.transcripts import exports
from recordings.transcripts.arranging import join, retime, split
from recordings.transcripts.corrections import EditConflict
from recordings.transcripts.exports import segment_json
from recordings.transcripts.transcript import FullTranscript
from recordings.transcripts.undoing import ALL, Rearranged, row, take_back
from recordings.transcripts.words import border_in, shown_text
from tests.support.rows import recording
from web.problems import Problem

pytestmark = pytest.mark.django_db
STARTS = {" So": 0.0, " the": 1.0, " cause": 1.5, " was": 3.0, " nesting.": 3.4}


def spoken(text: str, start: float, step: float = 1.0) -> list[dict[str, Any]]:
    """The words of the text (its letters where it has no spaces), each of which takes a step."""
    tokens = [f" {word}" for word in text.split()] if " " in text or text.isascii() else list(text)
    return [
        {"start": start + n * step, "end": start + (n + 0.9) * step, "word": token, "probability": 0.9}
        for n, token in enumerate(tokens)
    ]


@pytest.fixture
def run() -> Transcription:
    """Three segments: of five words from 0 s, of three from 10 s, of nine letters from 20 s."""
    made = Transcription.objects.create(recording=recording(), status="done", detected_language="en")
    for index, text in enumerate(("So the cause was nesting.", "We wrapped it.", "显存曲线应该是平的")):
        words = spoken(text, index * 10)
        Segment.objects.create(
            transcription=made, index=index, start=index * 10, end=words[-1]["end"], text=text, words=words
        )
    return made


def rows(run: Transcription) -> list[dict[str, Any]]:
    """All segments without ids and versions, in their order."""
    return [row(segment, [*ALL]) | {"version": None} for segment in run.segments.all()]


def texts(run: Transcription) -> list[str]:
    return [shown_text(segment) for segment in run.segments.all()]


def full(run: Transcription) -> FullTranscript:
    return FullTranscript(run.recording, run, list(run.segments.all()))


def word_times(segment: Segment) -> list[tuple[str, float, float]]:
    return [
        (word["word"].strip(), round(word["start"], 2), round(word["end"], 2))
        for word in segment_json(segment)["words"]
    ]


@pytest.mark.parametrize(
    ("text", "first", "second", "behind"),
    [
        ("So the cause was nesting.", "So the", "cause was nesting.", " cause was nesting."),
        (" So the cause.", "So the ", " cause.", " cause."),
        ("显存曲线应该", "显存", "曲线应该", "曲线应该"),
        ("wrapping", "wrap", "ping", "ping"),
        ("So the cause was nesting.", "Thus the", "cause was the nesting.", "cause was nesting."),
        ("So the cause was nesting.", "So the reason", "was nesting.", "was nesting."),
        ("So the cause was nesting.", "So the", "reason was nesting.", "cause was nesting."),
        ("So the cause was nesting.", "Nothing", "of it", "cause was nesting."),
        ("So the cause was nesting.", "So the cause was nesting.", "And more.", ""),
        ("", "Only", "people's", ""),
    ],
)
def test_the_machines_text_is_cut_where_a_persons_is(text: str, first: str, second: str, behind: str) -> None:
    assert text[border_in(text, first, second) :].strip() == behind.strip()


def test_a_split_gives_each_part_its_words_and_its_times(run: Transcription) -> None:
    done = split(run.recording, run, 0, ("So the", "cause was nesting."), 0)
    first, second = done.segments
    assert (first.index, first.start, first.end, first.text) == (0, 0, 1.9, "So the")
    assert (second.index, second.start, second.end, second.text) == (3, 2, 4.9, "cause was nesting.")
    assert word_times(second) == [("cause", 2, 2.9), ("was", 3, 3.9), ("nesting.", 4, 4.9)]
    assert first.correction is second.correction is None
    assert texts(run) == ["So the", "cause was nesting.", "We wrapped it.", "显存曲线应该是平的"]
    assert exports.as_txt(full(run)).splitlines() == texts(run)
    assert "00:00:02.000 --> " in exports.as_vtt(full(run))


def test_a_split_inside_of_a_word_of_the_machine_cuts_it_in_time(run: Transcription) -> None:
    words = [{"start": 20, "end": 24, "word": "显存曲线", "probability": 0.5}]
    run.segments.filter(index=2).update(text="显存曲线", words=words)
    first, second = split(run.recording, run, 2, ("显存", "曲线"), 0).segments
    assert (first.end, second.start) == (22, 22)
    assert [part.words[0]["word"] for part in (first, second)] == ["显存", "曲线"]


def test_a_split_of_what_a_person_wrote_keeps_both_texts_in_both_parts(run: Transcription) -> None:
    first, second = split(run.recording, run, 0, ("So the real", "cause: nesting."), 0).segments
    assert (first.text, first.correction) == ("So the", "So the real")
    assert (second.text, second.correction) == ("cause was nesting.", "cause: nesting.")
    assert second.start == 2


def test_a_split_without_times_of_words_goes_by_the_length_of_the_text(run: Transcription) -> None:
    run.segments.filter(index=0).update(words=[], end=5)
    first, second = split(run.recording, run, 0, ("So the cause", "was nesting."), 0).segments
    assert first.end == second.start == pytest.approx(5 * 12 / 25, abs=0.11)
    assert (first.words, second.words) == ([], [])


def test_a_join_puts_texts_words_and_corrections_together(run: Transcription) -> None:
    run.segments.filter(index=1).update(correction="We unwrapped it.", version=1)
    done = join(run.recording, run, 0, 0, 1)
    (joined,) = done.segments
    assert (joined.start, joined.end, done.gone) == (0, 12.9, [1])
    assert joined.text == "So the cause was nesting. We wrapped it."
    assert joined.correction == "So the cause was nesting. We unwrapped it."
    assert len(joined.words) == 8
    assert texts(run) == ["So the cause was nesting. We unwrapped it.", "显存曲线应该是平的"]


def test_a_join_passes_over_what_says_nothing(run: Transcription) -> None:
    run.segments.filter(index=1).update(text="", words=[])
    done = join(run.recording, run, 0, 0)
    assert (done.gone, texts(run)) == ([1, 2], ["So the cause was nesting. 显存曲线应该是平的"])


def test_a_segment_that_moves_takes_its_words_along(run: Transcription) -> None:
    (moved,) = retime(run.recording, run, 1, 9.5, 12.4, 0).segments
    assert (moved.start, moved.end) == (9.5, 12.4)
    assert word_times(moved) == [("We", 9.5, 10.4), ("wrapped", 10.5, 11.4), ("it.", 11.5, 12.4)]


def test_a_segment_that_gets_shorter_keeps_its_words_inside_and_longer_again_at_their_times(run: Transcription) -> None:
    before = word_times(run.segments.get(index=1))
    (shorter,) = retime(run.recording, run, 1, 10, 11.5, 0).segments
    assert word_times(shorter) == [("We", 10, 10.9), ("wrapped", 11, 11.5), ("it.", 11.5, 11.5)]
    (longer,) = retime(run.recording, run, 1, 10, 12.9, 1).segments
    assert word_times(longer) == before


@pytest.mark.parametrize(
    ("start", "end", "code"),
    [
        (4.0, 12.9, "times_taken"),
        (10.0, 20.5, "times_taken"),
        (12.0, 11.0, "times_taken"),
        (10.0, 10.05, "too_short"),
        (4.9, 20.0, None),
    ],
)
def test_times_stay_between_the_neighbours(run: Transcription, start: float, end: float, code: str | None) -> None:
    if code is None:
        assert retime(run.recording, run, 1, start, end, 0).segments
        return
    with pytest.raises(Problem) as refused:
        retime(run.recording, run, 1, start, end, 0)
    assert refused.value.code == code
    assert run.segments.get(index=1).version == 0


CHANGES = {
    "split": lambda run, version: split(run.recording, run, 1, ("We", "wrapped it."), version),
    "split what was corrected": lambda run, version: split(run.recording, run, 1, ("Why", "did we wrap?"), version),
    "join": lambda run, version: join(run.recording, run, 1, version),
    "retime": lambda run, version: retime(run.recording, run, 1, 9, 13, version),
    "move": lambda run, version: retime(run.recording, run, 1, 9, 11.9, version),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_change_can_be_undone_once(run: Transcription, change: Any) -> None:
    before = rows(run)
    done: Rearranged = change(run, 0)
    assert rows(run) != before
    take_back(run.recording, run, done.undo)
    assert rows(run) == before
    with pytest.raises(Problem) as refused:
        take_back(run.recording, run, done.undo)
    assert refused.value.code == "not_undoable"
    assert min(segment.version for segment in run.segments.filter(index=1)) == 2  # open pages fetch it again


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_nothing_that_a_person_did_since_is_undone(run: Transcription, change: Any) -> None:
    done: Rearranged = change(run, 0)
    Segment.objects.filter(pk=done.segments[-1].pk).update(correction="Mine.", version=9)
    after = rows(run)
    with pytest.raises(Problem) as refused:
        take_back(run.recording, run, done.undo)
    assert (refused.value.code, rows(run)) == ("not_undoable", after)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_what_was_changed_meanwhile_is_refused(run: Transcription, change: Any) -> None:
    run.segments.filter(index=1).update(correction="Theirs.", version=1)
    before = rows(run)
    with pytest.raises(EditConflict) as refused:
        change(run, 0)
    assert (refused.value.segment.correction, rows(run)) == ("Theirs.", before)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_nothing_is_arranged_while_segments_still_come(run: Transcription, change: Any) -> None:
    Transcription.objects.filter(pk=run.pk).update(status="transcribing")
    with pytest.raises(Problem) as refused:
        change(run, 0)
    assert refused.value.code == "still_transcribing"


@pytest.mark.parametrize("texts", [("", "We wrapped it."), ("We wrapped it.", " ")])
def test_a_part_without_text_is_no_part(run: Transcription, texts: tuple[str, str]) -> None:
    with pytest.raises(Problem) as refused:
        split(run.recording, run, 1, texts, 0)
    assert refused.value.code == "nothing_to_split"


def test_the_last_one_has_none_to_be_joined_with(run: Transcription) -> None:
    with pytest.raises(Problem) as refused:
        join(run.recording, run, 2, 0)
    assert refused.value.code == "no_next_segment"


# --- The API -----------------------------------------------------------------------------------


@pytest.fixture
def mei(client: Client, run: Transcription) -> Client:
    client.force_login(run.recording.owner)
    return client


def sent(caller: Client, made: Recording, method: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
    call = getattr(caller, method)
    headers = {"X-CSRFToken": "a script's"}
    answer = call(f"/api/recordings/{made.pk}/{path}", body, content_type="application/json", headers=headers)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("method", "path", "body", "shown"),
    [
        ("post", "segments/1/split", {"texts": ["We", "wrapped it."]}, ["We", "wrapped it."]),
        ("post", "segments/1/join", {}, ["We wrapped it. 显存曲线应该是平的"]),
        ("put", "segments/1/times", {"start": 9, "end": 13}, ["We wrapped it."]),
    ],
)
def test_programs_arrange_too(
    mei: Client, run: Transcription, method: str, path: str, body: dict[str, Any], shown: list[str]
) -> None:
    before = rows(run)
    status, done = sent(mei, run.recording, method, path, **body, version=0, transcription=run.pk)
    assert (status, [segment["text"] for segment in done["segments"]]) == (200, shown)
    status, again = sent(mei, run.recording, method, path, **body, version=0, transcription=run.pk)
    assert (status, again["error"]["code"], again["segment"]["version"]) == (409, "edit_conflict", 1)
    status, _ = sent(mei, run.recording, "post", "undo", undo=done["undo"])
    assert (status, rows(run)) == (200, before)
    assert sent(mei, run.recording, "post", "undo", undo=done["undo"])[0] == 409


def test_an_undo_counts_where_it_was_given_only(mei: Client, run: Transcription) -> None:
    """It names its transcription. That of another recording, of the same person or not, is not found by it."""
    other = recording(title="Other")
    _, done = sent(mei, run.recording, "post", "segments/1/join", version=0)
    before = rows(run)
    assert sent(mei, other, "post", "undo", undo=done["undo"])[0] == 404
    assert sent(mei, run.recording, "post", "undo", undo=f"{done['undo']}x")[0] == 409
    mei.force_login(User.objects.create_user("jonas"))
    assert sent(mei, run.recording, "post", "undo", undo=done["undo"])[0] == 404
    assert rows(run) == before
