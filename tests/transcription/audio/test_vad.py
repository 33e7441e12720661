"""Voice activity tells speech from other sound, and judges sound in pieces as it judges the whole."""

import subprocess
import sys
from importlib import util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.audio_files import RATE, clip
from tests.support.waiting import PATIENCE
from transcription.audio import vad
from transcription.audio.vad import WINDOW, VoiceActivity


def share_of_speech(samples: npt.ArrayLike) -> float:
    sound = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
    return float((VoiceActivity()(sound) >= 0.5).mean())


@pytest.mark.parametrize("piece", [WINDOW, 3 * WINDOW, 50 * WINDOW])
def test_sound_in_pieces_is_judged_as_the_whole(piece: int) -> None:
    whole = VoiceActivity()(clip())
    live = VoiceActivity()
    pieces = [live(clip()[at : at + piece]) for at in range(0, len(clip()), piece)]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


def test_every_window_gets_a_probability_even_a_last_one_that_is_not_full() -> None:
    for samples, windows in ((0, 0), (1, 1), (WINDOW, 1), (WINDOW + 1, 2)):
        assert VoiceActivity()(clip()[:samples]).shape == (windows,)


@pytest.mark.parametrize("gain", [1.0, 0.1, 0.01])
def test_speech_is_found_however_quiet(gain: float) -> None:
    assert share_of_speech(clip() * gain) > 0.7


@pytest.mark.parametrize("ratio", [20, 10, 5])
def test_speech_is_found_in_noise(ratio: int) -> None:
    speech = clip().astype(np.float64)
    noise = np.random.default_rng(0).normal(size=len(speech)) * speech.std() / 10 ** (ratio / 20)
    assert share_of_speech(speech + noise) > 0.7


def test_what_is_no_speech_is_not_taken_for_it() -> None:
    seconds = np.arange(10 * RATE) / RATE
    noise = np.random.default_rng(0).normal(size=len(seconds))
    chord = sum(np.sin(2 * np.pi * pitch * seconds) * np.exp(-3 * (seconds % 1)) for pitch in (220, 277, 330, 440))
    for sound in (0 * seconds, noise * 3000, noise * 30, np.sin(2 * np.pi * 220 * seconds) * 8000, chord * 3000):
        assert share_of_speech(sound) == 0


def test_a_missing_network_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vad, "find_spec", lambda _: util.find_spec("json"))
    with pytest.raises(RuntimeError, match=r"voice activity network .*silero_vad_v6\.onnx is missing"):
        vad._network.__wrapped__()


def test_the_network_runs_without_telling_its_makers(tmp_path: Path) -> None:
    """onnxruntime writes what it is going to send under the home folder first. Nothing may be there."""
    run = "from transcription.audio.vad import VoiceActivity; VoiceActivity()(__import__('numpy').zeros(512, 'int16'))"
    subprocess.run([sys.executable, "-c", run], env={"HOME": str(tmp_path)}, timeout=PATIENCE, check=True)
    assert list(tmp_path.iterdir()) == []
