"""The cost of the gate beside its cost in an earlier version, in one run.

    python -m bench.gate_versions REVISION [--rounds 15]

Checks REVISION out into a temporary folder and runs the gate of either version in turns, each time in a process of its
own. Prints microseconds of CPU, the least of all rounds, for what is slower was disturbed by something else:

alone     a permit for nothing, taken and given back (see `bench.gate cost`)
waiting   the same, with 1,000 waiting
path      a call on its whole way, with the choice of a server, breaker and log, and an exchange that does nothing
call      the same call with an exchange over HTTP, to a server that computes nothing. Goal: at most 1.05 times
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MEASURE = """
import asyncio, json, time
from bench.gate import alone, measured, server, waiting, whisper_client
from tests.support.calls import caller, request
from transcription.answer import Transcript

async def nothing(server, request):
    return Transcript("", None, None, (), ())

async def through(url, calls, *, http):
    async with whisper_client(url, 1) as client:
        if not http:
            client._call_asr_api_internal = nothing
        await client.call_remote_asr_api(request(), caller())
        start = time.thread_time()
        for _ in range(calls):
            await client.call_remote_asr_api(request(), caller())
        return (time.thread_time() - start) / calls

def least(rounds, run):
    return min(asyncio.run(run()) for _ in range(rounds))

gate = [least(20, measured("Gate", how, 1000)) / 1000 for how in (alone, waiting)]
with server(0.0) as url:
    print(json.dumps([*gate, *(least(5, lambda: through(url, 200, http=http)) for http in (False, True))]))
"""
ROWS = ("alone", "waiting", "path", "call")


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A folder with the files of this revision."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
        yield Path(folder)


def cost(version: Path) -> list[float]:
    """Microseconds, in the order of ROWS."""
    out = subprocess.run([sys.executable, "-c", MEASURE], cwd=version, check=True, capture_output=True).stdout
    return [seconds * 1e6 for seconds in json.loads(out)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with checked_out(options.revision) as before:
        rounds = [(cost(ROOT), cost(before)) for _ in range(options.rounds)]
    print(f"{'µs per call':12}{'now':>10}{'before':>10}{'ratio':>8}")
    for index, name in enumerate(ROWS):
        now, then = (min(each[version][index] for each in rounds) for version in (0, 1))
        print(f"{name:12}{now:10.2f}{then:10.2f}{now / then:8.3f}")


if __name__ == "__main__":
    main()
