"""A long run through the gate with every kind of fault, to find what it leaves behind.

    python -m bench.soak [--calls 100000]

A real HTTP server answers three calls in four; the others it resets, refuses, garbles, keeps waiting, or tells that its
memory ran out. Of the callers some leave, some have deadlines, some take the place of an older call. After each tenth
it prints the memory of the process with the server in it, and the permits and waiters that are left when all have
gone. Goal: no permit, no waiter, no task left, and after the first fifth no more memory.
"""

import argparse
import asyncio
import gc
import random
import time
from typing import Any

import psutil

from tests.support.calls import client, request
from tests.support.whisper_stub import OUT_OF_MEMORY, Reply, WhisperStub, http, raw, reset, said
from transcription.client import WhisperClient
from transcription.line import LANES
from transcription.request import CallOptions

MIB = 1024**2
BATCH = 500  # calls at once


async def stall(writer: Any) -> None:
    await asyncio.sleep(0.3)
    writer.close()


ANSWER = said("hello " * 50)
FAULTS: list[Reply] = [
    OUT_OF_MEMORY,
    http(503, {"error": "queue is full"}, Retry_After="0.01"),
    http(500, "<html>broken</html>"),
    http(400, {"error": "refused"}),
    http(200, "half of a {"),
    raw(b"garbage\r\n\r\n"),
    reset,
    stall,
]


async def batch(whisper: WhisperClient, dice: random.Random) -> None:
    """Make `calls` calls of all kinds. Ends when each has its answer or has left."""

    async def call() -> None:
        await asyncio.sleep(dice.uniform(0, 0.5))
        deadline = time.monotonic() + dice.uniform(0, 1) if dice.random() < 0.1 else None
        key = dice.choice("ab") if dice.random() < 0.1 else None
        durable = deadline is None and dice.random() < 0.5
        owner = f"user:{dice.randrange(50)}"
        await whisper.call_remote_asr_api(
            request(), CallOptions(dice.choice(LANES), owner, durable=durable, deadline=deadline, supersede=key)
        )

    tasks = [asyncio.create_task(call()) for _ in range(BATCH)]
    for task in tasks:
        if dice.random() < 0.1:
            asyncio.get_running_loop().call_later(dice.uniform(0, 2), task.cancel)
    await asyncio.gather(*tasks, return_exceptions=True)


async def soak(calls: int) -> None:
    dice = random.Random(1)
    process = psutil.Process()
    memory: list[float] = []
    with WhisperStub() as stub:
        whisper = client(
            stub.url,
            limit=16,
            max_queue=BATCH,
            request_timeout=0.2,
            abandoned_grace=0.2,
        )
        start = time.monotonic()
        for number in range(1, calls // BATCH + 1):
            script = [ANSWER if dice.random() < 0.75 else dice.choice(FAULTS) for _ in range(2 * BATCH)]
            stub.answer([*script, ANSWER], lambda: dice.uniform(0, 0.004))
            await batch(whisper, dice)
            stub.received.clear()
            if number % max(1, calls // BATCH // 10) == 0:
                await asyncio.sleep(0.5)  # what was abandoned has ended
                gc.collect()
                memory.append(process.memory_info().rss / MIB)
                gate = whisper.snapshot().servers[0].gate
                print(
                    f"{number * BATCH:8} calls, {time.monotonic() - start:6.0f} s: {memory[-1]:6.1f} MiB, "
                    f"{len(asyncio.all_tasks())} task, {len(gc.get_objects())} objects, {process.num_fds()} files; "
                    f"out {gate.active + gate.abandoned}, in line {gate.queued}",
                    flush=True,
                )
        print(whisper.snapshot().calls)
        print(f"memory grew by {memory[-1] - memory[1]:.1f} MiB after the first fifth")
        await whisper.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    asyncio.run(soak(parser.parse_args().calls))


if __name__ == "__main__":
    main()
