"""Ending an edit in a text of two hours and 25,000 words: bytes both ways, and the main thread of the page.

    python -m bench.editing [--edits 10]

The product is a process of its own, and two pages in Chromium show the text. Each edit is made in the first page, in
another paragraph, and both pages show it. Bytes are those of all requests and answers, with their headers.
"""

import argparse
import asyncio
import os
import random
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = tempfile.TemporaryDirectory()
os.environ["DATA_DIR"] = FOLDER.name
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")

import django  # noqa: E402 the settings read the environment

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from playwright.async_api import BrowserContext, CDPSession, Page, Request, async_playwright  # noqa: E402

from tests.support.browser import CHROMIUM, FLAGS, session_cookies  # noqa: E402
from tests.support.product import NewProduct  # noqa: E402
from tests.support.rows import Status, make_recording, make_transcription  # noqa: E402
from tests.support.whisper_stub import WhisperStub  # noqa: E402

PARAGRAPHS, WORDS = 450, 56
QUIET = 2500  # ms after an edit, within which all that follows has come
LONG_TASKS = """() => {
    window.long = [];
    new PerformanceObserver((list) => window.long.push(...list.getEntries().map(({ duration }) => duration)))
        .observe({ type: "longtask" });
}"""


@dataclass
class Watched:
    """A page, with the requests that it has finished."""

    page: Page
    devtools: CDPSession
    requests: list[Request]

    @classmethod
    async def open(cls, context: BrowserContext, path: str) -> "Watched":
        page = await context.new_page()
        await page.goto(path)
        await page.locator(".wave.drawn").wait_for()
        await page.evaluate(LONG_TASKS)
        devtools = await context.new_cdp_session(page)
        await devtools.send("Performance.enable")
        requests: list[Request] = []
        page.on("requestfinished", lambda request: requests.append(request))
        return cls(page, devtools, requests)

    async def busy(self) -> float:
        """Seconds of all tasks of the main thread."""
        metrics = (await self.devtools.send("Performance.getMetrics"))["metrics"]
        return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))

    async def moved(self) -> int:
        """Bytes since the last look."""
        moved = 0
        for request in self.requests:
            sizes = await request.sizes()
            moved += len(request.url) + sizes["requestHeadersSize"] + sizes["requestBodySize"]
            moved += sizes["responseHeadersSize"] + sizes["responseBodySize"]
        self.requests.clear()
        return moved


def fill() -> tuple[User, int]:
    """A person, and the id of a recording with random words."""
    call_command("migrate", verbosity=0)
    dice = random.Random(1)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(1, 9))) for _ in range(4000)]
    texts = [" ".join(dice.choices(words, k=WORDS)).capitalize() + "." for _ in range(PARAGRAPHS)]
    person = User.objects.create_user("mei")
    recording = make_recording(person, "Talk", seconds=20 * PARAGRAPHS)
    make_transcription(recording, Status.DONE, *texts)
    return person, recording.pk


async def measure(url: str, cookies: list[Any], path: str, edits: int) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await browser.new_context(base_url=url, viewport={"width": 1280, "height": 800})
        await context.add_cookies(cookies)
        writer, reader = await Watched.open(context, path), await Watched.open(context, path)
        figures: dict[str, list[tuple[float, float]]] = {"where it was made": [], "the other": []}
        for number in range(edits):
            paragraph = writer.page.locator(".segment > p").nth(number * PARAGRAPHS // edits)
            await paragraph.dblclick(position={"x": 30, "y": 15})
            await paragraph.press("Control+End")
            await writer.page.keyboard.type(" So.")
            before = [await page.busy() for page in (writer, reader)]
            await writer.page.keyboard.press("Enter")
            await writer.page.wait_for_timeout(QUIET)
            for page, busy, measured in zip((writer, reader), before, figures.values(), strict=True):
                measured.append((await page.moved(), 1000 * (await page.busy() - busy)))
        print(f"median of {edits} edits: bytes, ms of the main thread; all tasks of more than 50 ms")
        for page, (name, measured) in zip((writer, reader), figures.items(), strict=True):
            size, busy = map(statistics.median, zip(*measured, strict=True))
            long = [round(task) for task in await page.page.evaluate("window.long")]
            print(f"the page {name}: {size:.0f} bytes, {busy:.0f} ms; {long}")
        await browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=10)
    options = parser.parse_args()
    person, recording = fill()
    with WhisperStub() as stub, NewProduct(Path(FOLDER.name), ASR_API_URL=stub.url) as product:
        cookies = session_cookies(person, product.url)
        asyncio.run(measure(product.url, cookies, f"/recordings/{recording}", options.edits))


if __name__ == "__main__":
    main()
