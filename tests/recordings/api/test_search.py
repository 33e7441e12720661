"""Searching in all that a person has, as programs do."""

from typing import Any

import httpx
import pytest

from recordings.models import Segment
from tests.support.answers import code
from tests.support.rows import recording, transcribed
from tests.support.site import Site


def search(program: httpx.Client, q: str, **more: Any) -> dict[str, Any]:
    answer = program.get("/api/search", params={"q": q, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_titles_and_shown_texts_are_found_with_their_moments(site: Site) -> None:
    program = site.program()
    said = recording(title="Weekly")
    transcribed(said, "old words about the budget")
    run = transcribed(said, "Hello.", "The budget, again.", "先说预算。")
    titled = recording(title="Budget 2027")
    transcribed(titled, "Nothing.")
    found = search(program, "budget")
    assert [item["id"] for item in found["items"]] == [titled.pk, said.pk]
    title, text = found["items"]
    assert title["title"] == [{"text": "Budget", "found": True}, {"text": " 2027", "found": False}]
    assert (title["hits"], title["count"]) == ([], 0)
    assert (text["transcription"], text["count"], text["duration"]) == (run.pk, 1, 60.0)
    assert text["hits"] == [
        {
            "index": 1,
            "start": 30.0,
            "text": [
                {"text": "The ", "found": False},
                {"text": "budget", "found": True},
                {"text": ", again.", "found": False},
            ],
        }
    ]
    assert [item["hits"][0]["index"] for item in search(program, "预算")["items"]] == [2]
    assert search(program, "old")["items"] == []
    assert search(program, "budget hello")["items"] == []


def test_a_correction_is_found_and_not_what_it_corrects(site: Site) -> None:
    program = site.program()
    run = transcribed(recording(), "a ship")
    Segment.objects.filter(transcription=run).update(correction="a sheep")
    assert search(program, "ship")["items"] == []
    [item] = search(program, "sheep")["items"]
    assert item["hits"][0]["text"][1] == {"text": "sheep", "found": True}


def test_only_ones_own_recordings_are_found(site: Site) -> None:
    program = site.program()
    theirs = recording("ann", title="Secret plan")
    transcribed(theirs, "secret words")
    assert search(program, "secret") == {"items": [], "next_cursor": None}
    foreign = program.get("/api/search", params={"q": "secret", "recording": theirs.pk})
    none = program.get("/api/search", params={"q": "secret", "recording": 10**9})
    assert code(foreign) == code(none) == (404, "not_found")


def test_pages_follow_each_other(site: Site) -> None:
    program = site.program()
    made = [recording(title=f"Standup {number}").pk for number in range(5)]
    recording(title="Retrospective")
    pages, cursor = [], None
    for _ in range(3):
        page = search(program, "standup", limit=2, **({"cursor": cursor} if cursor else {}))
        pages.append([item["id"] for item in page["items"]])
        cursor = page["next_cursor"]
    assert (pages, cursor) == ([made[4:2:-1], made[2:0:-1], made[:1]], None)


def test_one_recording_is_looked_through(site: Site) -> None:
    program = site.program()
    pk = recording().pk
    transcribed(recording(), "gnu")
    run = transcribed(recording(), *["gnu"] * 7)
    [item] = search(program, "gnu", recording=run.recording_id)["items"]
    assert (len(item["hits"]), item["count"]) == (3, 7)
    [item] = search(program, "gnu", recording=run.recording_id, hits=100)["items"]
    assert [hit["index"] for hit in item["hits"]] == list(range(7))
    assert search(program, "gnu", recording=pk)["items"] == []


@pytest.mark.parametrize("q", ["", "  ", "%", "\x00", '""', "。"])
def test_a_query_without_a_letter_finds_nothing(site: Site, q: str) -> None:
    recording(title="100% 。")
    assert search(site.program(), q) == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"q": "x" * 201},
        *({"q": "x"} | more for more in ({"limit": 0}, {"limit": 51}, {"hits": 0}, {"hits": 101}, {"cursor": "x"})),
        {"q": "x", "recording": 0},
        {"q": "x", "recording": 2**63},
    ],
)
def test_what_is_out_of_bounds_is_refused(site: Site, wrong: dict[str, Any]) -> None:
    assert code(site.program().get("/api/search", params=wrong)) == (422, "invalid_request")


def test_the_text_that_a_person_went_back_to_is_searched(site: Site) -> None:
    program = site.program()
    made = recording()
    first, second = transcribed(made, "heard first"), transcribed(made, "heard second")
    assert search(program, "second")["items"]
    program.post(f"/api/recordings/{made.pk}/transcriptions/{first.pk}/restore").raise_for_status()
    assert search(program, "second")["items"] == []
    assert [item["transcription"] for item in search(program, "first")["items"]] == [first.pk]
    assert second.pk
