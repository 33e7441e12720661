"""`manage.py live`: speak to a running server from a file or a pipe, and read the captions as they come.

    manage.py live talk.mp3
    arecord -f S16_LE -r 16000 -c 1 -t raw | manage.py live -

It is a client like any other, over the socket. For a server elsewhere it needs an address and a token. For the server
on this machine it makes a token, which is revoked at the end.
"""

import asyncio
import os
import signal
import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from django.core.management import BaseCommand, CommandError
from django.core.management.base import OutputWrapper
from rich.console import Console
from rich.live import Live
from rich.text import Text

from accounts.models import ApiToken
from recordings.live.client import Away, LiveClient, Message, SessionRefused
from recordings.live.client.frames import frames, from_file, from_pipe
from recordings.management.server import PATIENCE, TOKEN, here, token_for
from transcription.errors import BadAudio

INTERRUPTED = 130  # the shell's exit code for Ctrl-C

TROUBLES = {
    "lost": "The server cannot be reached; what is said is kept, and sent when it is back.",
    "waiting": "Whisper cannot be reached; captions come when it is back.",
    "catching_up": "Captions are late.",
}


class Command(BaseCommand):
    help = "Stream a file or standard input to a running server, and print the captions as they come."
    requires_system_checks = []  # the server has run them; here they would take a second

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", metavar="FILE|-", help="sound or video; - for standard input: WAV, or raw 16-bit mono at 16000 Hz"
        )
        parser.add_argument("--url", default=here(), help="where the server is (default: %(default)s)")
        parser.add_argument("--user", metavar="NAME", help=f"whose session it is, where {TOKEN} does not tell")
        parser.add_argument("--language", default="", help="spoken language, as en or Chinese (default: as heard)")
        parser.add_argument("--title", default="", help="title of the recording")
        parser.add_argument("--prompt", default="", help="names and terms to expect")
        parser.add_argument("--fast", action="store_true", help="do not send a file at the pace at which it is spoken")

    def handle(self, *args: Any, file: str, url: str, user: str | None, fast: bool, **options: Any) -> None:
        if file == "-" and sys.stdin.isatty():
            raise CommandError("Standard input is a terminal: pipe sound into it, or name a file.")
        pieces = from_pipe(sys.stdin.fileno()) if file == "-" else from_file(file)
        start = {name: options[name] for name in ("language", "title", "prompt")}
        url = url.rstrip("/")
        try:
            with token_for(url, user, ApiToken.Scope.TRANSCRIBE) as token, _screen(self.stdout, self.stderr) as screen:
                sound = frames(pieces, pace=file != "-" and not fast)
                if asyncio.run(_LiveRun(url, token, screen).run(sound, start)) is None:
                    screen.note("There was no sound, so there is no recording.")
        except (SessionRefused, BadAudio) as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{error.filename or file} cannot be read: {error.strerror}.") from None
        except asyncio.CancelledError:
            sys.exit(INTERRUPTED)


class _LiveRun:
    """One run of the command: the client, the screen and Ctrl-C."""

    def __init__(self, url: str, token: str, screen: "Screen") -> None:
        self._url = url
        self._token = token
        self._screen = screen
        self._stopping = False

    async def run(self, sound: AsyncIterator[bytes], start: dict[str, str]) -> int | None:
        """Send the sound. Ctrl-C ends the sound, a second one the command; acknowledged sound becomes a recording."""
        self._client = LiveClient(self._address, self._tell, **start)
        self._work = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop)
        return await self._client.run(sound)

    def _stop(self) -> None:
        if self._stopping and self._work:
            left = self._client.unacknowledged
            self._screen.note(f"Given up; {left:.0f} s of sound are not on the server." if left else "Given up.")
            self._work.cancel()
        elif not self._stopping:
            self._stopping = True
            self._screen.note("Stopping. Ctrl-C once more gives up what is still to be sent.")
            self._client.stop()

    def _tell(self, message: Message) -> None:
        try:
            self._screen.tell(message)
            if message["type"] == "done" and message["recording"] is not None:
                self._screen.note(f"Recording: {self._url}/recordings/{message['recording']}")
        except BrokenPipeError:  # the reader of the pipe has left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._client.stop()

    async def _address(self) -> str:
        try:
            async with httpx.AsyncClient(timeout=PATIENCE) as http:
                headers = {"Authorization": f"Bearer {self._token}"}
                response = await http.post(f"{self._url}/api/ws-ticket", headers=headers)
        except httpx.TransportError as error:
            raise Away from error
        if response.status_code in (401, 403):
            raise SessionRefused(
                f"{self._url} does not take this token: it needs a living one with the scope “transcribe”."
            )
        if response.is_error:
            raise Away
        return f"{self._url.replace('http', 'ws', 1)}/ws/live?ticket={response.json()['ticket']}"


class Screen:
    """The output for programs: each final caption on a line of its own. Notes for people go to `notes`."""

    def __init__(self, captions: OutputWrapper, notes: OutputWrapper) -> None:
        self._captions = captions
        self._notes = notes
        self._trouble = ""

    def tell(self, message: Message) -> None:
        match message["type"]:
            case "caption" if message["state"] == "final":
                if message["text"]:
                    self.final(message["text"])
            case "caption":
                self.tentative(message["text"], message["stable"])
            case "error":
                self.note(message["message"])
            case "lost":
                self._note_trouble("lost")
            case "status":
                self._note_trouble(message["state"])

    def _note_trouble(self, trouble: str) -> None:
        if trouble != self._trouble and trouble in TROUBLES:
            self.note(TROUBLES[trouble])
        self._trouble = trouble

    def final(self, text: str) -> None:
        self._captions.write(text)
        self._captions.flush()

    def tentative(self, text: str, stable: int) -> None:
        """Shown only on terminals: programs cannot handle text that changes."""

    def note(self, text: str) -> None:
        self._notes.write(text)


class Terminal(Screen):
    """The output for people: the tentative caption stands on the last line until it is final."""

    def __init__(self, live: Live, captions: OutputWrapper, notes: OutputWrapper) -> None:
        super().__init__(captions, notes)
        self._live = live

    def final(self, text: str) -> None:
        self._live.update(Text())
        self._live.console.print(Text(text))

    def tentative(self, text: str, stable: int) -> None:
        self._live.update(Text(text[:stable]) + Text(text[stable:], style="dim"), refresh=True)

    def note(self, text: str) -> None:
        self._live.console.print(Text(text, style="yellow"))


@contextmanager
def _screen(captions: OutputWrapper, notes: OutputWrapper) -> Iterator[Screen]:
    if not captions.isatty():
        yield Screen(captions, notes)
        return
    with Live(console=Console(), auto_refresh=False, transient=True, vertical_overflow="visible") as live:
        yield Terminal(live, captions, notes)
