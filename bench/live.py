"""The cost of live captions for the server, and the most people who may speak at once, at a fixed service time.

    python -m bench.live [--only sockets viewers sessions batch] [--sockets 50] [--viewers 300] [--permits 1 2 4]
                         [--seconds 40] [--service 0.5]

sockets   --sockets people speak at once, in real time: the server's CPU as a share of one core, and its memory
viewers   --viewers people watch one session: the same, and whether each got every final caption
sessions  the most people whose captions keep up, for each number of permits. The lag is from the end of a sentence in
          the sound to the message that makes it final; it is bounded where 95 % of the second half's are under 5 s
batch     at one permit: the lag when idle, and while a hundred recordings wait in line
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")

import django

django.setup()

import httpx  # noqa: E402
import psutil  # noqa: E402

from tests.support.live_client import FRAME, Client, frames, speaking, watching  # noqa: E402
from tests.support.oracle import Oracle, Samples, speech  # noqa: E402
from tests.support.product import Product, upload  # noqa: E402
from tests.support.whisper_stub import WhisperStub  # noqa: E402
from transcription.audio import wav  # noqa: E402

BOUND = 5.0  # seconds of lag


@dataclass
class ServerCost:
    """The server's process over a while: seconds of CPU in a second, and memory at the end in MiB."""

    cpu: float = 0.0
    memory: float = 0.0


@dataclass
class SimulatedSpeaker:
    """Speaks the sound in real time. `lags`: of each final caption, with the time at which it came."""

    sound: Samples
    lags: list[tuple[float, float]] = field(default_factory=list)

    async def run(self, api: httpx.Client, delay: float = 0.0) -> None:
        await asyncio.sleep(delay)
        async with speaking(api) as client:
            await client.start()
            await self.speak(client)

    async def speak(self, client: Client) -> None:
        began = time.monotonic()
        sending = asyncio.create_task(self._send(client, began))
        while (message := await client.told_of("caption", "done", seconds=120))["type"] != "done":
            if message["state"] == "final":
                now = time.monotonic() - began
                self.lags.append((now, now - message["end"]))
        await sending

    async def _send(self, client: Client, began: float) -> None:
        for number, frame in enumerate(frames(self.sound), 1):
            await asyncio.sleep(began + number * FRAME / 16000 - time.monotonic())
            await client.socket.send(frame)
        await client.send("stop")


@contextmanager
def stile(options: argparse.Namespace, sound: Samples, permits: int) -> Iterator[tuple[Product, httpx.Client]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        WhisperStub(seconds=options.service, hear=Oracle(sound)) as stub,
        Product(
            Path(folder, "data"),
            ASR_API_URL=stub.url,
            ASR_MAX_CONCURRENT=str(permits),
            ASR_ADAPTIVE="off",
            ASR_MAX_QUEUE="1000",
            USER_MAX_LIVE="1000",
            LIVE_SECOND_PASS="off",  # noqa: S106 no password
        ) as product,
        product.client() as api,
    ):
        yield product, api


@contextmanager
def costing(product: Product) -> Iterator[ServerCost]:
    process, cost = psutil.Process(product.process.pid), ServerCost()
    before, began = process.cpu_times(), time.monotonic()
    yield cost
    after = process.cpu_times()
    cost.cpu = (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
    cost.memory = process.memory_info().rss / 2**20


async def crowd(api: httpx.Client, sound: Samples, count: int) -> list[SimulatedSpeaker]:
    """`count` people speak, each beginning a little later than the one before."""
    people = [SimulatedSpeaker(sound) for _ in range(count)]
    await asyncio.gather(*(person.run(api, number * 6 / count) for number, person in enumerate(people)))
    return people


def late(people: list[SimulatedSpeaker], after: float) -> float:
    """The 95th percentile of the lags from `after` seconds on."""
    lags = sorted(lag for person in people for when, lag in person.lags if when > after)
    return lags[int(len(lags) * 0.95)] if lags else float("inf")


async def sockets(options: argparse.Namespace, sound: Samples) -> None:
    with stile(options, sound, 8) as (product, api):
        with costing(product) as cost:
            people = await crowd(api, sound, options.sockets)
        lag = late(people, 0)
    print(f"{options.sockets} sockets: {cost.cpu:.0%} of a core, {cost.memory:.0f} MiB; p95 lag of finals {lag:.1f} s")


async def viewers(options: argparse.Namespace, sound: Samples) -> None:
    with stile(options, sound, 1) as (product, api):
        with costing(product) as alone:
            await SimulatedSpeaker(sound).run(api)
        async with AsyncExitStack() as stack:
            speaker = await stack.enter_async_context(speaking(api))
            session = (await speaker.start())["session"]
            watchers = []
            for _ in range(options.viewers):
                watchers.append(await stack.enter_async_context(watching(api, session)))
                await watchers[-1].told_of("status")
            ends = [asyncio.create_task(viewer.closed(600)) for viewer in watchers]
            with costing(product) as cost:
                await SimulatedSpeaker(sound).speak(speaker)
            await asyncio.gather(*ends)
    missed = sum(viewer.finals() != speaker.finals() for viewer in watchers)
    print(
        f"{options.viewers} viewers: {cost.cpu:.0%} of a core ({alone.cpu:.0%} without them), {cost.memory:.0f} MiB; "
        f"{missed} of them missed a final caption"
    )


async def sessions(options: argparse.Namespace, sound: Samples) -> None:
    for permits in options.permits:
        most, too_many, count = 0, None, 8 * permits
        while too_many is None or too_many - most > max(1, most // 8):
            with stile(options, sound, permits) as (product, api):
                with costing(product) as cost:
                    people = await crowd(api, sound, count)
                lag = late(people, len(sound) / 32000)
            print(f"  {permits} permits, {count} sessions: p95 lag {lag:.1f} s, {cost.cpu:.0%} of a core", flush=True)
            if lag < BOUND:
                most = count
            else:
                too_many = count
            count = most * 2 if too_many is None else (most + too_many) // 2
        print(f"{permits} permits of {options.service:g} s: {most} sessions keep up")


async def batch(options: argparse.Namespace, sound: Samples) -> None:
    with stile(options, sound, 1) as (product, api):
        idle = late(await crowd(api, sound, 1), 0)
        path = product.data_dir / "batch.wav"
        path.write_bytes(b"".join(wav(sound)))
        for _ in range(100):
            upload(api, path)
        busy = late(await crowd(api, sound, 1), 0)
        left = api.get("/api/recordings/stats/asr-concurrency").json()["jobs"]["queued"]
    print(f"one permit of {options.service:g} s: p95 lag {idle:.2f} s idle, {busy:.2f} s with batch work ({left} left)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measurements = {"sockets": sockets, "viewers": viewers, "sessions": sessions, "batch": batch}
    parser.add_argument("--only", nargs="+", choices=list(measurements), default=list(measurements))
    parser.add_argument("--sockets", type=int, default=50)
    parser.add_argument("--viewers", type=int, default=300)
    parser.add_argument("--permits", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--service", type=float, default=0.5)
    options = parser.parse_args()
    sound = speech(10)[: options.seconds * 16000]
    for name in options.only:
        asyncio.run(measurements[name](options, sound))


if __name__ == "__main__":
    main()
