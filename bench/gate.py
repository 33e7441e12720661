"""The cost of the gate beside other limiters, and the time of real calls through it to a real HTTP server.

    python -m bench.gate [--service 0.25] [--calls 1000] [cost] [flat] [live] [makespan] [noted]

cost      microseconds of CPU for a call that does nothing: alone, and with 1,000 waiting for their turn (their tasks
          included; "bare" is these tasks with no limiter). Goals: alone not slower than anyio's limiter; waiting at
          most 1.5 times asyncio's semaphore.
flat      the same for an admission while 10 to 10,000 stand in line. Goal: at most 1.2 times that of 10. All four
          crowds take turns of a few milliseconds, and the median of the ratios inside a round counts, so that seconds
          at half speed, as machines have them, do not matter. A limiter with lanes wakes tasks in another order than
          they lie in memory; "three lanes" shows the cost of that alone.
live      the wait of a live call behind 10,000 batch calls at limit 1. Goal: one exchange and 50 ms.
makespan  --calls calls of --service seconds at limits 1, 2, 4. Goal: 1.02 times calls x service / limit.
          Beside it, the same calls with a plain semaphore: the cost of the machine and of httpx.
noted     CPU of an exchange with a server that computes nothing, with and without a note that outlives this process,
          in turns. Goal: at most 1.05 times.

Other limiters take part where they are installed: `pip install aiometer aio-fairshare ace-concurrency`, and from
Python 3.12 on asyncio-advanced-semaphores. Each is used as its documentation shows. None has lanes, a bounded line or
a limit that follows the server.
"""

import argparse
import asyncio
import gc
import importlib.util
import logging
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from importlib import import_module
from itertools import cycle
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import TypeVar

import anyio
import httpx

from tests.support.calls import WAV, caller, client, request
from tests.support.whisper_stub import WhisperStub
from transcription.client import WhisperClient
from transcription.gate import Gate
from transcription.limit import FixedLimit
from transcription.line import LANES, MAX_PASSES
from transcription.station import Station
from transcription.unanswered import Unanswered

OWNERS = 500
ADMISSIONS = 1000  # measured at a time while a crowd stands in line
ROUNDS = 25  # in which all take turns; the best counts, for what is slower was disturbed by something else

K = TypeVar("K", bound=Hashable)
Call = Callable[
    [int, bool], Coroutine[None, None, None]
]  # takes a permit, lets others run if it is busy, gives it back
Contestant = Callable[[AsyncExitStack], Awaitable[Call]]


async def bare(stack: AsyncExitStack) -> Call:
    async def call(number: int, busy: bool) -> None:
        if busy:
            await asyncio.sleep(0)

    return call


async def semaphore(stack: AsyncExitStack) -> Call:
    limiter = asyncio.Semaphore(1)

    async def call(number: int, busy: bool) -> None:
        async with limiter:
            if busy:
                await asyncio.sleep(0)

    return call


async def capacity_limiter(stack: AsyncExitStack) -> Call:
    limiter = anyio.CapacityLimiter(1)

    async def call(number: int, busy: bool) -> None:
        async with limiter:
            if busy:
                await asyncio.sleep(0)

    return call


async def lanes(stack: AsyncExitStack) -> Call:
    """The least limiter with three lanes, eight admissions of the first to one of another: futures in three lines."""
    lines = [deque[asyncio.Future[None]]() for _ in LANES]
    order = cycle([0] * MAX_PASSES + [1] + [0] * MAX_PASSES + [2])
    taken = False

    async def call(number: int, busy: bool) -> None:
        nonlocal taken
        if taken:
            turn = asyncio.get_running_loop().create_future()
            lines[number % 3].append(turn)
            await turn
        taken = True
        if busy:
            await asyncio.sleep(0)
        if line := lines[next(order)] or max(lines, key=len):
            line.popleft().set_result(None)
        else:
            taken = False

    return call


async def gate(stack: AsyncExitStack) -> Call:
    limiter = Gate([Station("bench", FixedLimit(1))], max_queue=20_000)

    async def call(number: int, busy: bool) -> None:
        permit = limiter.enter(LANES[number % 3], number % OWNERS)
        await permit.admitted()
        if busy:
            await asyncio.sleep(0)
        permit.release()

    return call


async def fairshare(stack: AsyncExitStack) -> Call:
    limiter = import_module("aio_fairshare").FairShareSemaphore(1)
    tenant = await stack.enter_async_context(limiter.tenant("bench"))  # more than a few make it take seconds

    async def call(number: int, busy: bool) -> None:
        async with tenant.acquire():
            if busy:
                await asyncio.sleep(0)

    return call


async def ace(stack: AsyncExitStack) -> Call:
    module = import_module("ace.core.limiters")
    import_module("ace.core.logger").logging.disable(logging.CRITICAL)
    limiter = module.ACESemaphore(1)

    async def call(number: int, busy: bool) -> None:
        async with await limiter.acquire():
            if busy:
                await asyncio.sleep(0)

    return call


