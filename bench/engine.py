"""The embedded engine: throughput, words and live latency, one at a time, batched, and BatchedInferencePipeline.

    python -m bench.engine [--minutes 5] [--model base] [--only words|throughput|live]

Each contestant gets the same stretches of real speech in a process of its own, word times included.

one at a time: the engine as it was before it batched; in its process, without HTTP.
pipeline N: faster-whisper's BatchedInferencePipeline with batch N, with time stamps; in its process, without HTTP.
engine: `manage.py whisper_server` over HTTP, behind a gate. `at auto` begins with one call at once and finds its limit,
`again` goes on with the limit found, `8 at once` has a fixed limit, `alone` has a limit of one.

words: character error rates over all test speech, in ten languages and by two synthetic voices, the language not told;
and how far word times differ from those of one at a time, where the words are the same. Goals: no more than 0.1 points
worse, and 80 ms. throughput: seconds of audio for each second, the processor's seconds for a minute of audio, and the
most memory. Goals: 1.7 times one at a time on two processors, and 0.8 of the best pipeline. live: seconds of calls of
3 s, one every two seconds, alone and while a recording is transcribed with 8 calls at once. Goal on a GPU: 95 % within
1.5 s. The same commands run on a processor and on a GPU; for a GPU nobody has measured yet.

On two processors with `base` (2026-11-30; 195 s of audio, other programs at the lowest priority beside it): one at a
time 8.7 audio s/s, engine 8 at once 18.9 (2.2 times), at auto 13.4 (seven stretches, most of which it climbs), again
16.2 (1.9 times), alone 11.0, pipeline 12.3, 16.8 and 15.8; in another run over 350 s 11.4, 18.2 (1.6), 15.7 (1.4) and
20.1 (1.8). Error rates are equal. 34 of 34 clips have the same text, words differ by 20 ms at most. Live calls take
0.44 s alone, where one at a time takes 0.54 s, and beside 8 others 1.2 s, at most 1.44 s (four calls only).
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from faster_whisper import BatchedInferencePipeline, WhisperModel

from bench.segments import Sound, recording, sound
from tests.support.calls import caller, client
from tests.support.speech import Clip, audioeval, character_error_rate, librivox, spoken
from transcription.answer import HeardWord
from transcription.audio import RATE, SpeechReader, wav
from transcription.engine.device import choose
from transcription.engine.model import FRAMES, LEAST_CONTEXT, REST, ROOM, Model
from transcription.engine.weights import ensure_weights, weight_folders
from transcription.limit import AdaptiveLimit, FixedLimit, Limit
from transcription.request import AsrRequest

LANGUAGES = ("de", "en", "es", "fr", "hi", "it", "ja", "pl", "pt", "zh")
SPOKEN = {
    "en": "The meeting begins at nine. Please bring the report.",
    "de": "Der Zug nach Wien hat zehn Minuten Verspätung.",
}
LIVE_SECONDS, LIVE_EVERY, LIVE_CALLS = 3, 2.0, 10
MB = 1024**2


class Transcribed(NamedTuple):
    text: str
    words: list[tuple[str, float, float]]


@dataclass
class Work:
    """What a contestant made of some sounds. processor: its seconds. memory: the most bytes that it had."""

    heard: list[Transcribed]
    seconds: float
    processor: float
    memory: int


class OneAtATime(Model):
    """The engine's model before it batched: exact windows, and the rest behind the last word computed in vain."""

    def encode(self, features: Any) -> Any:
        if self._features is None or not np.array_equal(features, self._features):
            frames = int(np.flatnonzero(features.any(axis=0))[-1]) + 1 if features.any() else 0
            self._seconds = round(frames / FRAMES)
            context = max(frames + ROOM, LEAST_CONTEXT)
            self._encoded = WhisperModel.encode(self, np.ascontiguousarray(features[:, :context]))
            self._features = features
        return self._encoded


def one_at_a_time(folder: Path, sounds: Sequence[Sound]) -> Work:
    device = choose()
    model = OneAtATime(folder, device=device.name, compute_type=device.compute_type)

    def hear(samples: Sound) -> Transcribed:
        found, info = model.transcribe(
            samples.astype(np.float32) / 32768,
            beam_size=5,
            temperature=0,
            word_timestamps=True,
            condition_on_previous_text=False,
        )
        kept = []
        for segment in found:
            if segment.seek and info.duration * FRAMES - segment.seek < REST:
                break
            kept.append(segment)
        return _heard(kept)

    return _timed(lambda: [hear(samples) for samples in sounds])


