"""A real server in a thread and a real browser. Every page is watched: an error in the console, a breach of the
content security policy, a request to another host or an address that is no page fails the test."""

import asyncio
import importlib
import io
import math
import socket
import threading
import time
import wave
from array import array
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client, override_settings
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Response, async_playwright, expect

from web.connections import Bounds
from web.server import BoundedServer, configuration

CHROMIUM = "/usr/bin/chromium-headless-shell"  # an empty page costs a fifth of the one with windows
PATIENCE = 30_000  # ms that a page may take on a busy machine
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
expect.set_options(timeout=PATIENCE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for all tests here, so that they share one browser: to start one takes a second or two."""
    for item in items:
        if pytest_asyncio.is_async_test(item) and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


class Server:
    """The product's ASGI application on a free port, without the runner of jobs: tests make the rows' states."""

    def __init__(self, application: Any) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.uvicorn = BoundedServer(configuration(application, Bounds(), lifespan="off", log_config=None))
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:  # which ends what sockets leave behind
            runner.run(self.uvicorn.serve([self.socket]))

    async def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` where the product would: on the server's own loop."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves what `collectstatic` makes of the checkout now, with hashed names, as in production."""
    with override_settings(STATIC_ROOT=tmp_path_factory.mktemp("static"), SECURE_SSL_REDIRECT=False):
        call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=["django_htmx/ext/*"])
        asgi = importlib.reload(importlib.import_module("asrsite.asgi"))
        running = Server(asgi.application)
        running.thread.start()
        while not running.uvicorn.started:
            time.sleep(0.02)
        yield running
        running.uvicorn.should_exit = True
        running.thread.join(10)


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one is slow by intent


@pytest.fixture
def media(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def mei(transactional_db: None, media: None) -> User:
    return User.objects.create_superuser("mei", password="correct horse")


@pytest.fixture
def jonas(transactional_db: None) -> User:
    return User.objects.create_user("jonas", password="correct horse")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        watch(browser)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(server: Server, browser: Browser, mei: User) -> AsyncIterator[BrowserContext]:
    """A fresh browser profile in which Mei is signed in."""
    context = await browser.new_context(base_url=server.url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE)
    await context.add_cookies(await asyncio.to_thread(session_cookies, mei, server.url))
    yield context
    await context.close()


def session_cookies(user: User, url: str) -> list[Any]:
    client = Client()
    client.force_login(user)
    return [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}]


@pytest.fixture
def faults() -> list[str]:
    """What the browser complained of; a test that provokes a complaint takes it out."""
    return []


@pytest.fixture(autouse=True)
def lost() -> Iterator[list[str]]:
    """The addresses that were opened and answered with an error; a test that means to open them takes them out."""
    _lost.clear()
    yield _lost
    assert _lost == []


_lost: list[str] = []


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext, server: Server, faults: list[str]) -> AsyncIterator[Page]:
    page = await context.new_page()
    note_faults(page, server.url, faults)
    yield page
    assert faults == []


def watch(browser: Browser) -> None:
    """See where all its pages go."""
    browser.on("context", lambda context: context.on("response", _note_lost))


def _note_lost(answer: Response) -> None:
    """Of the page's own address; what frames and scripts ask for, the console tells."""
    if answer.status >= 400 and answer.request.is_navigation_request() and answer.frame.parent_frame is None:
        _lost.append(f"{answer.status} {answer.url}")


def note_faults(page: Page, url: str, faults: list[str]) -> None:
    """Put into `faults` whatever the browser complains of on this page, and what it asks another host for."""
    own = (url, "data:", "blob:")

    def note(said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            faults.append(f"{said.text} ({said.location['url']})")

    page.on("console", note)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(own) else faults.append(asked.url))


def tone(seconds: float) -> bytes:
    """A WAV file that can be heard."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(array("h", (int(8000 * math.sin(i / 3)) for i in range(int(8000 * seconds)))).tobytes())
    return file.getvalue()
