"""What cutting costs: text and engine time of all segments, beside one call with the whole recording.

    python -m bench.segments [--minutes 10] [--model base] [--only cutting|mixed|quiet|nothing]

The same engine, with the same options as the embedded server, gets real speech in English and in Chinese,
shuffled and with pauses of 0.1 to 2 s. cutting: once whole and once as the segmenter cuts it; error rates (of
words; of characters in Chinese), how full the segments are, seconds, and the ratio of the seconds. Goals: no more
than 0.5 points worse, and at most 1.15 times the time. mixed: both languages in one recording, the language not
told, errors counted for each by itself. quiet: the same speech at a fiftieth to a five-hundredth of its loudness.
nothing: a minute each of silence, noises and music, and how much text is made of it.
"""

import argparse
import os
import re
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler
from faster_whisper.transcribe import Segment, TranscriptionInfo

from tests.speech import Clip, audioeval, character_error_rate, librivox, word_error_rate
from transcription.answer import Transcript, TranscriptSegment
from transcription.audio import RATE, SpeechReader, wav
from transcription.doubts import without_inventions
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
    """The text, and the seconds the engine took."""
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
    print(f"  whole:    error rate {error_rate(said, text):.4f}, {whole:.1f} s")
    pieces = [transcribe(model, stretch.samples, language) for stretch in stretches]
    cut = sum(took for _, took in pieces)
    print(f"  segments: error rate {error_rate(said, ' '.join(text for text, _ in pieces)):.4f}, {cut:.1f} s")
    print(f"  segments / whole: {cut / whole:.3f}")


def heard(model: Model, samples: Sound) -> tuple[str, str]:
    """As the product has it: every stretch of speech by itself, in whatever language, less what the server doubts; and
    with that."""
    kept, all_of_it = [], []
    for stretch in SpeechReader(BytesIO(b"".join(wav(samples))), max_hours=24):
        segments, info = engine(model, stretch.samples, None)
        doubted = [
            TranscriptSegment(one.start, one.end, one.text, one.avg_logprob, one.no_speech_prob, one.compression_ratio)
            for one in segments
        ]
        whole = Transcript(" ".join(one.text for one in doubted), info.language, None, tuple(doubted), ())
        kept.append(without_inventions(whole).text)
        all_of_it.append(whole.text)
    return " ".join(kept), " ".join(all_of_it)


def mixed(model: Model, minutes: float) -> None:
    clips = librivox() + audioeval("en"), audioeval("zh")
    tell_mixed(model, "sentence by sentence", *recording(clips[0] + clips[1], minutes))
    turns = [recording(clips[number % 2], 1) for number in range(round(minutes))]
    samples, said = zip(*turns, strict=True)
    tell_mixed(model, "minute by minute", np.concatenate(samples), " ".join(said))


def tell_mixed(model: Model, how: str, samples: Sound, said: str) -> None:
    english, chinese = (re.compile(pattern) for pattern in (r"[A-Za-z][A-Za-z']*", r"[\u3400-\u9fff]"))
    print(f"mixed {how}, {len(samples) / RATE:.0f} s")
    # Clips that come again and again look like a loop of Whisper's: what is doubted is less in real recordings.
    for name, text in zip(("less doubts", "with doubts"), heard(model, samples), strict=True):
        words = word_error_rate(" ".join(english.findall(said)), " ".join(english.findall(text)))
        characters = character_error_rate("".join(chinese.findall(said)), "".join(chinese.findall(text)))
        print(f"  {name}: error rate of English {words:.4f}, of Chinese {characters:.4f}", flush=True)


def quiet(model: Model) -> None:
    samples, said = recording(librivox() + audioeval("en"), 1)
    for part in (1, 50, 200, 500):
        rate = word_error_rate(said, heard(model, (samples / part).astype(np.int16))[0])
        print(f"quiet: at 1/{part} of its loudness, at most {np.abs(samples).max() // part}: error rate {rate:.4f}")


def nothing(model: Model) -> None:
    for name, samples in sounds_without_speech().items():
        stretches = list(SpeechReader(BytesIO(b"".join(wav(samples))), max_hours=24))
        sent = sum(stretch.end - stretch.start for stretch in stretches)
        text, _ = heard(model, samples)
        whole = " ".join(segment.text for segment in engine(model, samples, None)[0])
        print(f"nothing: {name:<14}{sent:>5.1f} of 60 s sent, {len(text.split())} words: {text[:60]!r}")
        print(f"         {'':<14}without any of it {len(whole.split())} words: {whole[:60]!r}")


def sounds_without_speech() -> dict[str, Sound]:
    """A minute of each."""
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
