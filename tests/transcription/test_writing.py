"""Texts are joined and cut by the rules of their scripts."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcription.answer import Transcript, TranscriptSegment
from transcription.doubts import without_inventions
from transcription.writing import clusters, gap, head, join, tail


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["One.", "", "Two."], "One. Two."),
        (["三。", "四。"], "三。四。"),
        (["きょうは", "アメリカへ"], "きょうはアメリカへ"),
        (["ﾃｽﾄ", "です"], "ﾃｽﾄです"),
        (["안녕하세요 반갑습니다", "오늘은 날씨가 좋습니다"], "안녕하세요 반갑습니다 오늘은 날씨가 좋습니다"),
        (["안녕하세요.", "네"], "안녕하세요. 네"),
        (["สวัสดีครับ", "วันนี้อากาศดี"], "สวัสดีครับ วันนี้อากาศดี"),  # Thai writes spaces between phrases
        (["नमस्ते", "दोस्तों"], "नमस्ते दोस्तों"),
        (["مرحبا", "بالعالم"], "مرحبا بالعالم"),
        (["Five", "六"], "Five 六"),
        (["六", "seven"], "六 seven"),
        (["He said “yes.”", "“No,” she said."], "He said “yes.” “No,” she said."),
        (["他说：“好。”", "“不行，”她说。"], "他说：“好。”“不行，”她说。"),
        (["等等……", "什么？"], "等等……什么？"),
        (["Wait…", "what?"], "Wait… what?"),
        (["…", "…"], "… …"),
        (["「はい」", "（笑）"], "「はい」（笑）"),
        ([], ""),
    ],
)
def test_a_space_stands_between_texts_where_their_scripts_have_one(texts: list[str], joined: str) -> None:
    assert join(texts) == joined
    pieces = [text for text in texts if text]
    assert joined == "".join(gap(before, text) + text for before, text in zip(["", *pieces], pieces, strict=False))


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("abc", ["a", "b", "c"]),
        ("né", ["n", "é"]),
        ("ne\u0301e", ["n", "e\u0301", "e"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("น้ำ", ["น้ำ"]),
        ("เขา", ["เข", "า"]),  # the vowel that is written first is spoken last
        ("ແມ່ນ", ["ແມ່", "ນ"]),
        ("हिन्दी", ["हि", "न्दी"]),
        ("தமிழ்", ["த", "மி", "ழ்"]),
        ("👨‍👩‍👧‍👦🇩🇪👍🏽", ["👨‍👩‍👧‍👦", "🇩🇪", "👍🏽"]),
        ("☀️", ["☀️"]),
        ("각", ["각"]),
        ("\u1100\u1161\u11a8", ["\u1100\u1161\u11a8"]),  # the same syllable as three letters
    ],
)
def test_a_letter_keeps_its_marks(text: str, cut: list[str]) -> None:
    assert clusters(text) == cut


@given(st.text(max_size=60), st.integers(0, 70))
def test_what_is_cut_off_is_whole_clusters_of_the_text(text: str, most: int) -> None:
    assert "".join(clusters(text)) == text
    for part, rest in ((head(text, most), text[len(head(text, most)) :]), (tail(text, most), "")):
        assert len(part) <= most
        assert not rest or unicodedata.category(rest[0]) not in {"Mn", "Me"} or rest == text
    assert text.startswith(head(text, most))
    assert text.endswith(tail(text, most))


def test_a_korean_sentence_that_is_taken_out_takes_only_one_space_along() -> None:
    said = TranscriptSegment(0, 4, "안녕하세요 반갑습니다", -0.2, 0.01, 1.2)
    invented = TranscriptSegment(4, 8, "시청해주셔서 감사합니다", -1.5, 0.9, 1.2)
    last = TranscriptSegment(8, 14, "오늘은 날씨가 좋습니다", -0.2, 0.01, 1.2)
    heard = Transcript("", "ko", 15, (said, invented, last), ())
    assert without_inventions(heard).text == "안녕하세요 반갑습니다 오늘은 날씨가 좋습니다"
