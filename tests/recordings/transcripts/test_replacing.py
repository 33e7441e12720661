"""Find and replace in a whole text: what is found, what is replaced, and how it is undone."""

from typing import Any

import pytest
from django.test import Client

from recordings.models import Segment, Transcription
from recordings.transcripts.replacing import Sought, matches_in, replace
from recordings.transcripts.undoing import take_back
from recordings.transcripts.words import shown_text, shown_words
from tests.support.rows import recording, transcribed
from web.problems import Problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Transcription:
    return transcribed(recording(), "Style wraps style.", "Nothing.", "The lifestyle of STYLE  ", "语音识别，语音")


def texts(run: Transcription) -> list[str]:
    return [shown_text(segment) for segment in run.segments.all()]


@pytest.mark.parametrize(
    ("sought", "by", "count", "after"),
    [
        (Sought("style"), "Stile", 4, ["Stile wraps Stile.", "Nothing.", "The lifeStile of Stile", "语音识别，语音"]),
        (
            Sought("style", whole_words=True),
            "Stile",
            3,
            ["Stile wraps Stile.", "Nothing.", "The lifestyle of Stile", "语音识别，语音"],
        ),
        (
            Sought("STYLE", match_case=True),
            "",
            1,
            ["Style wraps style.", "Nothing.", "The lifestyle of", "语音识别，语音"],
        ),
        (Sought("语音"), "声音", 2, ["Style wraps style.", "Nothing.", "The lifestyle of STYLE", "声音识别，声音"]),
        (
            Sought("语音", whole_words=True),
            "音",
            2,
            ["Style wraps style.", "Nothing.", "The lifestyle of STYLE", "音识别，音"],
        ),
        (Sought("wraps   style"), r"\1", 1, [r"Style \1.", "Nothing.", "The lifestyle of STYLE", "语音识别，语音"]),
        (
            Sought(".", whole_words=True),
            "!",
            2,
            ["Style wraps style!", "Nothing!", "The lifestyle of STYLE", "语音识别，语音"],
        ),
        (Sought("nowhere"), "x", 0, ["Style wraps style.", "Nothing.", "The lifestyle of STYLE", "语音识别，语音"]),
        (
            Sought("Nothing"),
            "Nothing",
            0,
            ["Style wraps style.", "Nothing.", "The lifestyle of STYLE", "语音识别，语音"],
        ),
    ],
)
def test_every_match_is_replaced_and_the_undo_brings_all_back(
    run: Transcription, sought: Sought, by: str, count: int, after: list[str]
) -> None:
    before = list(run.segments.values("index", "text", "correction", "words"))
    replaced, done = replace(run.recording, run, sought, by)
    assert (replaced, texts(run)) == (count, after)
    changed = {segment.index for segment in done.segments}
    assert {segment.index for segment in run.segments.all() if segment.version} == changed
    if count:
        take_back(run.recording, run, done.undo)
    assert list(run.segments.values("index", "text", "correction", "words")) == before


def test_what_people_wrote_is_replaced_too_and_the_machines_text_is_no_correction(run: Transcription) -> None:
    run.segments.filter(index=1).update(correction="Style!", version=1)
    run.segments.filter(index=0).update(text="Stile wraps style.", correction="Style wraps style.", version=1)
    replace(run.recording, run, Sought("Style", match_case=True), "Stile")
    assert texts(run)[:2] == ["Stile wraps style.", "Stile!"]
    assert run.segments.get(index=0).correction is None


def test_words_keep_their_times_in_a_replaced_text(run: Transcription) -> None:
    words = [
        {"start": n, "end": n + 0.5, "word": word, "probability": 0.9}
        for n, word in enumerate(("Style", " wraps", " style."))
    ]
    run.segments.filter(index=0).update(words=words, end=3)
    replace(run.recording, run, Sought("wraps"), "does wrap")
    shown = {word.text: word.start for word in shown_words(run.segments.get(index=0))}
    assert (shown["Style"], shown["style."]) == (0, 2)


def test_the_undo_leaves_what_a_person_changed_since(run: Transcription) -> None:
    _, done = replace(run.recording, run, Sought("style"), "Stile")
    run.segments.filter(index=0).update(correction="Mine.", version=2)
    back = take_back(run.recording, run, done.undo)
    assert [segment.index for segment in back.segments] == [2]
    assert texts(run)[:3] == ["Mine.", "Nothing.", "The lifestyle of STYLE"]


def test_nothing_is_replaced_where_one_text_would_become_too_long(run: Transcription) -> None:
    Segment.objects.filter(transcription=run, index=2).update(text="a" * 100)
    with pytest.raises(Problem) as refused:
        replace(run.recording, run, Sought("a"), "b" * 400)
    assert refused.value.code == "text_too_long"
    assert not run.segments.exclude(version=0).exists()


def test_a_match_is_shown_with_its_surroundings(run: Transcription) -> None:
    Segment.objects.filter(transcription=run, index=1).update(text="é" * 90 + "style" + "é" * 90)
    found = [(one.segment.index, one.before, one.found, one.after) for one in matches_in(run, Sought("style"))]
    assert found[0] == (0, "", "Style", " wraps style.")
    assert found[2] == (1, "é" * 40, "style", "é" * 40)


def test_programs_find_replace_and_undo(client: Client, run: Transcription) -> None:
    client.force_login(run.recording.owner)
    address = f"/api/recordings/{run.recording_id}"

    def sent(path: str, **body: Any) -> dict[str, Any]:
        headers = {"X-CSRFToken": "a script's"}
        answer = client.post(f"{address}/{path}", body, content_type="application/json", headers=headers)
        assert answer.status_code == 200, answer.content
        return dict(answer.json())

    found = client.get(f"{address}/matches", {"find": "style"}).json()
    assert (found["count"], found["segments"], found["items"][0]["after"]) == (4, 2, " wraps style.")
    for nothing in ("", " ", " \t\n "):  # an empty text would match everywhere
        assert client.get(f"{address}/matches", {"find": nothing}).status_code == 422
        body = {"find": nothing, "replace": "x"}
        assert client.post(f"{address}/replace", body, content_type="application/json").status_code == 422
    done = sent("replace", find="style", replace="Stile", transcription=run.pk)
    assert (done["count"], [segment["index"] for segment in done["segments"]]) == (4, [0, 2])
    assert texts(run)[0] == "Stile wraps Stile."
    sent("undo", undo=done["undo"])
    assert texts(run)[0] == "Style wraps style."
