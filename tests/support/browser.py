"""Chromium, and the faults of a page: errors in the console, requests to other hosts, pages that do not exist."""

from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from playwright.async_api import Browser, ConsoleMessage, Page, Response

from tests.support import waiting

CHROMIUM = "/usr/bin/chromium-headless-shell"  # an empty page costs a fifth of what it costs with windows
PATIENCE = 1000 * waiting.PATIENCE  # ms
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
lost: list[str] = []  # status and address of each page that answered with an error, see `watch`


def session_cookies(user: User, url: str) -> list[Any]:
    client = Client()
    client.force_login(user)
    return [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}]


def watch(browser: Browser) -> None:
    """Note each page of this browser that answers with an error, in `lost`."""
    browser.on("context", lambda context: context.on("response", _note_lost))


def _note_lost(answer: Response) -> None:
    """Note an error of the page's own address. The console tells of errors in frames and scripts."""
    if answer.status >= 400 and answer.request.is_navigation_request() and answer.frame.parent_frame is None:
        lost.append(f"{answer.status} {answer.url}")


# What htmx logs when a page that is left breaks off its requests. Of one that fails it logs another event besides.
BROKEN_OFF = ("htmx:sendAbort", "htmx:afterRequest")


def note_faults(page: Page, url: str, faults: list[str]) -> None:
    """Put into `faults` each warning and error of this page, and each address of another host that it asks for."""
    own = (url, "data:", "blob:")

    def note(said: ConsoleMessage) -> None:
        if said.type in ("error", "warning") and not said.text.startswith(BROKEN_OFF):
            faults.append(f"{said.text} ({said.location['url']})")

    page.on("console", note)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(own) else faults.append(asked.url))
