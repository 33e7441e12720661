"""The cost of cutting: text and engine time of all segments, beside one call with the whole recording.

    python -m bench.segments [--minutes 10] [--model base] [--only cutting|mixed|quiet|nothing]

The same engine, with the same options as the embedded server, gets real speech in English and in Chinese,
shuffled and with pauses of 0.1 to 2 s. cutting: once whole and then as the product does it, the language told and not;
error rates (of words; of characters in Chinese), how full the segments are, seconds, and the ratio of the seconds.
Goals: no more than 0.5 points worse, and at most 1.15 times the time. mixed: both languages in one recording, the
language not told, errors counted for each by itself, without and with what is heard a second time. quiet: the same
speech at a fiftieth to a five-hundredth of its loudness. nothing: a minute each of silence, noises and music, and how
much text is made of it.
"""

import argparse
import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import av
import jiwer
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler
from faster_whisper.transcribe import Segment, TranscriptionInfo

from tests.support.speech import NUMBERS, Clip, audioeval, character_error_rate, librivox, word_error_rate, words
from transcription.answer import HeardWord, Transcript, TranscriptSegment
from transcription.audio import RATE, SpeechReader, wav
from transcription.doubts import without_inventions
from transcription.engine.model import Model, load
from transcription.engine.weights import ensure_weights, weight_folders
from transcription.second_hearing import SecondHearing

Sound = npt.NDArray[np.int16]
SPELT = {word: digits for digits, word in NUMBERS.items()} | {
    character: str(number) for number, character in enumerate("一二三四五六七八九十", 1)
}


class Heard(NamedTuple):
    """A text, and its cost."""

    text: str
    calls: int
    seconds: float


def sound(clip: Clip) -> Sound:
    """The samples of the clip at 16 kHz."""
    resampler = AudioResampler("s16", "mono", RATE)
    with av.open(str(clip.path)) as file:
        frames = [part for frame in (*file.decode(audio=0), None) for part in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.int16)


def recording(clips: list[Clip], minutes: float) -> tuple[Sound, str]:
    """The clips in random order, repeated for so many minutes, and their text."""
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


def engine(model: Model, samples: Sound, language: str | None) -> tuple[list[Segment], TranscriptionInfo]:
    segments, info = model.transcribe(
        samples.astype(np.float32) / 32768,
        language=language,
        temperature=0,
        word_timestamps=True,
        beam_size=5,
        condition_on_previous_text=False,
    )
    return list(segments), info


def transcribe(model: Model, samples: Sound, language: str) -> tuple[str, float]:
    """The text, and the engine's seconds."""
    began = time.perf_counter()
    segments, _ = engine(model, samples, language)
    return " ".join(segment.text for segment in segments), time.perf_counter() - began


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
    print(f"  whole:    error rate {error_rate(said, text):.4f}, {whole:.1f} s", flush=True)
    for told in (language, ""):
        cut = heard(model, samples, told)
        print(f"  segments, {'the language told' if told else 'in any language'}: {cut.calls} calls, ", end="")
        print(f"error rate {error_rate(said, cut.text):.4f}, {cut.seconds:.1f} s, / whole: {cut.seconds / whole:.3f}")


def heard(model: Model, samples: Sound, language: str = "") -> Heard:
    """The text as the product makes it: each stretch in a call, without doubts, with the second hearing."""
    seconds: list[float] = []

    async def hear(part: Sound) -> Transcript:
        began = time.perf_counter()
        segments, info = engine(model, part, language or None)
        seconds.append(time.perf_counter() - began)
        return without_inventions(transcript(segments, info.language))

    async def listen() -> Heard:
        listener = SecondHearing(hear, any_language=not language)
        stretches = SpeechReader(BytesIO(b"".join(wav(samples))), max_hours=24)
        texts = [(await listener(stretch)).text for stretch in stretches]
        return Heard(" ".join(texts), len(seconds), sum(seconds))

    return asyncio.run(listen())


def transcript(segments: list[Segment], language: str) -> Transcript:
    return Transcript(
        " ".join(one.text.strip() for one in segments),
        language,
        None,
        tuple(
            TranscriptSegment(
                one.start, one.end, one.text.strip(), one.avg_logprob, one.no_speech_prob, one.compression_ratio
            )
            for one in segments
        ),
        tuple(
            HeardWord(word.start, word.end, word.word, word.probability) for one in segments for word in one.words or ()
        ),
    )


def mixed(model: Model, minutes: float) -> None:
    clips = librivox() + audioeval("en"), audioeval("zh")
    tell_mixed(model, "sentence by sentence", *recording(clips[0] + clips[1], minutes))
    turns = [recording(clips[number % 2], 1) for number in range(round(minutes))]
    samples, said = zip(*turns, strict=True)
    tell_mixed(model, "minute by minute", np.concatenate(samples), " ".join(said))


