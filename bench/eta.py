"""All that people are shown of the line while long jobs run: contradictions, and how far off the time left is.

    python -m bench.eta [--limits 1 2 auto] [--minutes 1 1 10 60] [--shrink 1]

Two people upload recordings of these minutes. For each limit there is a product of its own, before a stub of Whisper
that computes twenty times as fast as speech: three calls beside each other, and more of them more slowly. Chromium
shows the library and a page of a recording of both; each change is recorded, and the API is asked twice a second
(`tests/support/recorder.py`). Prints what contradicts itself, and the factor between each estimate and the truth. An
estimate moves when a call is answered: what the stretches in hand take is not counted.

On 2 busy cores (2026-11-30; limit 1 ran beside the other two):

    limit   sights   contradictions   estimates   worst, by the API   worst, in words   over 2 times
    1         1814                0        1994                1.04              1.00              0
    2          927                0        1109                1.25              1.00              0
    auto       851                0         669                1.00              1.00              0
"""

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")

import django

django.setup()

from playwright.async_api import Browser, async_playwright  # noqa: E402

from bench.overhead import recording  # noqa: E402
from tests.support.browser import CHROMIUM, FLAGS  # noqa: E402
from tests.support.product import Product, upload  # noqa: E402
from tests.support.recorder import contradictions, estimates, summary, times_off, watching  # noqa: E402
from tests.support.whisper_stub import Received, WhisperStub  # noqa: E402

PACE = 1 / 20  # seconds of computation for a second of audio
FITS = 3  # calls that the stub computes beside each other
PEOPLE = ("mei", "jonas")
STRETCH = 30.0  # seconds


class SharedStub(WhisperStub):
    """A stub whose calls slow each other down where there are more of them than fit."""

    def _time_for(self, request: Received) -> float:
        return super()._time_for(request) * max(1.0, self.computing / FITS)


async def measure(browser: Browser, limit: str, minutes: list[float], folder: Path) -> None:
    options = {"ASR_MAX_CONCURRENT": limit, "ASR_ADAPTIVE": "on" if limit == "auto" else "off"}
    with (
        SharedStub(seconds=0, per_second=PACE) as stub,
        Product(folder / limit, ASR_API_URL=stub.url, **options) as product,
    ):
        recordings: dict[str, list[int]] = {person: [] for person in PEOPLE}
        for number, _ in enumerate(minutes):
            for person, ids in recordings.items():
                with product.client(person) as api:
                    ids.append(upload(api, folder / f"{number}.wav")["id"])
        async with watching(product, browser, recordings) as record:
            pass
    at_once = FITS if limit == "auto" else int(limit)
    in_hand = len(PEOPLE) * (at_once + 1) * STRETCH * PACE / min(at_once, FITS)
    print(f"limit {limit}:", *summary(record, in_hand), sep="\n  ", flush=True)
    for fault in contradictions(record)[:20]:
        print("   ", fault)
    wrong = [
        (place, row, true) for place, row, true in estimates(record) if times_off(row.eta or (0, 0), true, in_hand) > 2
    ]
    for place, row, true in wrong[:20]:
        print(f"    {place}: recording {row.recording}: {row.words!r} {row.eta}, {true:.1f} s before it ended")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limits", nargs="+", default=["1", "2", "auto"])
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 1, 10, 60])
    parser.add_argument("--shrink", type=float, default=1, help="divides the minutes, for a quick look")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for number, minutes in enumerate(options.minutes):
            recording(Path(name, f"{number}.wav"), minutes / options.shrink + number / 60)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            for limit in options.limits:
                await measure(browser, limit, options.minutes, Path(name))
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
