"""The pace of live captions: partials as often as the gate has room for, finals always."""

import asyncio
from contextlib import suppress
from random import Random

import pytest

from tests.support.captioning import Answer, Call, Loudness, Speaker, Stage, silence, transcript
from tests.support.virtual_time import in_virtual_time
from transcription.answer import Transcript
from transcription.captions import Pace, utterances
from transcription.errors import DeadlineExceeded


@pytest.fixture(autouse=True)
def _loudness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utterances, "VoiceActivity", Loudness)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def serve(pace: Pace, clock: Clock, seconds: float, *, final: bool = False) -> None:
    with pace.call(final=final):
        clock.now += seconds


def test_an_idle_server_gets_a_partial_every_0_7_seconds() -> None:
    pace = Pace(lambda: 1, Clock())
    assert pace.pause() == 0.7
    pace.speaks("a")
    assert pace.pause() == 0.7


def test_the_pause_grows_with_the_service_time_and_the_speakers_and_shrinks_with_the_limit() -> None:
    clock, limit = Clock(), 1
    pace = Pace(lambda: limit, clock)
    serve(pace, clock, 2.1)
    for session in range(3):
        pace.speaks(session)
    pace.speaks(0)
    assert pace.pause() == pytest.approx(3 * 2.1 / 0.7)
    limit = 3
    assert pace.pause() == pytest.approx(2.1 / 0.7)
    pace.falls_silent(1)
    pace.falls_silent(1)
    assert pace.pause() == pytest.approx(2 / 3 * 2.1 / 0.7)


def test_a_limit_of_0_counts_as_1() -> None:
    clock = Clock()
    pace = Pace(lambda: 0, clock)
    serve(pace, clock, 7)
    pace.speaks("a")
    assert pace.pause() == pytest.approx(10)


def test_time_that_a_call_waits_for_others_is_none_of_its_service_time() -> None:
    clock = Clock()
    pace = Pace(lambda: 1, clock)
    with pace.call(final=False):
        first = pace.call(final=False)
        first.__enter__()
        clock.now += 1
    clock.now += 1
    first.__exit__(None, None, None)
    assert pace.service == 1


def test_a_call_that_fails_says_nothing_of_the_service_time() -> None:
    clock = Clock()
    pace = Pace(lambda: 1, clock)
    serve(pace, clock, 1)
    with suppress(DeadlineExceeded), pace.call(final=False):
        clock.now += 50
        raise DeadlineExceeded("late")
    assert pace.service == 1


def test_a_final_that_waited_for_whisper_to_come_back_slows_nobody_down() -> None:
    clock = Clock()
    pace = Pace(lambda: 1, clock)
    serve(pace, clock, 3600, final=True)
    assert pace.service == 0
    serve(pace, clock, 1)
    serve(pace, clock, 3600, final=True)
    assert pace.service == 1


def test_there_are_no_partials_while_finals_fill_the_gate() -> None:
    clock = Clock()
    pace = Pace(lambda: 1, clock)
    pace.speaks("a")
    serve(pace, clock, 1)
    pauses = []
    for _ in range(100):
        serve(pace, clock, 1, final=True)
        pauses.append(pace.pause())
    assert pauses[0] == pytest.approx(1 / 0.7)
    assert None in pauses
    growing = [pause for pause in pauses if pause is not None]
    assert growing == sorted(growing)
    assert pauses[len(growing) :] == [None] * (100 - len(growing))
    clock.now += 60
    assert pace.pause() == pytest.approx(1 / 0.7)


async def talk(stage: Stage, speaker: Speaker, chance: Random) -> float:
    """One person speaks on and off for two minutes. Returns the longest delay of the captions, in seconds."""
    worst = 0.0
    while stage.captioner.heard < 120:
        first = len(speaker.words)
        await stage.push(speaker.say(" ".join(f"word{first + number}" for number in range(chance.randint(3, 30)))))
        await stage.push(silence(chance.uniform(0.6, 3)))
        worst = max(worst, stage.captioner.behind)
    await stage.finish()
    return worst


@pytest.mark.parametrize(("limit", "sessions"), [(1, 1), (1, 4), (1, 12), (2, 24)])
@in_virtual_time
async def test_the_more_people_speak_the_calmer_captions_get_and_hardly_later(limit: int, sessions: int) -> None:
    """Calls take 1 s. Twelve sessions on one permit leave no room for partials, and finals are made together."""
    permits = asyncio.Semaphore(limit)
    pace = Pace(lambda: limit, asyncio.get_running_loop().time)
    speakers = [Speaker() for _ in range(sessions)]

    def hearing(speaker: Speaker) -> Answer:
        async def answer(call: Call) -> Transcript:
            async with permits:
                await asyncio.sleep(1)
            return transcript(speaker.words_in(call.samples))

        return answer

    stages = [Stage(hearing(speaker), pace) for speaker in speakers]
    pairs = enumerate(zip(stages, speakers, strict=True))
    talks = [talk(stage, speaker, Random(seed)) for seed, (stage, speaker) in pairs]  # noqa: S311
    behind = await asyncio.gather(*talks)

    assert [" ".join(stage.texts) for stage in stages] == [speaker.text for speaker in speakers]
    assert max(behind) < (16 if sessions < 12 * limit else 50)
    partials = sum(len(stage.partials) for stage in stages) / limit
    assert partials < 0.7 * 125
    assert (partials < 0.2 * 125) == (sessions == 12 * limit)
