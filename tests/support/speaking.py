"""People who speak and watch: browsers at the real product, with a microphone that plays a talk."""

import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.support.browser import CHROMIUM, FLAGS, PATIENCE, note_faults, watch
from tests.support.product import Product
from tests.support.speech import Clip, librivox
from transcription.audio import RATE

Samples = npt.NDArray[np.float32]

PAUSE = 1.2  # seconds between two sentences
LEAD = 3.0  # seconds of silence before the first: time to open the microphone and to press Start


@dataclass(frozen=True)
class Talk:
    """A WAV file of sentences with pauses, and the start of each in seconds."""

    path: Path
    clips: list[Clip]
    starts: list[float]
    seconds: float


def sound(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        assert file.getframerate() == RATE
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32)


def recorded(api: httpx.Client, pk: int) -> Samples:
    """The samples of the recording's original."""
    answer = api.get(f"/api/recordings/{pk}/audio", params={"original": "1"})
    with wave.open(io.BytesIO(answer.content)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16000, 1)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32)


def make_talk(path: Path, numbers: list[int], lead: float = LEAD) -> Talk:
    clips, starts, parts = [], [], [np.zeros(int(lead * RATE), np.float32)]
    for number in numbers:
        clip = librivox()[number]
        clips.append(clip)
        starts.append(sum(map(len, parts)) / RATE)
        parts += [sound(clip.path), np.zeros(int(PAUSE * RATE), np.float32)]
    samples = np.concatenate(parts)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return Talk(path, clips, starts, len(samples) / RATE)


@asynccontextmanager
async def hearing(talk: Talk) -> AsyncIterator[Browser]:
    """A browser with a microphone that plays the talk from its start whenever it is opened."""
    microphone = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={talk.path}%noloop",
    ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS + microphone)
        watch(browser)
        yield browser
        await browser.close()


def place_in(recording: Samples, clip: Samples) -> tuple[float, float]:
    """The place of the clip in the recording (seconds), and their likeness there (1: the same).

    The envelopes are compared, since the browser makes the voice louder and the noise softer.
    """
    step = RATE // 100

    def envelope(samples: Samples) -> Samples:
        blocks = samples[: len(samples) // step * step].reshape(-1, step)
        loudness: Samples = np.log10(np.sqrt((blocks**2).mean(1)) + 30.0)
        return loudness

    whole, part = envelope(recording), envelope(clip)
    part = part - part.mean()
    best, at = -1.0, 0
    for offset in range(len(whole) - len(part) + 1):
        window = whole[offset : offset + len(part)]
        window = window - window.mean()
        alike = float((window @ part) / (np.linalg.norm(window) * np.linalg.norm(part) + 1e-9))
        if alike > best:
            best, at = alike, offset
    return at / 100, best


@dataclass
class Person:
    """A browser profile at the product, watched for faults."""

    context: BrowserContext
    url: str
    faults: list[str] = field(default_factory=list)

    async def page(self) -> Page:
        page = await self.context.new_page()
        note_faults(page, self.url, self.faults)
        return page

    def forgive(self, *words: str) -> None:
        """Remove the faults with one of these words: the test provoked them."""
        self.faults[:] = [fault for fault in self.faults if not any(word in fault for word in words)]


@asynccontextmanager
async def person(browser: Browser, product: Product, cookies: list[Any] | None = None) -> AsyncIterator[Person]:
    """A person with these cookies; without, one who is not signed in. Faults fail the test at the end."""
    context = await browser.new_context(base_url=product.url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE)
    await context.add_cookies(cookies or [])
    someone = Person(context, product.url)
    yield someone
    await context.close()
    assert someone.faults == [], someone.faults


async def assert_accessible(page: Page) -> None:
    """Assert the rules of WCAG 2.2, levels A and AA, as far as axe-core can check them."""
    levels = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = await Axe().run(page, options={"runOnly": {"type": "tag", "values": levels}})
    assert found.violations_count == 0, (page.url, found.generate_report())


async def lines(page: Page) -> list[str]:
    """The texts of the final captions on a page."""
    found: list[str] = await page.locator("#log p").all_text_contents()
    return found


async def seconds_recorded(page: Page, seconds: float) -> None:
    """Wait until the clock of the page shows that so many seconds are recorded."""
    await page.wait_for_function(
        """wanted => document.getElementById("clock").textContent.split(":")
            .reduce((minutes, part) => minutes * 60 + Number(part), 0) >= wanted""",
        arg=seconds,
        timeout=seconds * 1000 + PATIENCE,
    )
