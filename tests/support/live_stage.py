"""A simulated server for the pages with live captions."""

import json
from typing import Any

from playwright.async_api import Page, WebSocketRoute

from tests.support.waiting import until

STARTS = {"/live": "Start captions", "/record": "Start recording"}  # the pages with a microphone, and their button

# A microphone that gives nothing but silence.
SILENT = """
    navigator.mediaDevices.getUserMedia = async () => new AudioContext().createMediaStreamDestination().stream;
"""


class Stage:
    """The server's side of a page's sockets. Messages go to the newest one.

    For each socket: `paths`, its path; `told`, its messages; `heard`, the numbers of its frames.
    acknowledges: whether each frame is acknowledged. A page takes a connection for dead that is silent for 15 s.
    """

    def __init__(self, *, acknowledges: bool = False) -> None:
        self.acknowledges = acknowledges
        self.paths: list[str] = []
        self.told: list[list[dict[str, Any]]] = []
        self.heard: list[list[int]] = []

    def take(self, socket: WebSocketRoute) -> None:
        told: list[dict[str, Any]] = []
        heard: list[int] = []
        self.socket = socket
        self.paths.append(socket.url.partition("/ws/live")[2])
        self.told.append(told)
        self.heard.append(heard)

        def note(said: str | bytes) -> None:
            if isinstance(said, str):
                told.append(json.loads(said))
            else:
                heard.append(int.from_bytes(said[:4], "little"))
                if self.acknowledges:
                    socket.send(json.dumps({"type": "ack", "seq": heard[-1]}))

        socket.on_message(note)

    async def opened(self, count: int) -> None:
        """Wait until so many sockets were opened."""
        await until(lambda: len(self.paths) == count)

    async def asked(self, count: int) -> None:
        """Wait until so many sockets were opened, and the newest one has sent its first message."""
        await until(lambda: len(self.told) == count and self.told[-1] != [])

    def say(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind} | fields))

    def final(self, index: int, text: str) -> None:
        self.caption(index, text, "final", len(text))

    def caption(self, index: int, text: str, state: str = "tentative", stable: int = 0) -> None:
        self.say("caption", index=index, start=index * 5.0, end=index * 5.0 + 4, text=text, state=state, stable=stable)


async def opened(page: Page, stage: Stage, path: str) -> None:
    await page.route_web_socket("**/ws/live**", stage.take)
    await page.goto(path)
    if path not in STARTS:  # those open a socket when their button is pressed
        await stage.opened(1)
