"""Fixtures: the product's server in a thread, and a browser. A test fails on an error in the console, a breach of the
content security policy, a request to another host, or a page that does not exist."""

import asyncio
import importlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import override_settings
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from recordings.models import Recording
from recordings.work import places
from tests.support.browser import CHROMIUM, FLAGS, PATIENCE, note_faults, session_cookies, watch
from tests.support.browser import lost as lost_pages
from tests.support.page_server import Server
from tests.support.rows import Status, make_recording, make_transcription
from transcription.monitor.capacity import Capacity

expect.set_options(timeout=PATIENCE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests here on one event loop, so that they share one browser. It takes a second or two to start."""
    for item in items:
        if pytest_asyncio.is_async_test(item) and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the output of `collectstatic`, with hashed names as in production."""
    with override_settings(STATIC_ROOT=tmp_path_factory.mktemp("static"), SECURE_SSL_REDIRECT=False):
        call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=["django_htmx/ext/*"])
        asgi = importlib.reload(importlib.import_module("asrsite.asgi"))
        tempfile.tempdir = None  # the application sets it for a process of its own
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


@pytest.fixture(autouse=True)
def _whisper_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No jobs run here, and no engine: without this, pages would say that everything waits for Whisper."""
    monkeypatch.setattr(places, "capacity", lambda: Capacity(permits=1, out=0, rate=None, away=None, slow=None))


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


@pytest.fixture
def faults() -> list[str]:
    """The faults that the browser reported. A test that provokes one removes it."""
    return []


@pytest.fixture(autouse=True)
def lost() -> Iterator[list[str]]:
    """The pages that were opened and answered with an error. A test that opens one on purpose removes it."""
    lost_pages.clear()
    yield lost_pages
    assert lost_pages == []


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext, server: Server, faults: list[str]) -> AsyncIterator[Page]:
    page = await context.new_page()
    note_faults(page, server.url, faults)
    yield page
    assert faults == []


@pytest.fixture
def shelf(mei: User) -> Recording:
    """A recording in each state. Returns the one with text."""
    long = "Averylongwordwithoutanyspaceinit" * 6
    for status in (Status.QUEUED, Status.TRANSCRIBING, Status.FAILED, Status.CANCELED):
        recording = make_recording(mei, f"{long} {status}")
        make_transcription(recording, status, error_code="out_of_memory" if status == Status.FAILED else "")
    recording = make_recording(mei, "产品周会", seconds=4000)
    make_transcription(recording, Status.DONE, "我们先过一遍上周的发布情况。", long, detected_language="zh")
    return recording