async def advanced(stack: AsyncExitStack) -> Call:
    limiter = import_module("asyncio_advanced_semaphores").MemorySemaphore(name="bench", value=1)

    async def call(number: int, busy: bool) -> None:
        async with limiter.cm():
            if busy:
                await asyncio.sleep(0)

    return call


CONTESTANTS: dict[str, tuple[Contestant, str]] = {
    "bare": (bare, "asyncio"),
    "asyncio.Semaphore": (semaphore, "asyncio"),
    "anyio.CapacityLimiter": (capacity_limiter, "anyio"),
    "three lanes": (lanes, "asyncio"),
    "Gate": (gate, "transcription"),
    "aio-fairshare": (fairshare, "aio_fairshare"),
    "ace-concurrency": (ace, "ace"),
    "asyncio-advanced-semaphores": (advanced, "asyncio_advanced_semaphores"),
}


async def alone(call: Call, calls: int) -> float:
    start = time.thread_time()
    for number in range(calls):
        await call(number, False)
    return time.thread_time() - start


async def waiting(call: Call, calls: int) -> float:
    start = time.thread_time()
    await asyncio.gather(*(asyncio.create_task(call(number, True)) for number in range(calls)))
    return time.thread_time() - start


async def one_after_the_other(aiometer: str, calls: int) -> float:
    """aiometer has no permits: it runs a function on each of many items, with a bound on those at a time."""

    async def nothing(number: int) -> None:
        await asyncio.sleep(0)

    start = time.thread_time()
    await import_module(aiometer).run_on_each(nothing, range(calls), max_at_once=1)
    return time.thread_time() - start


def in_turns(measures: dict[K, Callable[[], Awaitable[float]]]) -> list[dict[K, float]]:
    """Seconds of each contestant in each round."""

    async def run(measure: Callable[[], Awaitable[float]]) -> float:
        gc.collect()
        return await measure()

    return [{name: asyncio.run(run(measure)) for name, measure in measures.items()} for _ in range(ROUNDS)]


def fewest(rounds: list[dict[K, float]]) -> dict[K, float]:
    return {name: min(each[name] for each in rounds) for name in rounds[0]}


def measured(name: str, how: Callable[[Call, int], Awaitable[float]], calls: int) -> Callable[[], Awaitable[float]]:
    async def run() -> float:
        async with AsyncExitStack() as stack:
            return await how(await CONTESTANTS[name][0](stack), calls)

    return run


def cost() -> None:
    names = [name for name, (_, module) in CONTESTANTS.items() if importlib.util.find_spec(module)]
    lonely = fewest(in_turns({name: measured(name, alone, 1000) for name in names}))
    measures = {name: measured(name, waiting, 1000) for name in names}
    if importlib.util.find_spec("aiometer"):
        measures["aiometer"] = lambda: one_after_the_other("aiometer", 1000)
    crowded = fewest(in_turns(measures))
    print(f"{'µs per call':30}{'alone':>10}{'waiting':>10}{'times':>8}")
    for name, seconds in crowded.items():
        by_itself = f"{lonely[name] * 1e3:10.2f}" if name in lonely else " " * 10
        print(f"{name:30}{by_itself}{seconds * 1e3:10.2f}{seconds / crowded['asyncio.Semaphore']:8.2f}")


class Crowd:
    """A constant number of callers in line: an admitted one comes again. It moves only while it is measured."""

    def __init__(self, contestant: Contestant, callers: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._left = 0
        self._done = self._loop.create_future()
        call = self._loop.run_until_complete(contestant(self._stack))
        self._tasks = [self._loop.create_task(self._come_again(call, number)) for number in range(callers)]
        self.seconds(3 * callers)  # until all are in line, and not in the order in which they were made

    async def _come_again(self, call: Call, number: int) -> None:
        while True:
            await call(number, True)
            self._left -= 1
            if not self._left:
                self._done.set_result(None)

    def seconds(self, admissions: int) -> float:
        """Seconds that `count` admissions take."""
        self._left = admissions
        self._done = self._loop.create_future()
        start = time.thread_time()
        self._loop.run_until_complete(self._done)
        return time.thread_time() - start

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.run_until_complete(self._stack.aclose())
        self._loop.close()


def flat() -> None:
    sizes = (10, 100, 1000, 10_000)
    print(f"{'µs per admission':30}" + "".join(f"{size:>10,}" for size in sizes) + "  in line, times the first")
    for name in ("asyncio.Semaphore", "three lanes", "Gate"):
        crowds = [Crowd(CONTESTANTS[name][0], size) for size in sizes]
        gc.collect()
        rounds = [[crowd.seconds(ADMISSIONS) for crowd in crowds] for _ in range(4 * ROUNDS)]
        for crowd in crowds:
            crowd.close()
        best = "".join(f"{min(column) / ADMISSIONS * 1e6:10.2f}" for column in zip(*rounds, strict=True))
        times = "".join(f"{median(each[i] / each[0] for each in rounds):7.3f}" for i in range(1, len(sizes)))
        print(f"{name:30}{best}  {times}")


def serve(service: float, bench: Connection) -> None:
    with WhisperStub(seconds=service) as stub, suppress(EOFError):
        bench.send(stub.url)
        bench.recv()  # until the bench hangs up


@contextmanager
def server(service: float) -> Iterator[str]:
    """URL of a server in a process of its own, as Whisper is, so that its computation takes nothing from the client."""
    spawn = get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=serve, args=(service, there))
    process.start()
    there.close()  # so that a server that dies is noticed
    try:
        yield here.recv()
    finally:
        here.close()
        process.join()


