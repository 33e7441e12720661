"""The servers that `bench.captions` measures, each through its own socket, as its own client uses it."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil
from rich.console import Console
from websockets.asyncio.client import ClientConnection, connect

from bench.captions_figures import Shown
from bench.captions_speech import Samples
from recordings.live.client import FRAME, LiveClient, Message
from tests.support.live_client import ticket
from tests.support.product import Product, free_port
from tests.support.waiting import wait_for
from transcription.audio import RATE

READY = 180.0  # seconds that a server may take to start
QUIET = 15.0  # seconds without news after which its Client, too, takes it that everything was told
DONE = 60.0  # seconds that the last words may take
LOOK_EVERY, LOOK_CLOSELY = 0.5, 4  # seconds between looks at the memory; each fourth one also at what is shared

console = Console()


class Voice:
    """A person who speaks: each piece of the sound is sent when its last sample has been said."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._began = time.monotonic()

    def now(self) -> float:
        return time.monotonic() - self._began

    async def pieces(self, size: int) -> AsyncIterator[Samples]:
        self._began = time.monotonic()
        for first in range(0, len(self._samples), size):
            piece = self._samples[first : first + size]
            await asyncio.sleep((first + len(piece)) / RATE - self.now())
            yield piece


Show = Callable[[str, str], None]  # what is final, what is tentative behind it


class Contestant(Protocol):
    name: str

    def running(self) -> Any:
        """Context in which the server runs. Gives its process."""

    async def hear(self, voice: Voice, language: str, show: Show) -> None:
        """Let the voice speak to the server. Returns when the text of its last word has come."""


async def heard(contestant: Contestant, samples: Samples, language: str) -> list[Shown]:
    voice, shown = Voice(samples), list[Shown]()
    try:
        async with asyncio.timeout(len(samples) / RATE + DONE):
            await contestant.hear(
                voice, language, lambda final, tentative: shown.append(Shown(voice.now(), final, tentative))
            )
    except TimeoutError:
        console.print(f"{contestant.name} never said that it was done; what it told until {DONE:.0f} s later counts.")
    return shown or [Shown(voice.now(), "", "")]


# --- ours ----------------------------------------------------------------------------------------


