"""How texts of captions are split into words and joined, and when words of two recognitions are the same word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.captioning import written
from transcription.answer import HeardWord, Transcript, TranscriptSegment
from transcription.captions.words import CaptionWord, agreed, caption_words, continued, fixed, joined, without_loops

alphabet = st.sampled_from("ab B.,!?-…'  你好。、ก้é%7")
texts = st.text(alphabet, max_size=40).map(str.strip).filter(lambda text: not text.startswith(("..", "…")))


def words_in(text: str) -> list[CaptionWord]:
    return caption_words(written(text), 0.0, 30.0)


def timed(text: str, *times: float) -> list[CaptionWord]:
    return [CaptionWord(f" {word}", time, time + 0.5) for word, time in zip(text.split(), times, strict=True)]


@given(texts)
def test_words_joined_are_the_text(text: str) -> None:
    assert joined(words_in(text)) == text


@given(texts, st.integers(0, 40), texts)
def test_what_continues_a_stable_text_begins_with_it(text: str, count: int, heard: str) -> None:
    stable = words_in(text)[:count]
    assert joined(continued(stable, words_in(heard))).startswith(fixed(stable))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Mr. Dashwood, then!", ["Mr.", " Dashwood,", " then!"]),
        ("你好，world 7。", ["你", "好，", "world", " 7。"]),
        ("a - b", ["a -", " b"]),
        ("... unless", ["unless"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("", []),
    ],
)
def test_a_word_has_its_punctuation_or_is_a_character(text: str, parts: list[str]) -> None:
    assert [word.text for word in words_in(text)] == parts


def test_case_width_and_punctuation_make_no_other_word() -> None:
    assert agreed(words_in("He said ‘Yes’, at 7."), words_in("he SAID: yes At ７ o'clock")) == 5
    assert agreed(words_in("你好。"), words_in("你好吗")) == 2
    assert agreed(words_in("a b"), []) == 0


def test_punctuation_behind_what_is_stable_may_yet_change() -> None:
    assert fixed(words_in("He was young.")) == "He was young"
    assert joined(continued(words_in("He was young."), words_in("he was young, and rich"))) == "He was young, and rich"


@pytest.mark.parametrize(
    ("stable", "heard", "whole"),
    [
        ("had he merry", "Had he married a more", "had he merry a more"),
        ("had he married", "he married a more", "had he married a more"),
        ("he married", "Had he married a more", "he married a more"),
        ("had he married", "", "had he married"),
    ],
)
def test_what_follows_is_found_where_both_differ_least(stable: str, heard: str, whole: str) -> None:
    assert joined(continued(words_in(stable), words_in(heard))) == whole


def test_texts_that_have_nothing_in_common_are_put_together_by_their_times() -> None:
    stable = timed("one two three", 1.0, 2.0, 3.0)
    heard = timed("eins und zwei drei vier", 1.0, 1.5, 2.0, 3.0, 4.0)
    assert joined(continued(stable, heard)) == "one two three vier"


def test_the_servers_words_lend_their_times_also_without_punctuation_and_to_each_character() -> None:
    words = (
        HeardWord(0.5, 1.0, "Hello", 0.9),
        HeardWord(1.0, 2.0, "世界", 0.5),
        HeardWord(3.0, 3.2, "lost"),
        HeardWord(40.0, 41.0, "end"),
    )
    found = caption_words(Transcript("Hello, 世界。 the end", "en", None, (), words), 10.0, 20.0)
    assert [(word.text, word.start, word.end, word.probability) for word in found] == [
        ("Hello,", 10.5, 11.0, 0.9),
        (" 世", 11.0, 11.5, 0.5),
        ("界。", 11.5, 12.0, 0.5),
        (" the", None, None, None),
        (" end", 20.0, 20.0, None),
    ]


def test_what_nobody_could_say_in_its_time_is_invented() -> None:
    real = TranscriptSegment(0.0, 2.6, "He was not an ill-disposed young man.", -0.1, 0.0, 0.8)
    invented = TranscriptSegment(2.6, 2.96, "I'm sorry, I'm sorry.", -0.9, 0.4, 0.9)
    transcript = Transcript(f"{real.text} {invented.text}", "en", None, (real, invented), ())
    assert joined(caption_words(transcript, 0.0, 3.0)) == real.text


def test_loops_are_said_once_and_people_may_repeat_themselves() -> None:
    assert joined(without_loops(words_in("So thank you. " + "Thank you. " * 9 + "Bye"))) == "So thank you. Bye"
    assert joined(without_loops(words_in("好" * 30))) == "好"
    assert joined(without_loops(words_in("1-2-3" + "-4" * 9 + ", W" + ".W" * 20))) == "1-2-3-4, W.W"
    for text in ("no no no no no, he said", "very very very good", "row, row, row your boat", "1000000000", "ha-ha-ha"):
        assert joined(without_loops(words_in(text))) == text


def test_an_abbreviation_ends_no_sentence() -> None:
    ends = {text: words_in(text)[0].ends_sentence for text in ("Mr.", "man.", "etc.", "So?", "Park.”", "好。", "and")}
    assert ends == {
        "Mr.": False, "man.": False, "etc.": False, "So?": True, "Park.”": True, "好。": True, "and": False
    }  # fmt: skip
