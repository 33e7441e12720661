"""Text that Whisper invented is taken out; words that people repeat stay."""

import pytest

from transcription.answer import HeardWord, Transcript, TranscriptSegment
from transcription.doubts import without_inventions


def transcript(*segments: TranscriptSegment, words: tuple[HeardWord, ...] = ()) -> Transcript:
    return Transcript(" ".join(segment.text for segment in segments), "en", 30.0, segments, words)


def repeated(word: str, times: int, seconds: float, start: float = 0.0) -> tuple[HeardWord, ...]:
    """The word `times` times, each `seconds` long."""
    return tuple(HeardWord(start + n * seconds, start + (n + 1) * seconds, word) for n in range(times))


def test_a_slogan_that_people_shout_again_and_again_stays() -> None:
    slogan = TranscriptSegment(0.0, 8.0, "加油" * 20, -0.2, 0.1, compression_ratio=8.0)
    shouted = transcript(slogan, words=repeated("加油", 20, 0.4))
    assert without_inventions(shouted) is shouted


def test_a_loop_whose_words_take_no_time_goes() -> None:
    """As measured, such a loop begins at the pace of speech, and runs on when the sound has ended."""
    loop = TranscriptSegment(3.0, 30.0, "I'm sorry, " * 40, -0.06, 0.4, compression_ratio=20.0)
    said = TranscriptSegment(0.0, 2.0, "What was really said.", -0.2, 0.1, compression_ratio=1.2)
    words = repeated("said", 4, 0.5)
    sorry = (*repeated("sorry", 20, 0.5, start=4.0), *repeated("sorry", 20, 0.0, start=29.5))
    assert without_inventions(transcript(said, loop, words=words + sorry)) == transcript(said, words=words)


def test_where_the_server_gives_no_words_every_loop_goes() -> None:
    loop = TranscriptSegment(0.0, 30.0, "so " * 100, -0.06, 0.4, compression_ratio=20.0)
    assert without_inventions(transcript(loop)).text == ""


def test_what_is_improbable_and_probably_silence_goes() -> None:
    silence = TranscriptSegment(0.0, 2.0, "Thank you.", -1.2, 0.9, compression_ratio=0.7)
    assert without_inventions(transcript(silence, words=repeated("you", 2, 1.0))).text == ""


@pytest.mark.parametrize(("logprob", "no_speech"), [(-1.2, 0.1), (-0.3, 0.9), (None, None)])
def test_one_doubt_alone_takes_nothing_out(logprob: float | None, no_speech: float | None) -> None:
    mumbled = transcript(TranscriptSegment(0.0, 2.0, "Thank you.", logprob, no_speech, compression_ratio=0.7))
    assert without_inventions(mumbled) is mumbled
