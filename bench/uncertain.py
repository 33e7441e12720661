"""How well a word's probability tells that the word is wrong: for the threshold under which pages shade words.

    python -m bench.uncertain [--model base]

Real clips in eight languages, as they are and under noise, are transcribed with the embedded engine's options. A heard
word is wrong where the reader's text has another word or none in its place. For each threshold: the share of all words
that would be shaded, the share of those that are wrong, and the share of the wrong words that are shaded.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import jiwer
import numpy as np

from bench.captions_speech import NO_NUMBERS, units
from bench.segments import Sound, engine, sound
from tests.support.speech import Clip, audioeval, librivox
from transcription.engine.model import Model, load
from transcription.engine.weights import ensure_weights, weight_folders

LANGUAGES = ("en", "de", "es", "fr", "it", "pl", "pt", "zh")
NOISE = (None, 10.0, 3.0)  # dB of speech above noise: the clip as it is, a loud room, a street
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
Judged = tuple[float, bool]  # a word's probability, and whether the word is wrong


def noisy(samples: Sound, decibels: float | None) -> Sound:
    if decibels is None:
        return samples
    level = np.sqrt(np.mean(samples.astype(np.float64) ** 2)) / 10 ** (decibels / 20)
    noise = np.random.default_rng(1).normal(0, level, len(samples))
    return np.clip(samples + noise, -32768, 32767).astype(np.int16)


def judged(model: Model, clip: Clip, language: str, decibels: float | None) -> Iterator[Judged]:
    """Each unit that was heard (see `units`), with the probability of its word."""
    segments, _ = engine(model, noisy(sound(clip), decibels), language)
    words = [word for segment in segments for word in segment.words or []]
    heard = [(unit, float(word.probability)) for word in words for unit in units(word.word, language)]
    said = units(clip.text, language)
    if not heard:
        return
    parts = jiwer.process_words(" ".join(said), " ".join(unit for unit, _ in heard)).alignments[0]
    right = {i for part in parts if part.type == "equal" for i in range(part.hyp_start_idx, part.hyp_end_idx)}
    for number, (_, probability) in enumerate(heard):
        yield probability, number not in right


def report(found: list[Judged]) -> None:
    wrong = sum(bad for _, bad in found)
    print(f"  {len(found)} words, {wrong} wrong ({wrong / len(found):.1%})")
    for threshold in THRESHOLDS:
        shaded = [bad for probability, bad in found if probability < threshold]
        parts = len(shaded) / len(found), sum(shaded) / max(1, len(shaded)), sum(shaded) / max(1, wrong)
        print(
            "  below {}: {:6.1%} of all shaded, {:6.1%} of these wrong, {:6.1%} of the wrong".format(threshold, *parts)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base")
    options = parser.parse_args()
    model = load(ensure_weights(options.model, weight_folders(Path(os.environ.get("DATA_DIR", "data")))))
    clips = [(code, clip) for code in LANGUAGES for clip in audioeval(code) if NO_NUMBERS not in clip.path.stem]
    clips += [("en", clip) for clip in librivox()]
    everything: list[Judged] = []
    for decibels in NOISE:
        found = [word for language, clip in clips for word in judged(model, clip, language, decibels)]
        print("as it is:" if decibels is None else f"speech {decibels:g} dB above noise:", flush=True)
        report(found)
        everything += found
    print("all together:")
    report(everything)


if __name__ == "__main__":
    main()
