"""The promises of live captions, with random speech, random servers and random ends.

`Stage` checks each caption and call: finals never change, stable text neither, indexes have no gaps, times never run
back, there is one partial at a time and none while a final waits, and nothing is recognised in silence.
"""

import asyncio
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.captioning import Answer, Call, Loudness, Speaker, Stage, silence, transcript, written
from tests.support.virtual_time import in_virtual_time
from transcription.answer import HeardWord, Transcript
from transcription.captions import Pace, utterances
from transcription.errors import DeadlineExceeded, Rejected, Superseded, Unreachable

# Speech as (words, seconds of silence after them); a word that ends a sentence comes now and then.
speeches = st.lists(st.tuples(st.integers(1, 60), st.floats(0.05, 3)), min_size=1, max_size=6)


@pytest.fixture(autouse=True, scope="module")
def _loudness() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utterances, "VoiceActivity", Loudness)
        yield


def text_of(count: int, chance: Random, first: int) -> str:
    ends = [chance.choice(["", "", "", "", ",", "."]) for _ in range(count)]
    return " ".join(f"word{first + number}{end}" for number, end in enumerate(ends))


def unsteady(speaker: Speaker, chance: Random, *, honest: bool) -> Answer:
    """A server that is slow and fails at random. honest=False: its texts are wrong at random, too."""

    async def answer(call: Call) -> Transcript:
        await asyncio.sleep(chance.choice([0, 0.1, 0.5, 1, 4]))
        if not call.final and chance.random() < 0.3:
            raise chance.choice([DeadlineExceeded("late"), Superseded("newer"), Unreachable("gone")])
        words = [HeardWord(word.start, word.end, word.word, chance.random()) for word in speaker.words_in(call.samples)]
        if honest:
            return transcript(words) if chance.random() < 0.7 else written(transcript(words).text)
        if chance.random() < 0.1:
            raise Rejected("no")
        return wild(words, chance)

    return answer


def wild(words: list[HeardWord], chance: Random) -> Transcript:
    """A wrong transcript: words are missing, added, or have another case or other times; or all are gone."""
    heard = [word for word in words if chance.random() < 0.9]
    for _ in range(chance.choice([0, 0, 1, 3])):
        at = chance.uniform(-1, 30)
        said = chance.choice([" Word1", " you", " 你好", "…", " - ", " it's.", " ", " WORD2?!"])
        heard.insert(chance.randint(0, len(heard)), HeardWord(at, at + chance.uniform(-1, 1), said, None))
    if chance.random() < 0.1:
        heard = heard[:2] * 9
    answer = transcript(heard if chance.random() < 0.9 else [])
    return answer if chance.random() < 0.7 else written(answer.text.upper())


async def perform(stage: Stage, speaker: Speaker, speech: list[tuple[int, float]], chance: Random) -> None:
    for count, pause in speech:
        await stage.push(speaker.say(text_of(count, chance, len(speaker.words))), live=chance.random() < 0.8)
        await stage.push(silence(pause), live=chance.random() < 0.8)
    await stage.finish()


def staged(speaker: Speaker, chance: Random, *, honest: bool) -> Stage:
    pace = Pace(lambda: chance.choice([1, 2, 4]), asyncio.get_running_loop().time)
    return Stage(unsteady(speaker, chance, honest=honest), pace, telling=chance.choice([0, 0.2, 2]))


@settings(max_examples=60)
@given(speeches, st.integers(0, 2**32))
def test_whatever_a_server_says_what_people_saw_as_settled_stays(speech: list[tuple[int, float]], seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        speaker, chance = Speaker(), Random(seed)  # noqa: S311
        await perform(staged(speaker, chance, honest=False), speaker, speech, chance)

    run()


@settings(max_examples=60)
@given(speeches, st.integers(0, 2**32))
def test_every_word_comes_out_once_and_in_order_if_the_server_hears_well(
    speech: list[tuple[int, float]], seed: int
) -> None:
    @in_virtual_time
    async def run() -> None:
        speaker, chance = Speaker(), Random(seed)  # noqa: S311
        stage = staged(speaker, chance, honest=True)
        await perform(stage, speaker, speech, chance)
        assert " ".join(stage.texts) == speaker.text
        assert max(call.seconds for call in stage.calls) <= 28

    run()


@settings(max_examples=40)
@given(speeches, st.integers(0, 2**32), st.floats(0, 60))
def test_a_captioner_that_is_given_up_does_no_more(speech: list[tuple[int, float]], seed: int, after: float) -> None:
    @in_virtual_time
    async def run() -> None:
        speaker, chance = Speaker(), Random(seed)  # noqa: S311
        stage = staged(speaker, chance, honest=False)
        performance = asyncio.create_task(perform(stage, speaker, speech, chance))
        await asyncio.wait([performance], timeout=after)
        performance.cancel()
        await asyncio.wait([performance])
        await stage.captioner.aclose()
        calls, told = len(stage.calls), len(stage.told)
        await asyncio.sleep(100)
        assert (calls, told) == (len(stage.calls), len(stage.told))
        assert all(call.ended is not None for call in stage.calls)

    run()
