"""A hit shows the sentence with the words, marked, and leads to the moment where they are said."""

import pytest

from recordings.models import Segment
from recordings.search.hits import LEAD, Hit, marked
from recordings.search.query import LONGEST, Query
from tests.support.rows import words


def hit(typed: str, text: str, correction: str | None = None) -> Hit:
    """A hit in a segment of 19 seconds that begins at 100."""
    segment = Segment(index=0, start=100, end=119, text=text, words=words(text, 100), correction=correction)
    return Hit.of(segment, Query.parse(typed))


def shown(found: Hit) -> str:
    return "".join(f"[{piece.text}]" if piece.found else piece.text for piece in found.pieces)


@pytest.mark.parametrize(
    ("typed", "text", "expected"),
    [
        ("queue", "First this. Then the queue is long. And more.", "Then the [queue] is long."),
        ("long queue", "A queue. Then the queue is long. And more.", "Then the [queue] is [long]."),
        ("long queue", "A queue. It is long.", "A [queue]."),
        ('"long. And"', "It is long. And more.", "It is [long. And]"),
        ("Café", "THE CAFE\u0301S are open", "THE [CAFE\u0301]S are open"),
        ("ÉCOLE", "une e\u0301cole", "une [e\u0301cole]"),
        ("会议", "预算说完了。会议到此结束，会议很长。", "[会议]到此结束，[会议]很长。"),
        ("议到", "会议到此。", "会[议到]此。"),
        ("<b>", "a <b>bold</b> word", "a <[b]>bold</[b]> word"),
    ],
)
def test_the_sentence_with_most_of_the_words_is_shown(typed: str, text: str, expected: str) -> None:
    assert shown(hit(typed, text)) == expected


def test_a_correction_is_shown_in_place_of_the_machines_text() -> None:
    assert shown(hit("sheep", "a ship", "a sheep\nand more")) == "a [sheep] and more"


def test_a_long_sentence_is_cut_before_and_after() -> None:
    found = shown(hit("needle", "hay " * 100 + "needle " + "straw " * 100))
    assert found.startswith("…")
    assert "[needle]" in found
    assert found.endswith("…")
    assert len(found) < 320


@pytest.mark.parametrize("text", ["one two three four five six seven eight", "一二三四五六七八"])
def test_the_moment_is_that_of_the_word_with_a_little_before_it(text: str) -> None:
    step = 19 / 8
    assert hit(text.split()[5] if " " in text else "六七", text).start == pytest.approx(100 + 5 * step - LEAD, abs=0.01)
    assert hit("one" if " " in text else "一二", text).start == 100


def test_a_word_that_a_person_wrote_has_the_moment_of_the_word_in_its_place() -> None:
    assert hit("sheep", "a ship", "a sheep").start == pytest.approx(100 + 19 / 2 - LEAD, abs=0.01)


@pytest.mark.parametrize(
    ("typed", "title", "expected"),
    [
        ("review plan", "Plan and review, 2nd review", ["Plan", "review", "review"]),
        ("nothing", "Standup", []),
        ("istan", "İstanbul", ["İstan"]),
        ("ß", "Straße", []),
        ("straß", "Straße ẞ", ["Straß"]),
    ],
)
def test_a_title_is_marked_whole(typed: str, title: str, expected: list[str]) -> None:
    pieces = marked(title, Query.parse(typed))
    assert "".join(piece.text for piece in pieces) == title
    assert [piece.text for piece in pieces if piece.found] == expected


def test_a_long_query_is_cut() -> None:
    assert len(Query.parse("ab " * 1000).terms) <= LONGEST / 3 + 1
    assert Query.parse("会" * 5000).terms[0].terms[0] == "会会"