def tell_mixed(model: Model, how: str, samples: Sound, said: str) -> None:
    stretches = list(SpeechReader(BytesIO(b"".join(wav(samples))), max_hours=24))
    print(f"mixed {how}, {len(samples) / RATE:.0f} s, {len(stretches)} segments")
    began = time.perf_counter()
    once = [engine(model, stretch.samples, None) for stretch in stretches]
    took = time.perf_counter() - began
    tell_errors("heard once", said, " ".join(transcript(segments, info.language).text for segments, info in once))
    twice = heard(model, samples)
    tell_errors("as the product has it", said, twice.text)
    print(f"  {twice.calls} calls, {twice.seconds / took:.2f} times the engine time")


def tell_errors(how: str, said: str, text: str) -> None:
    """Print wrong, missing and added words (or characters) of each language by itself."""
    spoken, found = units(said), units(text)
    reference, hypothesis = (" ".join(unit for unit, _ in one) for one in (spoken, found))
    aligned = jiwer.process_words(reference, hypothesis).alignments[0]
    errors, total = Counter[str](), Counter(language for _, language in spoken)
    for part in aligned:
        if part.type == "insert":
            errors[spoken[min(part.ref_start_idx, len(spoken) - 1)][1]] += part.hyp_end_idx - part.hyp_start_idx
        elif part.type != "equal":
            errors.update(language for _, language in spoken[part.ref_start_idx : part.ref_end_idx])
    rates = ", ".join(f"of {name} {errors[name] / total[name]:.4f}" for name in sorted(total, reverse=True))
    print(f"  {how}: error rate {rates}", flush=True)


def units(text: str) -> list[tuple[str, str]]:
    """English words and Chinese characters with their language; numbers as digits."""
    found = re.findall(r"[a-z']+|[\u3400-\u9fff]|\d", words(text))
    spelt = [(SPELT.get(unit, unit), "Chinese" if unit > "z" else "English") for unit in found]
    return [(digit, language) for unit, language in spelt for digit in (unit if unit.isdigit() else [unit])]


def quiet(model: Model) -> None:
    samples, said = recording(librivox() + audioeval("en"), 1)
    for part in (1, 50, 200, 500):
        rate = word_error_rate(said, heard(model, (samples / part).astype(np.int16)).text)
        print(f"quiet: at 1/{part} of its loudness, at most {np.abs(samples).max() // part}: error rate {rate:.4f}")


def nothing(model: Model) -> None:
    for name, samples in sounds_without_speech().items():
        stretches = list(SpeechReader(BytesIO(b"".join(wav(samples))), max_hours=24))
        sent = sum(stretch.end - stretch.start for stretch in stretches)
        text = heard(model, samples).text
        whole = " ".join(segment.text for segment in engine(model, samples, None)[0])
        print(f"nothing: {name:<14}{sent:>5.1f} of 60 s sent, {len(text.split())} words: {text[:60]!r}")
        print(f"         {'':<14}without any of it {len(whole.split())} words: {whole[:60]!r}")


def sounds_without_speech() -> dict[str, Sound]:
    """A minute of each kind."""
    random = np.random.default_rng(1)
    time = np.arange(60 * RATE) / RATE
    white = random.normal(0, 1, len(time))
    spectrum = np.fft.rfft(white) / np.sqrt(np.maximum(1, np.arange(len(time) // 2 + 1)))
    pink = np.fft.irfft(spectrum)
    chords = [(220, 277, 330), (196, 247, 294), (175, 220, 262), (165, 208, 247)]
    tones = np.array(chords)[(time // 2).astype(int) % len(chords)]  # of each moment
    music = sum(np.sin(2 * np.pi * tones * n * time[:, None]) / n for n in (1, 2, 3)).sum(axis=1)
    music *= np.exp(-4 * (time * 2 % 1))
    keys = white * (random.random(len(time) // 1600).repeat(1600) < 0.3) * np.exp(-40 * (time * 10 % 1))
    hum = sum(np.sin(2 * np.pi * 50 * n * time) / n for n in range(1, 8))
    parts = {
        "silence": 0 * time,
        "white noise": white,
        "pink noise": pink,
        "hum": hum,
        "music": music,
        "keyboard": keys,
    }
    return {name: (part / max(1e-9, np.abs(part).max()) * 8000).astype(np.int16) for name, part in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="of each language")
    parser.add_argument("--model", default="base")
    parser.add_argument("--only", choices=["cutting", "mixed", "quiet", "nothing"])
    options = parser.parse_args()
    model = load(ensure_weights(options.model, weight_folders(Path(os.environ.get("DATA_DIR", "data")))))
    if options.only in (None, "cutting"):
        compare(model, "en", librivox() + audioeval("en"), options.minutes, word_error_rate)
        compare(model, "zh", audioeval("zh"), options.minutes, character_error_rate)
    if options.only in (None, "mixed"):
        mixed(model, options.minutes)
    if options.only in (None, "quiet"):
        quiet(model)
    if options.only in (None, "nothing"):
        nothing(model)


if __name__ == "__main__":
    main()
