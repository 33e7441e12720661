"""The cost of reading files in child processes, beside reading them here: python -m bench.apart [--minutes 60]

An hour of speech (Opus) read to its stretches: seconds on the clock, by turns, here and apart, the best of three each;
and CPU seconds, which other work on the machine disturbs less. Goal: at most 1.05 times. A short clip, its facts and
its stretches, from the request to the end: the median of 20. Goal: at most 100 ms for either. And the memory of the
fork server, and that of a child alone while it reads the hour.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import BinaryIO

import numpy as np
import psutil

from tests.support.audio_files import clip, encode, recorded
from tests.support.speech import librivox
from transcription.audio import SpeechReader, apart, audio_info

ROUNDS = 3
CLIPS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        speech = np.concatenate([recorded(one.path) for one in librivox()])
        times = round(options.minutes * 60 * 16000 / len(speech)) + 1
        long = encode(Path(folder) / "long.opus", np.tile(speech, times), codec="libopus", rate=48000)
        short = encode(Path(folder) / "short.wav", clip(), codec="pcm_s16le")
        with long.open("rb") as hour, short.open("rb") as seconds:
            asyncio.run(measure(hour, seconds, options.minutes))


async def measure(hour: BinaryIO, seconds: BinaryIO, minutes: float) -> None:
    await read_apart(seconds)  # the fork server is there from now on
    fork_server = psutil.Process(apart._fork_server()._process.pid)  # type: ignore[union-attr]
    here, there = list[tuple[float, float]](), list[tuple[float, float]]()
    memory = 0
    for _ in range(ROUNDS):
        here.append(await timed(lambda: asyncio.to_thread(read_here, hour)))
        there.append(await timed(lambda: read_apart(hour)))
    reading = asyncio.create_task(read_apart(hour))  # once more, for to look at memory takes time itself
    while not reading.done():
        await asyncio.sleep(0.2)
        memory = max(memory, own_memory(fork_server))
    print(f"{minutes:g} minutes of speech    {'here':>8}{'apart':>9}{'times':>8}")
    for name, place in (("seconds on the clock", 0), ("CPU seconds", 1)):
        ours, theirs = min(one[place] for one in here), min(one[place] for one in there)
        print(f"{name:<25}{ours:>9.2f}{theirs:>9.2f}{theirs / ours:>8.3f}")
    print(f"a clip of 7 s            {'here':>8}{'apart':>9}")
    for name, ours_, theirs_ in (("looked at", look_here, look_apart), ("read", read_here, read_apart)):
        mine = [(await timed(lambda: asyncio.to_thread(ours_, seconds)))[0] for _ in range(CLIPS)]  # noqa: B023
        other = [(await timed(lambda: theirs_(seconds)))[0] for _ in range(CLIPS)]  # noqa: B023
        print(f"{name + ', ms':<25}{1000 * median(mine):>9.1f}{1000 * median(other):>9.1f}")
    own = fork_server.memory_full_info().uss
    print(f"memory: the fork server {own / 2**20:.0f} MiB, a child {memory / 2**20:.0f} MiB more")


def own_memory(fork_server: psutil.Process) -> int:
    """Bytes of memory that the fork server's children do not share with it; 0 without children."""
    try:
        return sum(int(child.memory_full_info().uss) for child in fork_server.children())
    except psutil.Error:
        return 0


def read_here(file: BinaryIO) -> None:
    for _ in SpeechReader(file, max_hours=12):
        pass


async def read_apart(file: BinaryIO) -> None:
    async for _ in apart.Speech(file, max_hours=12, owner=None, kind="job"):
        pass


def look_here(file: BinaryIO) -> None:
    audio_info(file, max_hours=12)


async def look_apart(file: BinaryIO) -> None:
    await apart.audio_info(file, max_hours=12, owner=None)


async def timed(work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Seconds on the clock and of CPU that a call takes, with the processes that it waited for."""
    began, spent = time.perf_counter(), cpu()
    await work()
    seconds = time.perf_counter() - began
    await asyncio.sleep(0.2)  # until the fork server has heard of the end of its child, and has its time
    return seconds, cpu() - spent


def cpu() -> float:
    """CPU seconds of this process so far, and of the fork server's children that have ended."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    theirs = psutil.Process(apart._fork_server()._process.pid).cpu_times()  # type: ignore[union-attr]
    return own.ru_utime + own.ru_stime + sum(theirs[:4])


if __name__ == "__main__":
    main()
