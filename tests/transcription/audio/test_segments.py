"""Where recordings are cut: into full stretches, at pauses, without loss or overlap, the same every time."""

from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.audio_files import RATE, Sound, clip, recorded
from tests.support.speech import librivox
from transcription.audio import SpeechReader, Stretch, wav
from transcription.audio.segmenter import Probabilities, Segmenter, _runs
from transcription.audio.vad import WINDOW

Cut = tuple[float, float]  # seconds


def windows(*parts: tuple[float, float]) -> Probabilities:
    """The probability of speech in each window, from parts (seconds, probability) one after the other."""
    return np.concatenate([np.full(round(seconds * RATE / WINDOW), chance, np.float32) for seconds, chance in parts])


def cut(speech: Probabilities, samples: Sound | None = None, *, piece: int = 128, max_seconds: float = 30) -> list[Cut]:
    """Where a stream with these probabilities is cut, pushed `piece` windows at a time."""
    sound = np.zeros(len(speech) * WINDOW, np.int16) if samples is None else samples
    segmenter = Segmenter(max_seconds)
    cuts = []
    for at in range(0, len(speech) + 1, piece):
        part, chances = sound[at * WINDOW : (at + piece) * WINDOW], speech[at : at + piece]
        for first, taken, _ in segmenter.push(part, chances, last=at + piece > len(speech)):
            cuts.append((first / RATE, (first + len(taken)) / RATE))
    return cuts


def test_silence_is_not_sent() -> None:
    assert cut(windows((300, 0.01))) == []
    assert cut(np.empty(0, np.float32)) == []


def test_a_stretch_has_a_little_room_around_its_speech() -> None:
    ((start, end),) = cut(windows((10, 0), (5, 1), (20, 0)))
    assert (start, end) == pytest.approx((9.8, 15.2), abs=0.04)


def test_short_pauses_stay_and_long_silence_goes() -> None:
    assert len(cut(windows((5, 1), (3, 0), (5, 1), (3, 0), (5, 1)))) == 1
    first, second = cut(windows((5, 1), (8, 0), (5, 1)))
    assert second[0] - first[1] > 7


def test_stretches_are_packed_full() -> None:
    cuts = cut(windows(*[(2.7, 1), (0.3, 0)] * 100))
    assert len(cuts) == 10  # 300 s of sentences of 3 s
    assert all(end - start > 29 for start, end in cuts[:-1])


def test_the_longer_pause_is_preferred_unless_it_is_much_earlier() -> None:
    (_, end), *_ = cut(windows((24, 1), (0.5, 0), (4, 1), (0.1, 0), (10, 1)))
    assert end == pytest.approx(24.2, abs=0.1)
    (_, end), *_ = cut(windows((5, 1), (0.5, 0), (23, 1), (0.3, 0), (10, 1)))
    assert end == pytest.approx(28.7, abs=0.1)


def test_a_pause_is_shared_between_both_sides() -> None:
    (_, end), (start, _) = cut(windows((28, 1), (0.3, 0), (10, 1)))
    assert start == end == pytest.approx(28.15, abs=0.04)


def test_unbroken_speech_is_cut_where_it_is_quietest() -> None:
    speech = windows((50, 1))
    sound = np.full(len(speech) * WINDOW, 5000, np.int16)
    sound[25 * RATE : int(25.1 * RATE)] = 50
    (_, end), (start, last) = cut(speech, sound)
    assert start == end == pytest.approx(25.05, abs=0.05)
    assert last == pytest.approx(50, abs=0.04)


def test_a_pause_anywhere_is_better_than_a_cut_in_a_word() -> None:
    (_, end), *_ = cut(windows((4, 1), (0.1, 0), (40, 1)))
    assert end == pytest.approx(4.05, abs=0.04)


def test_a_blip_is_no_speech() -> None:
    assert cut(windows((5, 0), (0.064, 1), (5, 0))) == []


def test_an_utterance_lies_between_two_pauses_and_has_half_of_each() -> None:
    speech = windows((1, 0), (2, 1), (0.2, 0), (2, 1), (0.32, 0), (1, 1), (2, 0), (0.5, 1), (9, 0))
    ((_, samples, utterances),) = Segmenter().push(np.zeros(len(speech) * WINDOW, np.int16), speech, last=True)
    assert [edge for utterance in utterances for edge in utterance] == pytest.approx(
        [0, 4.5, 4.5, 5.9, 7.5, 8.4], abs=0.1
    )
    assert utterances[-1][1] == len(samples) / RATE


def test_a_limit_too_short_for_speech_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        Segmenter(0.3)


@st.composite
def recordings(draw: st.DrawFn) -> Probabilities:
    parts = draw(st.lists(st.tuples(st.floats(0.03, 40), st.sampled_from([0.0, 0.2, 0.4, 0.6, 1.0])), max_size=30))
    return windows(*parts) if parts else windows((0, 0))


@settings(max_examples=100)
@given(recordings(), st.integers(1, 2000), st.sampled_from([5.0, 12.0, 30.0]))
def test_every_recording_is_cut_without_loss_overlap_or_chance(
    speech: Probabilities, piece: int, max_seconds: float
) -> None:
    sound = np.random.default_rng(len(speech)).integers(-9999, 9999, len(speech) * WINDOW).astype(np.int16)
    cuts = cut(speech, sound, max_seconds=max_seconds)

    assert cuts == cut(speech, sound, piece=piece, max_seconds=max_seconds)
    assert all(0 < round(end - start, 9) <= max_seconds for start, end in cuts)  # 12.000000000000002 counts as 12
    assert all(before[1] <= after[0] for before, after in pairwise(cuts))
    sent = np.zeros(len(speech), bool)
    for start, end in cuts:
        sent[round(start * RATE / WINDOW) : round(end * RATE / WINDOW)] = True
    assert all(sent[first:end].all() for first, end in _runs(speech, last=True)[0])


def read(sound: Sound) -> list[Stretch]:
    return list(SpeechReader(BytesIO(b"".join(wav(sound))), max_hours=1))


def test_real_speech_is_cut_in_its_pauses() -> None:
    """Five clips over and over, with 0.5 s between: no cut may fall inside a clip's words."""
    gap = np.zeros(RATE // 2, np.int16)
    parts = [part for clip in librivox() * 8 for part in (recorded(clip.path), gap)]
    sound = np.concatenate(parts)
    stretches = read(sound)
    assert all(one.end - one.start <= 30 for one in stretches)
    assert len(stretches) <= 1.25 * len(sound) / RATE / 30
    for one in stretches[:-1]:
        around = sound[int((one.end - 0.03) * RATE) : int((one.end + 0.03) * RATE)]
        assert np.abs(around.astype(int)).max() < 2000  # words of this reader are louder than 8000


def test_the_samples_are_those_of_the_recording() -> None:
    sound = np.concatenate((np.zeros(3 * RATE, np.int16), clip(), np.zeros(9 * RATE, np.int16), clip()))
    stretches = read(sound)
    assert [one.index for one in stretches] == [0, 1]
    for one in stretches:
        np.testing.assert_array_equal(one.samples, sound[round(one.start * RATE) :][: len(one.samples)])


def test_a_recording_of_silence_has_no_stretches_but_a_waveform() -> None:
    reader = SpeechReader(BytesIO(b"".join(wav(np.zeros(20 * RATE, np.int16)))), max_hours=1)
    assert list(reader) == []
    assert reader.duration == 20
    assert set(reader.peaks) == {0.0}