class Stile:
    """Stile. `stable` text counts as final, since the protocol promises that it does not change."""

    name = "Stile"

    @contextmanager
    def running(self) -> Iterator[psutil.Process]:
        with (
            tempfile.TemporaryDirectory() as folder,
            Product(Path(folder), **{"LIVE_SECOND_PASS": "0"}) as self._product,
            self._product.client() as self._api,
        ):
            yield psutil.Process(self._product.process.pid)

    async def hear(self, voice: Voice, language: str, show: Show) -> None:
        captions: dict[int, Message] = {}

        def tell(message: Message) -> None:
            if message["type"] == "caption":
                before = captions.get(message["index"])
                if before and before["state"] == "final":
                    raise AssertionError(f"A final caption came again: {before} {message}")
                captions[message["index"]] = message
                show(*_final_and_tentative(captions))

        async def address() -> str:
            return f"{self._product.url.replace('http', 'ws', 1)}/ws/live?ticket={ticket(self._api)}"

        pieces = (piece.tobytes() async for piece in voice.pieces(FRAME // 2))
        await LiveClient(address, tell, language=language).run(pieces)

    def service(self) -> float:
        """Median seconds of the latest calls to Whisper."""
        return float(self._api.get("/api/recordings/stats/asr-concurrency").json()["service_seconds"]["p50"])


def _final_and_tentative(captions: dict[int, Message]) -> tuple[str, str]:
    """A caption that is not the first tentative one is tentative as a whole."""
    final, tentative = "", ""
    for index in sorted(captions):
        caption = captions[index]
        stable = 0 if tentative else caption["stable"]
        final += caption["text"][:stable]
        tentative += caption["text"][stable:]
        if caption["state"] == "final" and not tentative:
            final += " "
        else:
            tentative += " "
    return final, tentative


# --- WhisperLive -----------------------------------------------------------------------------------


@dataclass
class WhisperLive:
    """WhisperLive, used as by its Client: floats, 4096 samples at a time, default options. Ends when nothing new comes.

    By default its server has one thread for OpenMP; here it gets all cores, as the others.
    """

    python: Path  # of the environment where it is installed
    weights: Path
    name: str = "WhisperLive"

    _SERVE = (
        "import sys; from whisper_live.server import TranscriptionServer; TranscriptionServer().run('127.0.0.1', "
        "port=int(sys.argv[1]), backend='faster_whisper', faster_whisper_custom_model_path=sys.argv[2], "
        "single_model=True, max_connection_time=36000)"
    )
    _OPTIONS = {
        "task": "transcribe",
        "model": "base",
        "use_vad": True,
        "send_last_n_segments": 10,
        "no_speech_thresh": 0.45,
        "clip_audio": False,
        "same_output_threshold": 10,
    }

    @contextmanager
    def running(self) -> Iterator[psutil.Process]:
        self._port = free_port()
        command = [str(self.python), "-c", self._SERVE, str(self._port), str(self.weights)]
        with _server(command, self._port, OMP_NUM_THREADS=str(os.cpu_count())) as process:
            yield process

    async def hear(self, voice: Voice, language: str, show: Show) -> None:
        async with connect(f"ws://127.0.0.1:{self._port}", max_size=None) as socket:
            await socket.send(json.dumps({"uid": str(uuid.uuid4()), "language": language} | self._OPTIONS))
            while json.loads(await socket.recv()).get("message") != "SERVER_READY":
                pass
            speaking = asyncio.create_task(self._speak(socket, voice))
            segments: list[dict[str, Any]] = []
            tentative = text = ""
            news = voice.now()
            while not speaking.done() or voice.now() - news < QUIET:
                with suppress(TimeoutError):
                    message = json.loads(await asyncio.wait_for(socket.recv(), 0.5))
                    tentative = self._take(message.get("segments", []), segments)
                    final = "".join(segment["text"] for segment in segments)
                    if final + tentative != text:
                        text, news = final + tentative, voice.now()
                    show(final, tentative)
            await socket.send(b"END_OF_AUDIO")
            show(text, "")  # the last segment counts when its Client writes the transcript

    async def _speak(self, socket: ClientConnection, voice: Voice) -> None:
        async for piece in voice.pieces(4096):
            await socket.send((piece.astype(np.float32) / 32768).tobytes())

    def _take(self, message: list[dict[str, Any]], completed: list[dict[str, Any]]) -> str:
        """Keep the completed segments of a message, in order of time. Returns the segments that are not complete."""
        for segment in message:
            if segment["completed"] and (not completed or float(segment["start"]) >= float(completed[-1]["end"])):
                completed.append(segment)
        return "" if not message or message[-1]["completed"] else str(message[-1]["text"])


# --- WhisperLiveKit --------------------------------------------------------------------------------


@dataclass
class WhisperLiveKit:
    """WhisperLiveKit, by raw samples over /asr. `lines` are committed text, the buffer is tentative.

    It has two policies: LocalAgreement, on CTranslate2 alone, and AlignAtt, its default, whose decoder needs PyTorch.
    """

    python: Path
    warm_up: Path  # a sound file
    options: tuple[str, ...]
    name: str

    @classmethod
    def local_agreement(cls, python: Path, warm_up: Path, weights: Path) -> WhisperLiveKit:
        options = ("--backend-policy", "localagreement", "--backend", "faster-whisper", "--model_dir", str(weights))
        return cls(python, warm_up, options, "WhisperLiveKit")

    @classmethod
    def align_att(cls, python: Path, warm_up: Path, weights: Path, decoder: Path) -> WhisperLiveKit:
        heads = f"--custom-alignment-heads={_alignment_heads(weights)}"
        options = ("--encoder-model-path", str(weights), "--decoder-model-path", str(decoder), heads)
        return cls(python, warm_up, options, "WhisperLiveKit (AlignAtt)")

    @contextmanager
    def running(self) -> Iterator[psutil.Process]:
        self._port = free_port()
        command = [str(self.python), "-m", "whisperlivekit.basic_server", "--host", "127.0.0.1", "--pcm-input"]
        command += ["--port", str(self._port), "--model", "base"]
        command += ["--warmup-file", str(self.warm_up), "--log-level", "WARNING", *self.options]
        with _server(command, self._port) as process:
            yield process

    async def hear(self, voice: Voice, language: str, show: Show) -> None:
        async with connect(f"ws://127.0.0.1:{self._port}/asr?language={language}", max_size=None) as socket:
            speaking = asyncio.create_task(self._speak(socket, voice))
            while (message := json.loads(await socket.recv())).get("type") != "ready_to_stop":
                if "lines" in message:
                    show(" ".join(line["text"] or "" for line in message["lines"]), message["buffer_transcription"])
            await speaking

    async def _speak(self, socket: ClientConnection, voice: Voice) -> None:
        async for piece in voice.pieces(FRAME // 2):
            await socket.send(piece.tobytes())
        await socket.send(b"")


def _alignment_heads(weights: Path) -> str:
    """The decoder's heads that align words with time: a table of layers and heads, packed for PyTorch's Whisper."""
    heads = np.zeros((6, 8), bool)  # of the base model
    for layer, head in json.loads((weights / "config.json").read_text())["alignment_heads"]:
        heads[layer, head] = True
    return base64.b85encode(gzip.compress(heads.tobytes())).decode()


@contextmanager
def _server(command: list[str], port: int, **environment: str) -> Iterator[psutil.Process]:
    """Start a server and wait until it listens on the port. Shows its output where it fails to."""
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "log"), "w+b") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | environment, stdout=log, stderr=subprocess.STDOUT
        )

        def listens() -> bool:
            if process.poll() is not None:
                log.seek(0)
                raise SystemExit(f"{command[0]} ended:\n{log.read().decode(errors='replace')[-3000:]}")
            return any(found.laddr.port == port for found in psutil.Process(process.pid).net_connections("tcp"))

        try:
            wait_for(listens, "the server", seconds=READY, every=0.5)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# --- what it costs -----------------------------------------------------------------------------------


class ProcessCost:
    """CPU seconds and peak memory of a process and all its children while the block runs.

    pss counts shared memory once, where rss counts it in each process.
    """

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._over = threading.Event()
        self.cpu = 0.0
        self.rss = self.pss = 0

    def __enter__(self) -> ProcessCost:
        self._before = self._cpu()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu = self._cpu() - self._before
        self._over.set()
        self._watch.join()

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def _cpu(self) -> float:
        """CPU seconds. Those of ended children are part of their parents'."""
        return sum(sum(one.cpu_times()[:4]) for one in self._all())

    def _look(self) -> None:
        looks = 0
        while not self._over.wait(LOOK_EVERY):
            with suppress(psutil.NoSuchProcess):
                self.rss = max(self.rss, sum(one.memory_info().rss for one in self._all()))
                if looks % LOOK_CLOSELY == 0:
                    self.pss = max(self.pss, sum(one.memory_full_info().pss for one in self._all()))
            looks += 1
