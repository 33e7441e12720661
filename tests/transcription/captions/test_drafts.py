"""When a word of a caption becomes stable, and where a caption may end while its speaker goes on."""

import pytest

from transcription.captions.drafts import Draft
from transcription.captions.words import CaptionWord


def said(*words: str, probability: float | None = 0.7, starts: float = 0.0) -> list[CaptionWord]:
    """Words of half a second each."""
    return [
        CaptionWord(f" {word}" if number else word, starts + number / 2, starts + number / 2 + 0.5, probability)
        for number, word in enumerate(words)
    ]


def test_a_word_settles_when_two_recognitions_in_a_row_agree_on_it() -> None:
    draft = Draft()
    for second, words, settled in (
        (1.0, ("how", "do"), ""),
        (2.0, ("had", "he", "merry"), ""),
        (3.0, ("had", "he", "married"), "had he"),
        (4.0, ("had", "she", "married"), "had he married"),
    ):
        draft.hear(said(*words), 0, second)
        assert draft.settled == settled


def test_a_word_that_the_server_doubts_settles_only_when_more_was_heard() -> None:
    draft = Draft()
    for second, settled in ((1.0, ""), (2.0, ""), (2.9, ""), (3.1, "how")):
        draft.hear(said("how", probability=0.3), 0, second)
        assert draft.settled == settled


def test_a_word_that_the_server_is_sure_of_settles_at_once_unless_it_is_the_newest() -> None:
    draft = Draft()
    draft.hear(said("had", "he", "married", probability=0.9), 0, 1.6)
    assert draft.settled == "had he"


def test_a_word_that_the_sound_may_have_ended_in_is_shown_when_it_is_heard_again_or_more_is_said() -> None:
    draft = Draft()
    draft.hear(said("had", "he", "merry."), 0, 1.6)
    assert draft.likely(1.6) == "had he"
    draft.hear(said("had", "he", "married.", "a"), 0, 2.0)
    assert draft.likely(2.0) == "had he married"
    draft.hear(said("had", "he", "married.", "a"), 0, 2.1)
    assert draft.likely(2.1) == "had he married. a"


def test_where_the_server_tells_no_times_all_that_is_heard_is_shown_less_the_punctuation_at_its_end() -> None:
    draft = Draft()
    assert draft.likely(0.0) == ""
    draft.hear([CaptionWord("had"), CaptionWord(" he,"), CaptionWord(" merry.")], 0, 1.6)
    assert draft.likely(1.6) == "had he, merry"


def test_a_draft_that_is_cut_short_keeps_what_is_settled_and_counts_nothing_as_heard() -> None:
    draft = Draft()
    draft.hear(said("had", "he"), 40, 1.1)
    draft.hear(said("had", "he", "merry"), 60, 1.6)
    draft.cut_short()
    assert (draft.text, draft.settled, draft.heard, draft.heard_before) == ("had he", "had he", 0, 0)
    draft.hear(said("had", "he", "married", "a"), 50, 2.1)
    assert (draft.text, draft.settled) == ("had he married a", "had he")


@pytest.mark.parametrize(
    ("words", "ends"),
    [
        (("It", "is", "large.", "And"), 3),
        (("It", "is", "large.", "And", "older.", "But"), 5),
        (("It", "is", "so.", "And"), 0),  # as short as an abbreviation
        (("So.", "And", "large", "too"), 0),  # too short to stand alone
        (("It", "is", "large.", "And", "Mr.", "John"), 3),
        (("one", "two,", "three", "four"), 0),
        (("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12,", "13", "14"), 12),
        (("It", "is", "large."), 0),  # nothing settled follows
    ],
)
def test_a_caption_may_end_behind_a_settled_sentence_or_after_long_behind_a_clause(
    words: tuple[str, ...], ends: int
) -> None:
    draft = Draft()
    for _ in range(2):
        draft.hear(said(*words), 0, 10.0)
    boundary = draft.boundary(0.0, 0)
    assert (boundary[0] if boundary else 0) == ends


def test_no_caption_ends_inside_of_what_people_saw_settled_in_it() -> None:
    draft = Draft()
    for _ in range(2):
        draft.hear(said("It", "is", "large.", "And"), 0, 10.0)
    assert draft.boundary(0.0, 4) is None
    assert draft.boundary(0.0, 3) == (3, 1.5, 1.5)


def test_where_the_server_tells_no_times_no_caption_ends_before_its_speaker() -> None:
    draft = Draft()
    for _ in range(2):
        draft.hear([CaptionWord("It"), CaptionWord(" is"), CaptionWord(" large."), CaptionWord(" And")], 0, 10.0)
    assert draft.settled == "It is large. And"
    assert draft.boundary(0.0, 0) is None
