"""One line for all servers beside a line for each, in virtual time.

    python -m bench.one_line [--calls 300] [--runs 5]

Two simulated servers, one three times as fast as the other, take one call at a time. The calls are of mixed length:
clips, sentences, whole stretches of 30 s. They come all at once, or from twelve callers that each make one after the
other. Either both servers live, or one of them is lost half-way and never comes back.

one line       the gate of the product: a server that is free takes the first call in line.
early binding  the way before: each call chooses the server with the shortest expected wait, and stands in its line. It
               chooses again only when that server is lost.

ideal is the work divided by the speed of the servers that live: what a shared queue of endlessly small calls needs.
The columns show the time until the last call is done, as multiples of it: the median of the runs, and the worst.
Goal of one line: at most 1.05 in each row.
"""

import argparse
import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from statistics import median

from tests.support.virtual_time import VirtualLoop
from transcription.breaker import Breaker
from transcription.errors import Evicted
from transcription.gate import Gate, Permit
from transcription.limit import FixedLimit
from transcription.pool import Server
from transcription.servers.file import NamedServer

SPEEDS = {"fast": 30.0, "slow": 10.0}  # seconds of audio in a second
TRY = 0.05  # seconds that a call needs to find out that there is no server
CALLERS = 12
GOAL = 1.05

Caller = Callable[[float], Awaitable[None]]  # makes a call with so many seconds of audio


class TwoServers:
    """The servers. lost: the name of the one that is lost, or None. at: when, in seconds of the running loop."""

    def __init__(self, lost: str | None, at: float) -> None:
        self._lost, self._at = lost, at
        self.clock = asyncio.get_running_loop().time
        self.servers = [
            Server(NamedServer(f"http://{name}:8000/v1"), name, FixedLimit(1), Breaker(self.clock)) for name in SPEEDS
        ]

    async def exchange(self, permit: Permit[Server], audio: float) -> bool:
        """Send a call to the permit's server, and give the permit back. Returns whether there was an answer."""
        end = self.clock() + audio / SPEEDS[permit.server.name]
        if permit.server.name == self._lost and end > self._at:
            await asyncio.sleep(max(TRY, self._at - self.clock()))
            permit.release("error", audio, reached=False)
            return False
        await asyncio.sleep(end - self.clock())
        permit.release("ok", audio, reached=True)
        return True


def one_line(simulation: TwoServers) -> Caller:
    gate = Gate(simulation.servers, max_queue=100_000, clock=simulation.clock)

    async def call(audio: float) -> None:
        avoid = None
        while not await simulation.exchange(permit := await gate.acquire("batch", None, avoid=avoid), audio):
            avoid = permit.server

    return call


def early_binding(simulation: TwoServers) -> Caller:
    gates = {server: Gate([server], max_queue=100_000, clock=simulation.clock) for server in simulation.servers}

    def expected(server: Server) -> float:
        active, limit, queued = gates[server].load()
        return 0.0 if active < limit and not queued else (queued + 1) * server.mean_service / limit

    async def call(audio: float) -> None:
        avoid: Server | None = None
        while True:
            able = [server for server in simulation.servers if server.allows()]
            if not able:
                await asyncio.sleep(TRY)
                continue
            chosen = min(able, key=lambda server: (server is avoid, expected(server), server.mean_service))
            try:
                permit = await gates[chosen].acquire("batch", None, patient=False)
            except Evicted:
                continue
            if await simulation.exchange(permit, audio):
                return
            avoid = chosen

    return call


WAYS = {"one line": one_line, "early binding": early_binding}


def mixed(calls: int, seed: int) -> list[float]:
    """Lengths of audio in seconds."""
    dice = random.Random(seed)
    return [dice.choice([dice.uniform(1, 4), dice.uniform(4, 15), dice.uniform(20, 30)]) for _ in range(calls)]


def ideal(lengths: Sequence[float], lost: str | None) -> tuple[float, float]:
    """Seconds that all calls need at best, and when a server is lost."""
    half_way = sum(lengths) / sum(SPEEDS.values()) / 2
    living = sum(speed for name, speed in SPEEDS.items() if name != lost)
    return half_way + sum(lengths) / 2 / living, half_way


async def makespan(
    way: Callable[[TwoServers], Caller], lengths: Sequence[float], callers: int, lost: str | None
) -> float:
    """Seconds until the last call is done."""
    simulation = TwoServers(lost, ideal(lengths, lost)[1])
    call, left = way(simulation), iter(lengths)

    async def caller() -> None:
        for audio in left:
            await call(audio)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return simulation.clock()


def times(way: str, calls: int, runs: int, callers: int, lost: str | None) -> list[float]:
    """The makespan of each run, as a multiple of the ideal."""
    found = []
    for seed in range(runs):
        lengths = mixed(calls, seed)
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            found.append(runner.run(makespan(WAYS[way], lengths, callers, lost)) / ideal(lengths, lost)[0])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print(f"{'median (worst) of ' + str(options.runs) + ' runs':34}" + "".join(f"{way:>20}" for way in WAYS))
    for lost in (None, *SPEEDS):
        for callers in (CALLERS, options.calls):
            came = f"{callers} callers" if callers == CALLERS else "all at once"
            row = f"{came}, {f'the {lost} one is lost' if lost else 'both live'}"
            found = {way: times(way, options.calls, options.runs, callers, lost) for way in WAYS}
            cells = "".join(f"{f'{median(each):.3f} ({max(each):.3f})':>20}" for each in found.values())
            print(f"{row:34}{cells}  {'met' if max(found['one line']) <= GOAL else 'missed'}")


if __name__ == "__main__":
    main()