def pipeline(batch: int, folder: Path, sounds: Sequence[Sound]) -> Work:
    device = choose()
    model = BatchedInferencePipeline(WhisperModel(str(folder), device=device.name, compute_type=device.compute_type))
    whole = np.concatenate([*sounds, np.zeros(RATE // 10, np.int16)]).astype(np.float32) / 32768
    ends = np.cumsum([len(samples) for samples in sounds]) / RATE
    clips = [{"start": end - len(samples) / RATE, "end": end} for end, samples in zip(ends, sounds, strict=True)]

    def hear() -> list[Transcribed]:
        found, _ = model.transcribe(
            whole,
            batch_size=batch,
            clip_timestamps=clips,
            beam_size=5,
            temperature=0,
            word_timestamps=True,
            without_timestamps=False,
        )
        return [_heard(list(found))]

    return _timed(hear)


def _heard(segments: Sequence[Any]) -> Transcribed:
    words = [
        (word.word.strip(), float(word.start), float(word.end)) for segment in segments for word in segment.words or ()
    ]
    return Transcribed("".join(segment.text for segment in segments).strip(), words)


def _timed(work: Callable[[], list[Transcribed]]) -> Work:
    process = psutil.Process()
    began, before = time.perf_counter(), process.cpu_times()
    heard = work()
    seconds, after = time.perf_counter() - began, process.cpu_times()
    return Work(heard, seconds, after.user + after.system - before.user - before.system, _most_memory(process))


def _most_memory(process: psutil.Process) -> int:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


class Engine:
    """A running engine, which is asked through a gate."""

    def __init__(self, url: str, process: psutil.Process) -> None:
        self._url = url
        self._process = process

    def work(self, sounds: Sequence[Sound], limit: Limit, *, live: Sound | None = None) -> tuple[Work, list[float]]:
        """Send all sounds at once, and meanwhile a live call every LIVE_EVERY seconds. Its seconds are returned."""
        began, before = time.perf_counter(), self._process.cpu_times()
        heard, waits = asyncio.run(self._work(sounds, limit, live))
        seconds, after = time.perf_counter() - began, self._process.cpu_times()
        processor = after.user + after.system - before.user - before.system
        return Work(heard, seconds, processor, _most_memory(self._process)), waits

    async def _work(
        self, sounds: Sequence[Sound], limit: Limit, live: Sound | None
    ) -> tuple[list[Transcribed], list[float]]:
        whisper = client(self._url, limit=limit, max_queue=10_000, request_timeout=600.0)
        waits: list[float] = []

        async def hear(samples: Sound, lane: str) -> Transcribed:
            audio = b"".join(wav(samples))
            request = AsrRequest(audio, len(samples) / RATE, live=lane == "live")
            answer = await whisper.call_remote_asr_api(request, caller(lane))
            return Transcribed(answer.text, [_word(word) for word in answer.words])

        async def speak(samples: Sound, calls: int | None) -> None:
            while calls is None or len(waits) < calls:
                began = time.perf_counter()
                await hear(samples, "live")
                waits.append(time.perf_counter() - began)
                await asyncio.sleep(max(0.0, LIVE_EVERY - waits[-1]))

        if live is not None and not sounds:
            await speak(live, LIVE_CALLS)
        speaking = asyncio.create_task(speak(live, None)) if live is not None else None
        heard = await asyncio.gather(*(hear(samples, "batch") for samples in sounds))
        if speaking:
            speaking.cancel()
            await asyncio.wait({speaking})
        await whisper.aclose()
        return heard, waits


def _word(word: HeardWord) -> tuple[str, float, float]:
    return word.word.strip(), word.start, word.end


@contextmanager
def running(model: str) -> Iterator[Engine]:
    """The engine, ready."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        fd = listener.fileno()
        command = [sys.executable, "manage.py", "whisper_server", "--model", model, f"--fd={fd}", "--stop-with-stdin"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=[fd]) as process:
            engine = Engine(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", psutil.Process(process.pid))
            engine.work([np.zeros(RATE, np.int16)], FixedLimit(1))  # waits until it is ready
            yield engine


def apart(contestant: Callable[[Path, Sequence[Sound]], Work], folder: Path, sounds: Sequence[Sound]) -> Work:
    """Let a contestant work in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(contestant, folder, sounds).result()


def throughput(folder: Path, model: str, minutes: float) -> None:
    samples, said = recording(librivox() + audioeval("en"), minutes)
    sounds = [stretch.samples for stretch in SpeechReader(BytesIO(b"".join(wav(samples))), max_hours=24)]
    audio = sum(len(each) for each in sounds) / RATE
    first = 0.0

    def show(name: str, work: Work) -> None:
        nonlocal first
        speed = audio / work.seconds
        first = first or speed
        errors = character_error_rate(said, " ".join(heard.text for heard in work.heard))
        print(
            f"throughput: {name:<20}{speed:6.1f} audio s/s ({speed / first:4.2f})"
            f"{60 * work.processor / audio:7.1f} s of processor a minute{work.memory / MB:7.0f} MB"
            f"   error rate {errors:.4f}",
            flush=True,
        )

    print(f"throughput: {len(sounds)} stretches, {audio:.0f} s")
    show("one at a time", apart(one_at_a_time, folder, sounds))
    with running(model) as engine:
        show("engine, 8 at once", engine.work(sounds, FixedLimit(8))[0])
        limit = AdaptiveLimit(ceiling=None, sturdy=True)
        show("engine, at auto", engine.work(sounds, limit)[0])
        show(f"engine, again from {limit.limit}", engine.work(sounds, limit)[0])
        show("engine, alone", engine.work(sounds, FixedLimit(1))[0])
    for batch in (1, 4, 16):
        show(f"pipeline {batch}", apart(partial(pipeline, batch), folder, sounds))


def words(folder: Path, model: str) -> None:
    clips = [clip for language in LANGUAGES for clip in audioeval(language)] + librivox()
    clips += [Clip(spoken(text, voice), text) for voice, text in SPOKEN.items()]
    sounds = [sound(clip) for clip in clips]
    alone = apart(one_at_a_time, folder, sounds)
    with running(model) as engine:
        works = {"one at a time": alone}
        works |= {f"engine, {n} at once": engine.work(sounds, FixedLimit(n))[0] for n in (1, 8)}
    for name, work in works.items():
        errors = character_error_rate(" ".join(clip.text for clip in clips), " ".join(one.text for one in work.heard))
        pairs = list(zip(work.heard, alone.heard, strict=True))
        same = sum(ours.text == theirs.text for ours, theirs in pairs)
        apart_by = [
            abs(this - that)
            for ours, theirs in pairs
            if [word for word, *_ in ours.words] == [word for word, *_ in theirs.words]
            for (_, *moments), (_, *others) in zip(ours.words, theirs.words, strict=True)
            for this, that in zip(moments, others, strict=True)
        ]
        print(
            f"words: {name:<20}error rate {errors:.4f}, {same} of {len(clips)} texts the same, words"
            f" {1000 * max(apart_by):.0f} ms apart at most, {1000 * float(np.percentile(apart_by, 99)):.0f} ms at p99",
            flush=True,
        )


def live(folder: Path, model: str, minutes: float) -> None:
    samples, _ = recording(librivox() + audioeval("en"), minutes)
    sounds = [stretch.samples for stretch in SpeechReader(BytesIO(b"".join(wav(samples))), max_hours=24)]
    said = samples[: LIVE_SECONDS * RATE]
    print_waits("one at a time, alone", [apart(one_at_a_time, folder, [said] * LIVE_CALLS).seconds / LIVE_CALLS])
    with running(model) as engine:
        for name, others, limit in (("engine, alone", [], 1), ("engine, beside 8", sounds, 9)):
            print_waits(name, engine.work(others, FixedLimit(limit), live=said)[1])


def print_waits(name: str, waits: Sequence[float]) -> None:
    print(
        f"live: {name:<24}{len(waits):4} calls, {statistics.median(waits):.2f} s at the median,"
        f" {float(np.percentile(waits, 95)):.2f} s at p95, {max(waits):.2f} s at most",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5, help="of the recording")
    parser.add_argument("--model", default="base")
    parser.add_argument("--only", choices=["words", "throughput", "live"])
    options = parser.parse_args()
    folder = ensure_weights(options.model, weight_folders(Path(os.environ.get("DATA_DIR", "data"))))
    print(f"Whisper {options.model} on {choose()}; {os.cpu_count()} processors")
    if options.only in (None, "words"):
        words(folder, options.model)
    if options.only in (None, "throughput"):
        throughput(folder, options.model, options.minutes)
    if options.only in (None, "live"):
        live(folder, options.model, options.minutes)


if __name__ == "__main__":
    main()
