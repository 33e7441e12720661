"""The rules of live captions: what is recognised and when, what people see, and what never changes."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from tests.support.audio_files import clip
from tests.support.captioning import (
    Call,
    Loudness,
    Samples,
    Speaker,
    Stage,
    hearing,
    refusing,
    silence,
    transcript,
    written,
)
from tests.support.virtual_time import in_virtual_time
from transcription.answer import Transcript
from transcription.audio.vad import RATE, VoiceActivity
from transcription.captions import Captioner, CaptionState, Pace, utterances
from transcription.errors import DeadlineExceeded, Rejected, Superseded, Unreachable

TEXT = "she sells small sea shells by the shore and the shells that she sells are shore shells"


@pytest.fixture(autouse=True)
def _loudness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utterances, "VoiceActivity", Loudness)


def pace(limit: int = 1) -> Pace:
    return Pace(lambda: limit, asyncio.get_running_loop().time)


# --- silence and speech ------------------------------------------------------------------------


@in_virtual_time
async def test_in_silence_nothing_is_recognised_and_nothing_is_kept() -> None:
    stage = Stage(hearing(Speaker()), pace())
    await stage.push(silence(600))
    assert stage.captioner.behind < 1
    await stage.finish()
    assert not stage.calls
    assert not stage.told


@in_virtual_time
async def test_what_is_said_comes_out_while_it_is_said_and_settles_before_it_ends() -> None:
    speaker = Speaker()
    stage = Stage(hearing(speaker), pace())
    await stage.push(silence(1))
    await stage.push(speaker.say(TEXT))
    first, _ = stage.told[0]
    assert first < 1 + 0.8 + 0.3 + 0.2  # silence, the first 0.8 s of speech, service, and 0.2 s to spare
    assert stage.told[-1][1].stable > len(TEXT) / 2
    assert not stage.finals
    await stage.push(silence(2))
    await stage.finish()
    assert stage.texts == [TEXT]


@in_virtual_time
async def test_each_utterance_is_a_caption_at_its_time() -> None:
    speaker = Speaker()
    stage = Stage(hearing(speaker), pace())
    for text in ("one two three", "four", "five six"):
        await stage.push(silence(1.6))
        await stage.push(speaker.say(text))
    await stage.finish()
    assert stage.texts == ["one two three", "four", "five six"]
    assert [caption.start for caption in stage.finals] == pytest.approx([1.6, 4.16, 6.08])
    assert [caption.end for caption in stage.finals] == pytest.approx([2.528, 4.448, 6.688])
    assert [word.start for word in stage.finals[0].words] == pytest.approx([1.6, 1.92, 2.24])


@in_virtual_time
async def test_what_two_partials_agree_on_is_stable_whatever_its_case_and_punctuation() -> None:
    speaker = Speaker()
    heard = iter(["Had he merry", "Had, he married.", "had he Married a more"])

    async def answer(call: Call) -> Transcript:
        await asyncio.sleep(0.1)
        return written(next(heard, "nothing like it"))

    stage = Stage(answer, pace())
    await stage.push(speaker.say("had he married a more amiable woman he might have"))
    assert [(caption.text, caption.text[: caption.stable]) for _, caption in stage.told[:3]] == [
        ("Had he merry", ""),
        ("Had, he married", "Had, he"),
        ("Had, he Married a more", "Had, he Married"),
    ]
    await stage.captioner.aclose()


@in_virtual_time
async def test_a_final_that_contradicts_keeps_what_is_stable_and_adds_what_comes_after_it() -> None:
    speaker = Speaker()

    async def answer(call: Call) -> Transcript:
        await asyncio.sleep(0.1)
        words = speaker.words_in(call.samples)
        if call.final:
            words = [type(word)(word.start, word.end, word.word.upper().replace("SHE", "he")) for word in words]
        elif call.seconds > 5:
            raise Superseded("as good as never")
        return transcript(words)

    stage = Stage(answer, pace())
    await stage.push(speaker.say(TEXT))
    await stage.finish()
    (text,) = stage.texts
    stable = max(caption.stable for _, caption in stage.told if not caption.final)
    assert text[:stable] == TEXT[:stable]
    assert text[stable:] == TEXT[stable:].upper().replace("SHE", "he")


@in_virtual_time
async def test_a_sentence_that_is_stable_becomes_a_caption_while_the_speaker_goes_on() -> None:
    speaker = Speaker()
    stage = Stage(hearing(speaker), pace())
    sentences = [f"Sentence number {number} is spoken without any pause." for number in "abcdef"]
    await stage.push(speaker.say(" ".join(sentences)))
    assert stage.texts == sentences[:5]
    assert max(call.seconds for call in stage.calls) < 7
    await stage.finish()
    assert stage.texts == sentences
    assert stage.calls[-1].prompt.endswith(sentences[4])


@in_virtual_time
async def test_speech_without_a_sentence_end_is_cut_before_it_grows_too_long() -> None:
    speaker = Speaker()
    stage = Stage(hearing(speaker), pace())
    for _ in range(8):
        await stage.push(speaker.say(TEXT))
        await stage.push(silence(0.2))
    await stage.finish()
    assert " ".join(stage.texts) == speaker.text
    assert max(call.seconds for call in stage.calls) < 17


# --- partials ----------------------------------------------------------------------------------


@in_virtual_time
async def test_a_partial_in_the_pause_that_ends_an_utterance_is_its_final() -> None:
    speaker = Speaker()
    stage = Stage(hearing(speaker, service=0.2), pace())
    await stage.push(speaker.say("so it goes"))
    await stage.push(silence(1))
    assert stage.texts == ["so it goes"]
    assert all(not call.final for call in stage.calls)
    assert stage.told[-1][0] - 3 * 0.32 == pytest.approx(0.5, abs=0.15)  # the pause that ends an utterance
    await stage.finish()


@in_virtual_time
async def test_a_slow_partial_in_the_pause_that_ends_an_utterance_is_waited_for() -> None:
    speaker = Speaker()
    stage = Stage(hearing(speaker, service=3), pace())
    await stage.push(speaker.say("hm"))
    await stage.push(silence(5))
    await stage.finish()
    assert (stage.texts, len(stage.calls)) == (["hm"], 1)


@in_virtual_time
async def test_partials_that_fail_are_left_out() -> None:
    speaker, errors = Speaker(), [DeadlineExceeded("late"), Superseded("newer"), Unreachable("gone"), KeyError("bug")]
    hears = hearing(speaker)

    async def answer(call: Call) -> Transcript:
        if not call.final and errors:
            raise errors.pop()
        return await hears(call)

    stage = Stage(answer, pace())
    await stage.push(speaker.say(TEXT))
    await stage.finish()
    assert (stage.texts, errors) == ([TEXT], [])


@in_virtual_time
async def test_a_partial_that_is_still_under_way_when_its_utterance_ends_is_shown_until_the_final_comes() -> None:
    speaker = Speaker()

    async def answer(call: Call) -> Transcript:
        await asyncio.sleep(5 if call.final else 2)
        return transcript(speaker.words_in(call.samples))

    stage = Stage(answer, pace(2))
    await stage.push(speaker.say("one two three four"))
    await stage.push(silence(10))
    await stage.finish()
    assert [call.final for call in stage.calls] == [False, True]
    assert [caption.final for _, caption in stage.told] == [False, True]


@in_virtual_time
async def test_the_mean_time_between_partials_is_what_the_pace_allows() -> None:
    speaker = Speaker()
    stage = Stage(hearing(speaker, service=1.4), pace())  # 1.4 s / 70 % = 2 s
    for _ in range(30):
        await stage.push(speaker.say("one two three four five six"))
        await stage.push(silence(0.3))
    seconds = stage.captioner.heard
    assert seconds / 2 * 0.7 < len(stage.partials) <= seconds / 2 + 2
    assert all(later.began - one.began > 0.6 for one, later in pairwise(stage.partials))
    await stage.captioner.aclose()


@in_virtual_time
async def test_where_there_is_no_room_for_partials_finals_go_on() -> None:
    class Full(Pace):
        def pause(self) -> float | None:
            return None

    speaker = Speaker()
    stage = Stage(hearing(speaker), Full(lambda: 1, asyncio.get_running_loop().time))
    for text in ("one two three four five six", "seven eight nine"):
        await stage.push(speaker.say(text))
        await stage.push(silence(1))
    await stage.finish()
    assert stage.texts == ["one two three four five six", "seven eight nine"]
    assert all(call.final for call in stage.calls)


# --- finals ------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_final_that_is_refused_leaves_its_speech_without_a_caption_and_no_gap() -> None:
    speaker = Speaker()
    hears = hearing(speaker)

    async def answer(call: Call) -> Transcript:
        heard = await hears(call)
        if "bad" in heard.text or not call.final:
            raise Rejected("no")
        return heard

    stage = Stage(answer, pace())
    for text in ("good", "bad", "better"):
        await stage.push(speaker.say(text))
        await stage.push(silence(3))
    await stage.finish()
    assert [(caption.index, caption.text) for caption in stage.finals] == [(0, "good"), (1, "better")]


@in_virtual_time
async def test_where_a_final_is_refused_what_was_shown_stays() -> None:
    speaker = Speaker()
    stage = Stage(refusing(hearing(speaker), lambda call: call.final or call.seconds > 4), pace())
    await stage.push(speaker.say(TEXT))
    await stage.finish()
    (text,) = stage.texts
    assert len(text) > 10
    assert TEXT.startswith(text)


@in_virtual_time
async def test_where_the_final_of_speech_that_was_cut_is_refused_what_was_stable_stays_and_no_word_comes_twice() -> (
    None
):
    speaker = Speaker()
    stage = Stage(refusing(hearing(speaker), lambda call: call.final and call.seconds > 5), pace())
    await stage.push(speaker.say(" ".join(f"word{number}" for number in range(55))))
    await stage.finish()
    cut_off, rest = (caption.text.split() for caption in stage.finals)
    tentative = next(caption for _, caption in reversed(stage.told) if caption.index == 0 and not caption.final)
    assert " ".join(cut_off) == tentative.text[: tentative.stable]
    assert len(tentative.text.split()) > len(cut_off) > 35
    assert [*cut_off, *rest] == [word for word in speaker.words if word in {*cut_off, *rest}]
    assert len(cut_off) + len(rest) > 45


@in_virtual_time
async def test_a_caption_that_was_shown_and_turns_out_to_be_nothing_becomes_an_empty_final() -> None:
    speaker = Speaker()

    async def answer(call: Call) -> Transcript:
        return written("" if call.final or call.seconds > 1 else "Thank you")

    stage = Stage(answer, pace())
    for _ in range(2):
        await stage.push(speaker.say("hm hm hm hm"))
        await stage.push(silence(1))
    await stage.finish()
    assert [(caption.index, caption.text) for caption in stage.finals] == [(0, ""), (1, "")]


@in_virtual_time
async def test_an_empty_text_of_which_nothing_was_shown_makes_no_caption() -> None:
    async def answer(call: Call) -> Transcript:
        return written("")

    stage = Stage(answer, pace())
    await stage.push(Speaker().say("hm hm hm hm"))
    await stage.finish()
    assert stage.calls
    assert stage.told == []


@in_virtual_time
async def test_a_final_is_told_before_anything_later_is() -> None:
    speaker = Speaker()
    stage = Stage(hearing(speaker), pace(), telling=3)
    for text in ("one two", "three four", "five six seven eight nine ten"):
        await stage.push(speaker.say(text))
        await stage.push(silence(0.7))
    await stage.finish()
    assert " ".join(stage.texts) == speaker.text
    assert all(later - one >= 3 for (one, said), (later, _) in pairwise(stage.told) if said.final)


# --- after an outage ---------------------------------------------------------------------------


@in_virtual_time
async def test_after_whisper_was_away_it_catches_up_with_finals_of_several_utterances_and_no_partials() -> None:
    speaker = Speaker()
    back = asyncio.Event()
    hears = hearing(speaker, service=1)

    async def answer(call: Call) -> Transcript:
        if not back.is_set() and not call.final:
            raise Unreachable("away")
        await back.wait()
        return await hears(call)

    stage = Stage(answer, pace())
    for number in range(40):
        await stage.push(speaker.say(f"away for {number}"))
        await stage.push(silence(0.7))
        if stage.captioner.behind > 55:
            break
    before = len(stage.calls)
    back.set()
    await stage.push(silence(6))
    catching_up = stage.calls[before:]
    assert all(call.final for call in catching_up)
    assert len(catching_up) <= 3
    assert stage.captioner.behind < 1
    await stage.push(speaker.say("here we are again and it is as it was before"))
    assert not stage.calls[-1].final
    await stage.finish()
    assert " ".join(stage.texts) == speaker.text


@in_virtual_time
async def test_while_whisper_is_away_pushing_waits_and_memory_is_bounded() -> None:
    speaker = Speaker()
    away = asyncio.Event()

    async def answer(call: Call) -> Transcript:
        await away.wait()
        raise AssertionError

    stage = Stage(answer, pace())
    pushing = asyncio.create_task(stage.push(np.tile(np.append(speaker.say(TEXT), silence(1)), 100), live=False))
    await asyncio.sleep(3600)
    assert not pushing.done()
    assert 60 < stage.captioner.heard < 90
    assert stage.captioner.settled == 0
    await stage.captioner.aclose()
    await pushing


@in_virtual_time
async def test_sound_that_comes_faster_than_it_is_spoken_gets_no_partials() -> None:
    speaker = Speaker()
    stage = Stage(hearing(speaker), pace())
    for _ in range(10):
        sound = np.append(speaker.say("one two three four five six seven"), silence(1))
        for at in range(0, len(sound), 1600):
            await asyncio.sleep(0.02)
            await stage.captioner.push(sound[at : at + 1600])
    await stage.finish()
    assert " ".join(stage.texts) == speaker.text
    assert len(stage.partials) <= 1  # at most one, before the captioner notices that the sound is old


@in_virtual_time
async def test_a_session_goes_on_after_its_last_final() -> None:
    speaker = Speaker()
    sound = np.concatenate([silence(1), speaker.say(TEXT), silence(2), speaker.say("the end"), silence(1)])
    first = Stage(hearing(speaker), pace())
    await first.push(sound[: 7 * RATE])
    await first.captioner.aclose()
    start = first.finals[-1].end
    second = Stage(hearing(speaker), pace(), first_index=1, start=start)
    await second.push(sound[round(start * RATE) :])
    await second.finish()
    assert [caption.text for caption in first.finals + second.finals] == [TEXT, "the end"]
    assert second.finals[-1].start == pytest.approx(1 + 17 * 0.32 + 2, abs=0.1)


# --- what Whisper is told ----------------------------------------------------------------------


@in_virtual_time
async def test_the_prompt_is_what_people_expect_and_where_speech_goes_on_the_end_of_the_text_so_far() -> None:
    speaker = Speaker()
    stage = Stage(hearing(speaker), pace(), prompt="Stile, Norland")
    for _ in range(8):
        await stage.push(speaker.say(TEXT))
        await stage.push(silence(0.2))
    last = stage.calls[-1].prompt
    await stage.push(silence(1))
    await stage.push(speaker.say("and anew"))
    await stage.finish()
    assert stage.calls[0].prompt == stage.calls[-1].prompt == "Stile, Norland"
    assert last.startswith("Stile, Norland ")
    assert last.removeprefix("Stile, Norland ") in speaker.text
    assert 60 < len(last) < 250


# --- the end -----------------------------------------------------------------------------------


@in_virtual_time
async def test_giving_up_cancels_what_is_under_way_and_nothing_more_is_told() -> None:
    speaker = Speaker()
    canceled = []

    async def answer(call: Call) -> Transcript:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            canceled.append(call)
            raise
        raise AssertionError

    stage = Stage(answer, pace())
    await stage.push(speaker.say("one two three four"))
    finishing = asyncio.create_task(stage.captioner.finish())
    await asyncio.sleep(1)
    await stage.captioner.aclose()
    await finishing
    await stage.captioner.push(speaker.say("too late"))
    await stage.captioner.aclose()
    assert len(canceled) == len(stage.calls) == 2
    assert stage.told == []


@in_virtual_time
async def test_giving_up_a_captioner_that_never_began_does_nothing() -> None:
    stage = Stage(hearing(Speaker()), pace())
    await stage.captioner.aclose()
    await stage.captioner.finish()


@in_virtual_time
async def test_what_telling_raises_comes_out_at_the_next_push_and_at_the_end() -> None:
    speaker = Speaker()
    stage = Stage(hearing(speaker), pace(), broken=ConnectionError("database"))
    with pytest.raises(ConnectionError):
        await stage.push(np.append(speaker.say("one two three four"), silence(2)))
    with pytest.raises(ConnectionError):
        await stage.captioner.finish()
    await stage.captioner.aclose()


@in_virtual_time
async def test_chinese_settles_by_characters() -> None:
    speaker = Speaker()
    text = "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。寒来暑往，秋收冬藏。"
    stage = Stage(hearing(speaker), pace())
    await stage.push(speaker.say(text))
    await stage.finish()
    assert "".join(stage.texts) == text
    assert len(stage.texts) == 3
    assert any(0 < caption.stable < len(caption.text) for _, caption in stage.told)


@in_virtual_time
async def test_real_speech_is_found_and_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utterances, "VoiceActivity", VoiceActivity)
    lengths = []

    async def recognize(samples: Samples, *, prompt: str, final: bool) -> Transcript:
        lengths.append(len(samples) / RATE)
        return written("And Mister John Dashwood")

    told: list[CaptionState] = []

    async def tell(caption: CaptionState) -> None:
        told.append(caption)

    clock = asyncio.get_running_loop().time
    captioner = Captioner(recognize, tell, pace(), clock=clock)
    sound = np.concatenate([silence(3), clip(), silence(2)])
    for at in range(0, len(sound), 1600):
        await asyncio.sleep(0.1)
        await captioner.push(sound[at : at + 1600])
    await captioner.finish()
    last = told[-1]
    assert last.final
    assert [last.start, last.end] == pytest.approx([3.3, 9.8], abs=0.2)
    assert 6 < max(lengths) < 7.2
