"""A stub of a Whisper server, for tests that see, count or break its requests. It is a real HTTP server.

It counts the computations that run in it at the same time. Like a real server it goes on computing when its client has
hung up. Its answers are a script: one reply for all calls, or one after the other.
"""

import asyncio
import hashlib
import json
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Self, TypeVar

from transcription.request import SILENCE


@dataclass(frozen=True)
class Received:
    """A request as it arrived: its time (of `time.monotonic`), its form fields, and its file's size and SHA-256."""

    at: float
    path: str
    fields: dict[str, str]
    headers: dict[str, str]
    file_bytes: int
    digest: str
    reply: "Reply | None" = None  # the answer, if it depends on the request

    @property
    def audio_seconds(self) -> float:
        """The length of a 16 kHz mono WAV file."""
        return max(0, self.file_bytes - 44) / 32_000


T = TypeVar("T")
Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


def http(status: int, body: str | bytes | dict[str, object] = b"", **headers: str) -> Reply:
    """A complete, correct HTTP answer."""
    content = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        await writer.drain()

    return reply


def said(text: str = "hello") -> Reply:
    return http(200, {"text": text, "language": "en", "duration": 1.0})


def raw(content: bytes) -> Reply:
    """An answer of these bytes, after which the connection is closed."""

    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        writer.close()

    return reply


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


NOTHING_SAID = said("")
SILENCE_SECONDS = 0.02  # how long a probe is computed
MODELS = http(200, {"object": "list", "data": [{"id": "whisper-1", "object": "model"}]})
OUT_OF_MEMORY = http(500, {"error": {"message": "CUDA out of memory. Tried to allocate 2.00 GiB"}})


class WhisperStub:
    """`with WhisperStub() as stub:` serves at `stub.url` from a thread of its own.

    seconds: how long a computation takes; per_second: what each second of audio adds to it.
    replies: the answers in order, of which the last is repeated for ever.
    knows_silence: a probe (a second of silence) is answered soon, and counted in `silences` and nowhere else; False: it
        is a call like any other.
    capacity: how many computations fit at a time; a call beyond that is answered “out of memory”; None: all fit.
    hear: gives the answer to a file, in place of the script.
    """

    def __init__(
        self,
        seconds: float | Callable[[], float] = 0.05,
        replies: Reply | Iterable[Reply] | None = None,
        capacity: int | None = None,
        per_second: float = 0.0,
        hear: Callable[[bytes], Reply] | None = None,
        knows_silence: bool = True,
    ) -> None:
        self.answer(said() if replies is None else replies, seconds)
        self._capacity = capacity
        self._per_second = per_second
        self._hear = hear
        self._knows_silence = knows_silence
        self._loop = asyncio.new_event_loop()
        self._computations: set[asyncio.Task[None]] = set()
        self._exits: asyncio.Semaphore | None = None  # while computations are held
        self.received: list[Received] = []
        self.computing = self.peak = self.finished = self.connections = self.silences = 0

    def answer(self, replies: Reply | Iterable[Reply], seconds: float | Callable[[], float] = 0.05) -> None:
        """Replace the script."""
        self._seconds = seconds if callable(seconds) else lambda: seconds
        script = [replies] if callable(replies) else list(replies)
        self._script: Iterator[Reply] = chain(script, repeat(script[-1]))

    def hold(self) -> None:
        """From now on, and until `let_go`, no computation ends."""
        self._exits = asyncio.Semaphore(0)

    def let_one_go(self) -> None:
        """End one of the computations that are held."""
        assert self._exits
        self._loop.call_soon_threadsafe(self._exits.release)

    def let_go(self) -> None:
        """End the computations that are held, and hold none any more."""
        assert self._exits
        exits, self._exits = self._exits, None

        def open_all() -> None:
            for _ in range(self.computing):
                exits.release()

        self._loop.call_soon_threadsafe(open_all)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def prompts(self) -> list[str]:
        """The prompts in order of arrival, by which tests tell their calls apart."""
        return [request.fields.get("prompt", "") for request in self.received]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._call(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self, port: int = 0) -> None:
        """Listen on a port: after `stop()`, on the same one again."""
        port = port or getattr(self, "port", 0)
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", port, backlog=1024))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Refuse connections from now on, and break those that are open."""
        self._call(self._hang_up())

    async def _hang_up(self) -> None:
        self._server.close()
        for task in asyncio.all_tasks():
            if task.get_name() == "connection":
                task.cancel()

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _call(self, coroutine: Awaitable[T]) -> T:
        async def run() -> T:
            return await coroutine

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            task.set_name("connection")
        self.connections += 1
        try:
            while request := await self._read(reader):
                if request.headers["method"] == "get":
                    await MODELS(writer)
                    continue
                if request.reply is NOTHING_SAID:
                    self.silences += 1
                else:
                    self.received.append(request)
                computation = asyncio.create_task(self._compute(request, writer))
                self._computations.add(computation)
                computation.add_done_callback(self._computations.discard)
                await asyncio.shield(computation)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> Received | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return None
        headers = dict(re.findall(r"^([^:\r\n]+): *([^\r\n]*)", head.lower(), re.M))
        method, path, _version = head.split(" ", 2)
        headers["method"] = method.lower()
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        fields: dict[str, str] = {}
        file = b""
        for part in body.split(b"\r\n--"):
            about, _, value = part.partition(b"\r\n\r\n")
            if b"filename=" in about:
                file = value
            elif name := re.search(rb'name="([^"]+)"', about):
                fields[name[1].decode()] = value.decode()
        reply = NOTHING_SAID if file == SILENCE and self._knows_silence else self._hear(file) if self._hear else None
        return Received(time.monotonic(), path, fields, headers, len(file), hashlib.sha256(file).hexdigest(), reply)

    def _time_for(self, request: Received) -> float:
        if request.reply is NOTHING_SAID:
            return SILENCE_SECONDS
        return self._seconds() + self._per_second * request.audio_seconds

    async def _compute(self, request: Received, writer: asyncio.StreamWriter) -> None:
        self.computing += 1
        self.peak = max(self.peak, self.computing)
        over = self._capacity is not None and self.computing > self._capacity
        reply = OUT_OF_MEMORY if over else request.reply or next(self._script)
        try:
            if not over:
                await asyncio.sleep(self._time_for(request))
                if self._exits:
                    await self._exits.acquire()
        finally:
            self.computing -= 1
            self.finished += request.reply is not NOTHING_SAID
        with suppress(ConnectionError):  # nobody is listening any more
            await reply(writer)
