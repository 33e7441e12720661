"""Many open pages while recordings come in: messages and the server's CPU time.

    python -m bench.pages [--sockets 500] [--uploads 20]

Everything runs on this machine: the product in a process of its own, before a Whisper server that answers after 50 ms.
"""

import argparse
import asyncio
import json
import os
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")

from tests.support.product import Product, upload
from tests.support.speech import librivox
from tests.support.waiting import wait_for
from tests.support.whisper_stub import WhisperStub


async def listen(socket: ClientConnection, told: Counter[str]) -> None:
    async for message in socket:
        told["messages"] += 1
        told.update(json.loads(message).keys() & {"recording", "queue"})


def ticket(api: httpx.Client) -> str:
    return str(api.post("/api/ws-ticket").raise_for_status().json()["ticket"])


def work(api: httpx.Client, uploads: int) -> None:
    for _ in range(uploads):
        upload(api, librivox()[0].path)
    jobs = "/api/recordings/stats/asr-concurrency"
    wait_for(lambda: not any(api.get(jobs).json()["jobs"].values()), "the end of all jobs", seconds=300, every=0.5)


async def measure(product: Product, sockets: int, uploads: int) -> None:
    told = Counter[str]()
    server = psutil.Process(product.process.pid)
    with product.client() as api:
        async with AsyncExitStack() as stack:
            address = f"{product.url.replace('http', 'ws', 1)}/ws/recordings?ticket="
            for _ in range(sockets):
                opening = connect(address + ticket(api), origin=Origin(product.url))
                socket = await stack.enter_async_context(opening)
                listening = asyncio.create_task(listen(socket, told))
                stack.callback(listening.cancel)
            before, began = sum(server.cpu_times()[:2]), asyncio.get_running_loop().time()
            await asyncio.to_thread(work, api, uploads)
            await asyncio.sleep(2)  # what is told last
            seconds = asyncio.get_running_loop().time() - began
            cpu = sum(server.cpu_times()[:2]) - before
    rate = told["messages"] / max(1, sockets) / seconds
    print(f"{sockets} pages, {uploads} uploads, {seconds:.1f} s: {cpu:.1f} s of CPU, {told['messages']} messages")
    print(f"{rate:.1f} a second for each page; {told['recording']} of recordings, {told['queue']} of the line")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--uploads", type=int, default=20)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        WhisperStub(seconds=0.05) as stub,
        Product(Path(folder), ASR_API_URL=stub.url, ASR_MAX_CONCURRENT="2") as product,
    ):
        asyncio.run(measure(product, options.sockets, options.uploads))


if __name__ == "__main__":
    main()
