"""The words of a corrected text are found among those that were spoken."""

import random
from difflib import SequenceMatcher
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings.transcripts.alignment import matches

words = st.lists(st.sampled_from("abcde"), max_size=80)


@given(words, words)
def test_matches_are_equal_words_in_one_order(a: list[str], b: list[str]) -> None:
    found = matches(a, b)
    assert all(a[i] == b[j] for i, j in found)
    assert all(i < k and j < m for (i, j), (k, m) in pairwise(found))


@given(words)
def test_a_text_matches_itself(a: list[str]) -> None:
    assert matches(a, a) == [(n, n) for n in range(len(a))]


@pytest.mark.parametrize("seed", range(8))
def test_in_a_usual_correction_as_many_words_are_found_as_by_difflib(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 not a secret
    vocabulary = [f"word{n}" for n in range(40)] + ["the", "a", "of", "to", "is"] * 8
    spoken = chance.choices(vocabulary, k=200)
    typed = [word for word in spoken if chance.random() > 0.1]
    for _ in range(20):
        typed.insert(chance.randrange(len(typed)), chance.choice(vocabulary))
    blocks = SequenceMatcher(None, spoken, typed, autojunk=False).get_matching_blocks()
    assert len(matches(spoken, typed)) >= 0.95 * sum(block.size for block in blocks)
