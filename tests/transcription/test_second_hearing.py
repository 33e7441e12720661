"""Utterances that Whisper was not sure of are sent again alone. A second text is kept where it is better."""

import math
from dataclasses import replace

import numpy as np
import pytest

from transcription.answer import HeardWord, Transcript, TranscriptSegment
from transcription.audio import RATE, Samples, Stretch
from transcription.errors import Rejected, Withdrawn
from transcription.second_hearing import DOUBTFUL, FIRST_CREDIT, SecondHearing

Said = tuple[str, float, float]  # a word, the time of its middle in seconds, its probability

FIVE_UTTERANCES = tuple((2.0 * number, 2.0 * number + 1.6) for number in range(5))
ALL = [("One", 0.5, 0.9), ("Two", 2.5, 0.9), ("Three", 4.5, 0.9), ("Four", 6.5, 0.9), ("Five.", 8.5, 0.9)]


def stretch(utterances: tuple[tuple[float, float], ...] = FIVE_UTTERANCES) -> Stretch:
    return Stretch(0, 60.0, 70.0, np.arange(10 * RATE, dtype=np.int16), utterances)


def heard(*words: Said, language: str = "en", text: str | None = None) -> Transcript:
    spoken = tuple(HeardWord(at - 0.2, at + 0.2, f" {word}", chance) for word, at, chance in words)
    return Transcript(text if text is not None else " ".join(word for word, *_ in words), language, None, (), spoken)


def without(*missing: str) -> list[Said]:
    return [word for word in ALL if word[0] not in missing]


