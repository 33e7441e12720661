"""Speech on any channel of a file is heard, however many channels there are."""

import wave
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from tests.support.audio_files import Sound, clip, encode, loudness, sounds_like
from transcription.audio import SpeechReader, audio_info

SILENCE = np.zeros_like(clip())


@pytest.mark.parametrize(
    ("layout", "channels"),
    {
        "both alike": ("stereo", (clip(), clip())),
        "left only": ("stereo", (clip(), SILENCE)),
        "right only": ("stereo", (SILENCE, clip())),
        "polarity reversed": ("stereo", (clip(), -clip())),
        "polarity reversed, one side quieter": ("stereo", (clip(), -(clip() // 2))),
        "5.1, speech in the centre": ("5.1", (SILENCE, SILENCE, clip(), SILENCE, SILENCE, SILENCE)),
        "four channels": ("4.0", (clip(), SILENCE, SILENCE, SILENCE)),
    }.values(),
)
def test_speech_is_heard(layout: str, channels: tuple[Sound, ...], tmp_path: Path) -> None:
    path = encode(tmp_path / "x.wav", np.stack(channels), codec="pcm_s16le", layout=layout)
    with path.open("rb") as file:
        (stretch,) = SpeechReader(file, max_hours=1)
    assert sounds_like(stretch.samples, stretch.start, clip())
    assert loudness(stretch.samples).max() > loudness(clip()).max() / 4


def test_polarity_that_changes_half_way_leaves_no_hole(tmp_path: Path) -> None:
    half = len(clip()) // 2
    right = np.concatenate((clip()[:half], -clip()[half:]))
    path = encode(tmp_path / "x.wav", np.stack((clip(), right)), codec="pcm_s16le", layout="stereo")
    with path.open("rb") as file:
        (stretch,) = SpeechReader(file, max_hours=1)
    heard = np.flatnonzero(loudness(stretch.samples) > 500)
    assert heard[-1] * 0.025 > 6  # seconds: nearly to the end


def test_two_channels_of_a_lossy_codec_are_read(tmp_path: Path) -> None:
    sound, experimental = np.stack((clip(), SILENCE)), {"strict": "experimental"}
    path = encode(tmp_path / "x.ogg", sound, codec="vorbis", layout="stereo", encoder=experimental)
    with path.open("rb") as file:
        (stretch,) = SpeechReader(file, max_hours=1)
    assert sounds_like(stretch.samples, stretch.start, clip())


@pytest.mark.parametrize("channels", [3, 10, 32])
def test_microphones_of_unknown_place_are_all_heard(channels: int) -> None:
    """A field recorder's WAV names no loudspeakers. Speech is on the last of its channels only."""
    content = BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((channels, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.stack([SILENCE] * (channels - 1) + [clip()], axis=1).tobytes())
    assert audio_info(content, max_hours=1).channels == channels
    (stretch,) = SpeechReader(content, max_hours=1)
    assert sounds_like(stretch.samples, stretch.start, clip())
