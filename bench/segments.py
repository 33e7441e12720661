"""What cutting costs: text and engine time of all segments, beside one call with the whole recording.

    python -m bench.segments [--minutes 10] [--model base]

The same engine, with the same options as the embedded server, gets real speech in English and in Chinese,
shuffled and with pauses of 0.1 to 2 s: once whole and once as the segmenter cuts it. Prints error rates
(of words; of characters in Chinese), how full the segments are, seconds, and the ratio of the seconds.
Goals: no more than 0.5 points worse, and at most 1.15 times the time.
"""

import argparse
import os
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler

from tests.speech import Clip, audioeval, character_error_rate, librivox, word_error_rate
from transcription.audio import RATE, SpeechReader, wav
from transcription.weights import ensure_weights, weight_folders
from transcription.whisper_server import Model, load

Sound = npt.NDArray[np.int16]


def sound(clip: Clip) -> Sound:
    """The clip at 16 kHz."""
    resampler = AudioResampler("s16", "mono", RATE)
    with av.open(str(clip.path)) as file:
        frames = [part for frame in (*file.decode(audio=0), None) for part in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.int16)


def recording(clips: list[Clip], minutes: float) -> tuple[Sound, str]:
    """The clips in random order, again and again, for this long; and what is said in it."""
    random = np.random.default_rng(1)
    sounds = [sound(clip) for clip in clips]
    parts: list[Sound] = []
    texts: list[str] = []
    length = 0
    while length < minutes * 60 * RATE:
        for number in random.permutation(len(clips)):
            pause = np.zeros(int(random.uniform(0.1, 2) * RATE), np.int16)
            parts += [sounds[number], pause]
            texts.append(clips[number].text)
            length += len(sounds[number]) + len(pause)
    return np.concatenate(parts), " ".join(texts)


def transcribe(model: Model, samples: Sound, language: str) -> tuple[str, float]:
    """The text, and the seconds the engine took."""
    began = time.perf_counter()
    segments, _ = model.transcribe(
        samples.astype(np.float32) / 32768,
        language=language,
        temperature=0,
        word_timestamps=True,
        beam_size=5,
        condition_on_previous_text=False,
    )
    text = " ".join(segment.text for segment in segments)
    return text, time.perf_counter() - began


def compare(
    model: Model, language: str, clips: list[Clip], minutes: float, error_rate: Callable[[str, str], float]
) -> None:
    samples, said = recording(clips, minutes)
    began = time.perf_counter()
    stretches = list(SpeechReader(BytesIO(b"".join(wav(samples))), max_hours=24))
    cutting = time.perf_counter() - began
    seconds = len(samples) / RATE
    sent = [stretch.end - stretch.start for stretch in stretches]
    print(f"{language}: {seconds:.0f} s of recording, cut in {cutting:.1f} s ({seconds / cutting:.0f} times real time)")
    print(f"  {len(sent)} segments of {np.mean(sent):.1f} s on average, {sum(sent):.0f} s sent")
    text, whole = transcribe(model, samples, language)
    print(f"  whole:    error rate {error_rate(said, text):.4f}, {whole:.1f} s")
    pieces = [transcribe(model, stretch.samples, language) for stretch in stretches]
    cut = sum(took for _, took in pieces)
    print(f"  segments: error rate {error_rate(said, ' '.join(text for text, _ in pieces)):.4f}, {cut:.1f} s")
    print(f"  segments / whole: {cut / whole:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="of each language")
    parser.add_argument("--model", default="base")
    options = parser.parse_args()
    model = load(ensure_weights(options.model, weight_folders(Path(os.environ.get("DATA_DIR", "data")))))
    compare(model, "en", librivox() + audioeval("en"), options.minutes, word_error_rate)
    compare(model, "zh", audioeval("zh"), options.minutes, character_error_rate)


if __name__ == "__main__":
    main()
