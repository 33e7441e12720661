"""The cost of the gate beside its cost in an earlier version, in one run.

    python -m bench.gate_versions REVISION [--rounds 15]

Checks REVISION out into a temporary folder and runs the gate of either version in turns, each time in a process of its
own: microseconds of CPU for a call that does nothing, alone and with 1,000 waiting (see `bench.gate cost`). Prints the
median of the ratios inside a round, so that a machine that becomes slower does not matter. Goal: at most 1.05.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
MEASURE = """
import asyncio, json
from bench.gate import alone, measured, waiting
print(json.dumps([min(asyncio.run(measured("Gate", how, 1000)()) for _ in range(20)) for how in (alone, waiting)]))
"""


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A folder with the files of this revision."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
        yield Path(folder)


def cost(version: Path) -> list[float]:
    """Milliseconds of 1,000 calls, which are microseconds of one: alone, and waiting."""
    out = subprocess.run([sys.executable, "-c", MEASURE], cwd=version, check=True, capture_output=True).stdout
    return [seconds * 1e3 for seconds in json.loads(out)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with checked_out(options.revision) as before:
        rounds = [(cost(ROOT), cost(before)) for _ in range(options.rounds)]
    print(f"{'µs per call':12}{'now':>10}{'before':>10}{'ratio':>8}")
    for index, name in enumerate(("alone", "waiting")):
        now, then = ([each[version][index] for each in rounds] for version in (0, 1))
        ratio = median(a / b for a, b in zip(now, then, strict=True))
        print(f"{name:12}{median(now):10.2f}{median(then):10.2f}{ratio:8.3f}")


if __name__ == "__main__":
    main()
