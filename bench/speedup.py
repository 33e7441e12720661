"""The gain of cutting into segments at a server that takes four calls at once, its memory, and the wait of others.

    python -m bench.speedup [--minutes 60] [--hours 12] [--only speed|memory|wait]

The Whisper server is a stub. speed: its computation takes a time proportional to the audio, so one call with the whole
file takes as long as all segments one after another; prints how much faster the product is at limit 4. memory: the peak
over idle of a recording of `hours`, answered at once, of which a copy for browsers is made beside. wait: at limit 1,
while a two-hour recording is transcribed, the seconds that short recordings take, in exchanges.
"""

import argparse
import os
import statistics
import struct
import tempfile
import time
import wave
from array import array
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")

import django

django.setup()

from bench.overhead import recording  # noqa: E402
from tests.support.product import Product, transcribed, upload  # noqa: E402
from tests.support.speech import librivox  # noqa: E402
from tests.support.waiting import wait_for  # noqa: E402
from tests.support.whisper_stub import WhisperStub  # noqa: E402

PACE = 1 / 8  # seconds of computation for a second of audio: a small model on a few cores


def speed(folder: Path, minutes: float) -> None:
    recording(folder / "long.wav", minutes)
    with (
        WhisperStub(seconds=0, per_second=PACE, capacity=4) as stub,
        Product(folder / "speed", ASR_API_URL=stub.url, ASR_MAX_CONCURRENT="4", ASR_ADAPTIVE="off") as product,
        product.client() as api,
    ):
        started = time.perf_counter()
        transcribed(api, upload(api, folder / "long.wav")["id"], 3600)
        ours = time.perf_counter() - started
        whole = 60 * minutes * PACE
        sent = sum(request.audio_seconds for request in stub.received)
    print(f"speed: whole file {whole:.1f} s, in segments {ours:.1f} s: {whole / ours:.2f} times as fast")
    print(f"       {sent / 60:.1f} of {minutes:g} minutes sent, at most {stub.peak} at once")


def memory(folder: Path, hours: float) -> None:
    recording(folder / "minute.wav", 1)
    lengthened(folder / "minute.wav", folder / "hours.au", int(60 * hours))
    with (
        WhisperStub(seconds=0) as stub,
        Product(folder / "memory", ASR_API_URL=stub.url, ASR_MAX_CONCURRENT="4") as product,
        product.client() as api,
    ):
        transcribed(api, upload(api, librivox()[0].path)["id"])  # everything is loaded now
        process = Path(f"/proc/{product.process.pid}")
        (process / "clear_refs").write_text("5")  # resets the peak (proc_pid_clear_refs(5))
        idle = mebibytes(process, "VmRSS")
        started = time.perf_counter()
        finished = transcribed(api, upload(api, folder / "hours.au")["id"], 3600)
        seconds = time.perf_counter() - started
        over = mebibytes(process, "VmHWM") - idle
        hours, segments = finished["duration"] / 3600, finished["transcription"]["segments_total"]
        print(f"memory: {over:.0f} MiB over {idle:.0f} for {hours:.1f} hours, {segments} segments, in {seconds:.0f} s")
        path = f"/api/recordings/{finished['id']}/audio"
        wait_for(lambda: api.head(path).headers["Content-Type"] == "audio/webm", "the copy", seconds=3600, every=1)
        seconds = time.perf_counter() - started
        over = mebibytes(process, "VmHWM") - idle
        size = int(api.head(path).headers["Content-Length"]) / 1024**2
    print(f"        {over:.0f} MiB with its copy of {size:.0f} MiB, in {seconds:.0f} s")


def mebibytes(process: Path, what: str) -> float:
    status = (process / "status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(what)).split()[1]) / 1024


def lengthened(minute: Path, path: Path, times: int) -> None:
    """The minute, repeated, as Sun's audio, which no browser plays: 12 hours are 1.4 GB."""
    with wave.open(str(minute)) as source, path.open("wb") as file:
        samples = array("h", source.readframes(source.getnframes()))
        samples.byteswap()
        file.write(struct.pack(">4s5I", b".snd", 24, 2 * len(samples) * times, 3, source.getframerate(), 1))
        for _ in range(times):
            samples.tofile(file)


def wait(folder: Path) -> None:
    recording(folder / "two-hours.wav", 120)
    with (
        WhisperStub(seconds=1.0) as stub,
        Product(folder / "wait", ASR_API_URL=stub.url, ASR_MAX_CONCURRENT="1") as product,
        product.client() as api,
    ):
        long = upload(api, folder / "two-hours.wav")["id"]
        wait_for(lambda: len(stub.received) > 2, "the long recording under way")
        took = []
        for clip in librivox():
            before = len(stub.received)
            short = transcribed(api, upload(api, clip.path, prompt="short")["id"])
            assert short["status"] == "done"
            came = next(n for n, request in enumerate(stub.received) if n >= before and request.fields.get("prompt"))
            took.append(came - before)
        assert api.get(f"/api/recordings/{long}").json()["status"] == "transcribing"
        api.post(f"/api/recordings/{long}/cancel")
    print(
        f"wait: exchanges begun between upload and turn {took}, median {statistics.median(took):g}; one may be behind"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--hours", type=float, default=12)
    parser.add_argument("--only", choices=["speed", "memory", "wait"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.only in (None, "speed"):
            speed(folder, options.minutes)
        if options.only in (None, "memory"):
            memory(folder, options.hours)
        if options.only in (None, "wait"):
            wait(folder)


if __name__ == "__main__":
    main()