@asynccontextmanager
async def whisper_client(url: str, limit: int) -> AsyncIterator[WhisperClient]:
    whisper = client(url, limit=limit, max_queue=20_000, request_timeout=60.0)
    yield whisper
    await whisper.aclose()


def makespan(service: float, calls: int) -> None:
    print(f"makespan of {calls} calls of {service:g} s")
    for limit in (1, 2, 4):
        ideal = calls * service / limit
        with server(service) as url:
            gated = asyncio.run(with_gate(url, limit, calls))
            bare = asyncio.run(without_gate(url, limit, calls))
        print(
            f"limit {limit}: {gated:.2f} s, {gated / ideal:.4f} times {ideal:g} s; "
            f"a bare semaphore and httpx: {bare / ideal:.4f} times"
        )


async def with_gate(url: str, limit: int, calls: int) -> float:
    """Seconds of the calls through the gate, from three lanes and many owners."""
    async with whisper_client(url, limit) as whisper:
        await whisper.call_remote_asr_api(request(), caller())
        callers = [caller(LANES[number % 3], str(number % OWNERS)) for number in range(calls)]
        start = time.monotonic()
        await asyncio.gather(*(whisper.call_remote_asr_api(request(), each) for each in callers))
        return time.monotonic() - start


async def without_gate(url: str, limit: int, calls: int) -> float:
    """Seconds of the same calls with a plain semaphore and httpx."""
    semaphore = asyncio.Semaphore(limit)

    async def call() -> None:
        async with semaphore:
            await http.post(f"{url}/audio/transcriptions", data={"model": "x"}, files={"file": ("audio.wav", WAV)})

    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as http:
        start = time.monotonic()
        await asyncio.gather(*(call() for _ in range(calls)))
        return time.monotonic() - start


async def noted(url: str, calls: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ways = {"without": None, "with": Unanswered(Path(folder) / "notes", 330.0)}
        clients = {name: client(url, limit=4, max_queue=20_000, unanswered=notes) for name, notes in ways.items()}

        async def measure(name: str) -> float:
            gc.collect()
            start = time.thread_time()
            await asyncio.gather(*(clients[name].call_remote_asr_api(request(), caller()) for _ in range(calls)))
            return time.thread_time() - start

        rounds = [{name: await measure(name) for name in ways} for _ in range(1 + ROUNDS)][1:]
        for whisper in clients.values():
            await whisper.aclose()
    best = fewest(rounds)
    ratio = median(each["with"] / each["without"] for each in rounds)
    print(
        f"an exchange takes {best['without'] / calls * 1e6:.0f} µs, {best['with'] / calls * 1e6:.0f} µs with a note: "
        f"{ratio:.3f} times; {calls / best['without']:.0f} and {calls / best['with']:.0f} a second"
    )


async def live(url: str, service: float) -> None:
    async with whisper_client(url, limit=1) as whisper:
        waiting = [
            asyncio.create_task(whisper.call_remote_asr_api(request(), caller("batch", str(number % OWNERS))))
            for number in range(10_000)
        ]
        await asyncio.sleep(5)  # until all are in line
        delays = []
        for _ in range(20):
            start = time.monotonic()
            await whisper.call_remote_asr_api(request(), caller("live"))
            delays.append(time.monotonic() - start - service)
            await asyncio.sleep(service * 0.3)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
    print(
        f"a live call behind 10,000 batch calls of {service:g} s waited {max(delays):.3f} s at most, of {len(delays)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["cost", "flat", "live", "makespan", "noted"])
    parser.add_argument("--service", type=float, default=0.25)
    parser.add_argument("--calls", type=int, default=1000)
    options = parser.parse_args()
    for what in options.what:
        match what:
            case "cost":
                cost()
            case "flat":
                flat()
            case "live":
                with server(options.service) as url:
                    asyncio.run(live(url, options.service))
            case "noted":
                with server(0.0) as url:
                    asyncio.run(noted(url, 200))
            case "makespan":
                makespan(options.service, options.calls)
            case _:
                parser.error(f"There is no measurement {what!r}.")


if __name__ == "__main__":
    main()
