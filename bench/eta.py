"""The error of the time left that people see, on a line of short and long recordings at limit 2.

    python -m bench.eta [--minutes 1 10 60 1 10 60 1 10 60] [--shrink 1]

The Whisper server is a stub that computes twenty times as fast as speech. Asks the API for every recording's ETA twice
a second, and compares it with the true time, from the end of the third job on. Prints the factor between the two
(median, 95th percentile, worst) and the share over 2. An ETA moves when an exchange is answered, and as many as the
limit are under way at once: a smaller difference than these take is not counted. Also counts steps back of the
progress.
"""

import argparse
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")

import django

django.setup()

from bench.overhead import recording  # noqa: E402
from tests.support.product import Product, upload  # noqa: E402
from tests.support.whisper_stub import WhisperStub  # noqa: E402

PACE = 1 / 20  # seconds of computation for a second of audio
LIMIT = 2
UNDER_WAY = LIMIT * 30 * PACE  # seconds of computation: full segments
LEARNT = 3  # jobs, before an ETA is held to its word


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10, 60] * 3)
    parser.add_argument("--shrink", type=float, default=1, help="divides the minutes, for a quick look")
    options = parser.parse_args()
    shown: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)  # when, and the ETA then
    ended: dict[int, float] = {}
    segments: defaultdict[int, int] = defaultdict(int)
    back = 0
    with (
        tempfile.TemporaryDirectory() as name,
        WhisperStub(seconds=0, per_second=PACE) as stub,
        Product(Path(name, "data"), ASR_API_URL=stub.url, ASR_MAX_CONCURRENT=str(LIMIT), ASR_ADAPTIVE="off") as product,
        product.client() as api,
    ):
        ids = []
        for number, minutes in enumerate(options.minutes):
            recording(path := Path(name, f"{number}.wav"), minutes / options.shrink)
            ids.append(upload(api, path)["id"])
        while len(ended) < len(ids):
            for item in api.get("/api/recordings?limit=100").json()["items"]:
                pk, run, now = item["id"], item["transcription"], time.monotonic()
                back += run["segments_done"] < segments[pk]
                segments[pk] = run["segments_done"]
                if item["status"] in ("done", "failed", "canceled"):
                    ended.setdefault(pk, now)
                elif run["eta_seconds"] is not None:
                    shown[pk].append((now, run["eta_seconds"]))
            time.sleep(0.5)
    learnt = sorted(ended.values())[LEARNT - 1]
    factors = []
    for pk, etas in shown.items():
        for when, eta in etas:
            true = ended[pk] - when
            if when > learnt:
                near = abs(eta - true) <= UNDER_WAY
                factors.append(1.0 if near else max(eta, true) / max(0.001, min(eta, true)))
                if factors[-1] > 2:
                    print(f"recording {pk}: {eta:.1f} s shown, {true:.1f} s before it ended")
    factors.sort()
    over = sum(factor > 2 for factor in factors)
    middle, high = factors[len(factors) // 2], factors[int(len(factors) * 0.95)]
    print(f"{len(factors)} ETAs: off by {middle:.2f} (median), {high:.2f} (95 %), {factors[-1]:.2f} (worst) times")
    print(f"by more than 2: {over}; progress went back {back} times")


if __name__ == "__main__":
    main()