class Whisper:
    """Gives its answers one after the other. `sent`: seconds of sound in each request."""

    def __init__(self, *answers: Transcript | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[float] = []

    async def __call__(self, samples: Samples) -> Transcript:
        self.sent.append(len(samples) / RATE)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_what_is_understood_is_heard_once() -> None:
    whisper = Whisper(heard(*ALL))
    assert await SecondHearing(whisper, any_language=True)(stretch()) == heard(*ALL)


async def test_what_is_said_in_another_language_is_kept_in_it_at_its_place_and_time() -> None:
    pinyin = [*ALL[:2], ("Ni", 4.3, 0.3), ("Hao", 4.7, 0.5), *ALL[3:]]
    whisper = Whisper(heard(*pinyin), heard(("你", 0.4, 0.6), ("好", 0.8, 0.8), language="zh", text="你好"))
    mended = await SecondHearing(whisper, any_language=True)(stretch())
    assert mended.text == "One Two 你好 Four Five."
    assert [(word.word.strip(), round(word.start, 3)) for word in mended.words] == [
        *(("One", 0.3), ("Two", 2.3)),
        *(("你", 4.2), ("好", 4.6)),
        *(("Four", 6.3), ("Five.", 8.3)),
    ]
    assert mended.language == "en"
    assert whisper.sent == [10.0, pytest.approx(1.6)]


async def test_the_segments_of_a_mended_transcript_are_its_utterances() -> None:
    pinyin = heard(*ALL[:2], ("Ni", 4.3, 0.3), ("Hao", 4.7, 0.5), *ALL[3:])
    whole = TranscriptSegment(0.0, 10.0, pinyin.text, avg_logprob=-0.5)
    chinese = heard(("你", 0.4, 0.6), ("好", 0.8, 0.8), language="zh", text="你好")
    own = (TranscriptSegment(0.2, 0.6, "你", avg_logprob=-0.1), TranscriptSegment(0.6, 1.0, "好", avg_logprob=-0.2))
    whisper = Whisper(replace(pinyin, segments=(whole,)), replace(chinese, segments=own))
    mended = await SecondHearing(whisper, any_language=True)(stretch())
    assert [(round(each.start, 1), each.text, each.avg_logprob) for each in mended.segments] == [
        *((0.0, "One", -0.5), (2.0, "Two", -0.5)),
        *((4.2, "你", -0.1), (4.6, "好", -0.2)),
        *((6.0, "Four", -0.5), (8.0, "Five.", -0.5)),
    ]
    assert "".join(each.text for each in mended.segments) == mended.text.replace(" ", "")


@pytest.mark.parametrize("any_language", [True, False])
async def test_speech_that_was_left_out_is_heard_by_itself(any_language: bool) -> None:
    whisper = Whisper(
        heard(*without("One", "Three", "Five.")),
        heard(("Five.", 0.5, 0.6)),
        heard(("Three", 0.5, 0.6)),
        heard(("One", 0.5, 0.6)),
    )
    assert (await SecondHearing(whisper, any_language=any_language)(stretch())).text == "One Two Three Four Five."


async def test_of_a_stretch_that_was_all_left_out_every_utterance_is_heard() -> None:
    whisper = Whisper(heard(), *[heard(word) for word in reversed(ALL)])
    assert (await SecondHearing(whisper, any_language=True)(stretch())).text == "One Two Three Four Five."


async def test_where_the_language_is_known_improbable_words_stay_as_they_are() -> None:
    whisper = Whisper(heard(*without("Five."), ("Fife.", 8.5, 0.2)))
    assert (await SecondHearing(whisper, any_language=False)(stretch())).text == "One Two Three Four Fife."


@pytest.mark.parametrize(
    "again",
    [
        heard(("Fine.", 0.5, 0.9)),  # the same language
        heard(("好", 0.5, 0.3), language="zh"),  # less probable
        heard(("…", 0.5, 0.9), language="zh"),  # no word
        heard(language="zh"),  # nothing
        heard(language="zh", text="没有时间"),  # no times
        Rejected("This is too short."),
    ],
)
async def test_what_is_not_better_changes_nothing(again: Transcript | Exception) -> None:
    first = heard(*without("Five."), ("Fife.", 8.5, 0.4))
    whisper = Whisper(first, again)
    assert await SecondHearing(whisper, any_language=True)(stretch()) == first
    assert not whisper.answers


@pytest.mark.parametrize("again", [heard(("You", 0.5, 0.1)), heard(("...", 0.5, 0.9)), heard()])
async def test_a_second_hearing_of_noise_adds_no_words(again: Transcript) -> None:
    first = heard(*without("Five."))
    assert await SecondHearing(Whisper(first, again), any_language=True)(stretch()) == first


@pytest.mark.parametrize("first", [heard(text="No times."), heard(("Other", 0.5, 0.1), text="What is written.")])
async def test_a_stretch_whose_words_do_not_fit_its_text_is_heard_once(first: Transcript) -> None:
    assert await SecondHearing(Whisper(first), any_language=True)(stretch()) == first


def untold(transcript: Transcript, logprob: float | None = None) -> Transcript:
    """The transcript without probabilities of words. `logprob`: that of the segment's tokens, which OpenAI tells."""
    whole = TranscriptSegment(0.0, 10.0, transcript.text, avg_logprob=logprob)
    words = tuple(replace(word, probability=None) for word in transcript.words)
    return replace(transcript, words=words, segments=(whole,))


@pytest.mark.parametrize("again", [heard(("Thanks", 0.5, 0.9)), heard(("好", 0.5, 0.9), language="zh", text="好")])
async def test_a_second_text_without_probabilities_does_not_take_the_place_of_the_first(
    again: Transcript,
) -> None:
    left_out = untold(heard(*without("Three")))
    assert await SecondHearing(Whisper(left_out, untold(again)), any_language=True)(stretch()) == left_out


async def test_a_server_that_tells_no_probability_at_all_is_not_asked_twice_about_words() -> None:
    first = untold(heard(*ALL))
    assert await SecondHearing(Whisper(first), any_language=True)(stretch()) == first


async def test_the_probability_of_a_segments_tokens_stands_for_that_of_its_words() -> None:
    pinyin = untold(heard(*ALL[:2], ("San", 4.5, 0.9), *ALL[3:]), math.log(0.4))
    chinese = untold(heard(("三", 0.5, 0.9), language="zh", text="三"), math.log(0.7))
    unsure = untold(heard(("三", 0.5, 0.9), language="zh", text="三"), math.log(0.45))
    whisper = Whisper(pinyin, unsure, unsure, chinese, unsure, unsure)  # the credit is enough for two second hearings
    assert (await SecondHearing(whisper, any_language=True)(stretch())).text == "One Two San Four Five."
    whisper = Whisper(untold(heard(*without("Three")), math.log(0.9)), chinese)
    assert (await SecondHearing(whisper, any_language=True)(stretch())).text == "One Two 三 Four Five."


async def test_one_utterance_is_not_sent_twice_nor_one_too_short_to_tell_its_language() -> None:
    doubtful = heard(("Hm", 0.5, 0.1))
    assert await SecondHearing(Whisper(doubtful), any_language=True)(stretch(((0.0, 1.6),))) == doubtful
    assert await SecondHearing(Whisper(doubtful), any_language=True)(stretch(((0.0, 0.7), (2.0, 2.7)))) == doubtful


async def test_second_hearings_that_gain_nothing_are_given_up() -> None:
    """A poor recording: every word of it is doubtful, and no second hearing is better."""
    poor = heard(*[(word, at, DOUBTFUL / 2) for word, at, _ in ALL])
    calls = 0

    async def hear(_: Samples) -> Transcript:
        nonlocal calls
        calls += 1
        return poor

    listener = SecondHearing(hear, any_language=True)
    for _ in range(100):
        assert await listener(stretch()) == poor
    assert 100 + FIRST_CREDIT <= calls <= 1.1 * 100 + FIRST_CREDIT


async def test_second_hearings_that_gain_something_go_on() -> None:
    async def hear(samples: Samples) -> Transcript:
        return heard(*without("Two", "Four")) if len(samples) == 10 * RATE else heard(("Again", 0.5, 0.9))

    listener = SecondHearing(hear, any_language=True)
    for _ in range(20):
        assert (await listener(stretch())).text == "One Again Three Again Five."


async def test_a_caller_that_withdraws_amid_second_hearings_gets_no_transcript() -> None:
    with pytest.raises(Withdrawn):
        await SecondHearing(Whisper(heard(*without("Five.")), Withdrawn()), any_language=True)(stretch())
