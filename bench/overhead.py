"""The cost of the product over the bare engine: a recording through it, and its segments straight to the engine.

    python -m bench.overhead [--minutes 10] [--rounds 2]

Both ways go to the same engine process, in turns, in one run; the engine gets the same segments either way. Prints the
seconds of each round and the ratio of the medians.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")

import django

django.setup()

from tests.support.product import Product, free_port, transcribed, upload  # noqa: E402
from tests.support.speech import librivox  # noqa: E402
from tests.support.waiting import wait_for  # noqa: E402
from transcription.audio import SpeechReader, wav  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
PAUSE = 0.5  # seconds between the sentences


def recording(path: Path, minutes: float) -> None:
    """Real sentences, repeated for so many minutes."""
    sentences = []
    for clip in librivox():
        with wave.open(str(clip.path)) as file:
            sentences.append(np.frombuffer(file.readframes(file.getnframes()), np.int16))
            sentences.append(np.zeros(int(16000 * PAUSE), np.int16))
    once = np.concatenate(sentences)
    samples = np.resize(once, int(minutes * 60 * 16000))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.tobytes())


@contextlib.contextmanager
def engine() -> Iterator[str]:
    """Base URL of a Whisper server, started for this run."""
    port = free_port()
    command = [sys.executable, "manage.py", "whisper_server", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/health").is_success
        return False

    try:
        wait_for(ready, "the engine")
        yield f"{url}/v1"
    finally:
        process.terminate()
        process.wait()


def bare(url: str, stretches: list[bytes]) -> float:
    """Seconds to send the segments to the engine, one after the other."""
    form = {"model": "base", "response_format": "verbose_json", "timestamp_granularities[]": ["segment", "word"]}
    started = time.perf_counter()
    with httpx.Client(timeout=None) as client:
        for audio in stretches:
            client.post(f"{url}/audio/transcriptions", data=form, files={"file": audio}).raise_for_status()
    return time.perf_counter() - started


def product(api: httpx.Client, path: Path) -> float:
    """Seconds from the first byte of the upload to the finished transcription."""
    started = time.perf_counter()
    finished = transcribed(api, upload(api, path)["id"], seconds=3600)
    assert finished["status"] == "done", finished
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, engine() as url:
        path = Path(folder, "long.wav")
        recording(path, options.minutes)
        with path.open("rb") as file:
            stretches = [b"".join(wav(stretch.samples)) for stretch in SpeechReader(file, max_hours=12)]
        print(f"{options.minutes:g} minutes, {len(stretches)} segments")
        with Product(Path(folder, "data"), ASR_API_URL=url) as running, running.client() as api:
            ours, theirs = [], []
            for number in range(1, options.rounds + 1):
                theirs.append(bare(url, stretches))
                ours.append(product(api, path))
                print(f"round {number}: engine {theirs[-1]:.1f} s, product {ours[-1]:.1f} s")
    print(f"ratio of the medians: {statistics.median(ours) / statistics.median(theirs):.3f}")


if __name__ == "__main__":
    main()
