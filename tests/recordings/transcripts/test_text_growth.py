"""The work on a text grows in proportion to its length, whatever was said or typed.

The tests count lines of Python that run: the count is the same on every machine. `bench/text` measures seconds.
"""

import gc
import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from django.utils import timezone

from recordings.models import Recording, Segment, Transcription
from recordings.transcripts.docx_file import as_docx
from recordings.transcripts.exports import as_json, as_md, as_srt, as_txt, as_vtt
from recordings.transcripts.sentences import lines
from recordings.transcripts.transcript import FullTranscript

SIZE = 1_500  # words; twice that is near the longest correction that is taken (10,000 characters)
LINEAR = 2.4  # twice the size may take so many times the steps; n log n takes 2.2 times at this size


def steps(work: Callable[[], object]) -> int:
    """How many lines of Python the work runs."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    gc.disable()  # its finalizers would be counted, too
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def said(words: list[str], typed: str | None = None) -> Segment:
    timed = [{"start": n * 0.3, "end": n * 0.3 + 0.3, "word": f" {word}"} for n, word in enumerate(words)]
    end = 0.3 * len(words)
    return Segment(index=0, start=0.0, end=end, text=" ".join(words), words=timed, correction=typed)


def shuffled(size: int) -> Segment:
    words = [f"w{n}" for n in range(size)]
    return said(words, " ".join(random.Random(1).sample(words, size)))  # noqa: S311 not a secret


def layered(size: int) -> Segment:
    """Words in layers: those of a layer are unique only between those of the next layer, down to the last."""
    words: list[str] = []
    for layer in range(size // 2):
        words.insert(len(words) // 2, f"w{layer % 40}")
        words.append(f"v{layer % 60}")
    return said(words, " ".join(reversed(words)))


HARD: dict[str, Callable[[int], Segment]] = {
    "one word again and again": lambda n: said(["a"] * n, "a " * (n // 2) + "b" + " a" * (n // 2)),
    "two words in turns": lambda n: said(["a", "b"] * (n // 2), "b a a " * (n // 3)),
    "three words in turns": lambda n: said(["a", "b", "c"] * (n // 3), "c b a d " * (n // 4)),
    "all words in another order": shuffled,
    "all words backwards": lambda n: said([f"w{i}" for i in range(n)], " ".join(f"w{i}" for i in reversed(range(n)))),
    "layers of words": layered,
    "nothing in common": lambda n: said(["a"] * n, "b " * n),
    "one long word": lambda n: said(["x" * n]),
    "one long word with marks": lambda n: said(["e\u0301" * n]),
    "one letter with many marks": lambda n: said(["e" + "\u0301" * n]),
    "Chinese without a comma": lambda n: said(["你"] * n),
    "Thai without a space": lambda n: said(["ที่" * n]),
    "emoji": lambda n: said(["👨‍👩‍👧‍👦" * (n // 4)]),
    "opening brackets": lambda n: said(["（" * n]),
    "words without length": lambda n: Segment(
        index=0, start=0.0, end=9.0, text="so " * n, words=[{"start": 8.0, "end": 8.0, "word": " so"}] * n
    ),
    "words in one place and words without a time": lambda n: Segment(
        index=0,
        start=0.0,
        end=9.0,
        text="so " * n,
        words=[{"start": 8.0, "end": 8.0, "word": " so"}] * n,
        correction="so and " * (n // 2),
    ),
}


def transcript(*segments: Segment) -> FullTranscript:
    return FullTranscript(Recording(title="Long", duration=1.0), Transcription(), segments)


@pytest.mark.parametrize("kind", HARD)
def test_a_hard_text_takes_twice_the_steps_at_twice_the_size(kind: str) -> None:
    for work in (as_srt, as_json):
        small, large = (transcript(HARD[kind](size)) for size in (SIZE, 2 * SIZE))
        assert steps(lambda: work(large)) <= LINEAR * steps(lambda: work(small)) + 5_000, work.__name__  # noqa: B023
    one, two = (HARD[kind](size) for size in (SIZE, 2 * SIZE))
    assert steps(lambda: lines(two)) <= LINEAR * steps(lambda: lines(one)) + 5_000


@pytest.mark.parametrize("work", [as_srt, as_vtt, as_json, as_txt, as_md])
def test_twice_the_segments_take_twice_the_steps(work: Callable[[FullTranscript], object]) -> None:
    segment = said(["Word", "after", "word,", "as", "people", "say", "them."])
    small, large = (transcript(*[segment] * size) for size in (200, 400))
    assert steps(lambda: work(large)) <= LINEAR * steps(lambda: work(small))


def test_a_word_document_of_twice_the_segments_takes_twice_the_steps() -> None:
    segment = said(["Word", "after", "word."])
    small, large = (transcript(*[segment] * size) for size in (100, 200))
    small.recording.created_at = large.recording.created_at = timezone.now()
    assert steps(lambda: as_docx(large)) <= LINEAR * steps(lambda: as_docx(small))
