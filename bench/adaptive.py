"""The adaptive limit beside an oracle and other limits: throughput, latency, out-of-memory answers, and a picture.

    python -m bench.adaptive [--step 2] [--runs 5] [--live] [--real]

A grid of simulated servers in virtual time. `bench.adaptive_simulation` describes how they compute, and
`bench.adaptive_grid` what the oracles know. Each run has calls of its own seed. Goals, after the first minute: at
least 95 % of the best fixed limit's throughput, at most one OOM answer in 100 calls, latency at most 10 % above the
best's. In twenty minutes chance moves these by some per cent, so our limit meets each server several times, and a cell
is the mean. Prints one line for each kind of server and limit, then each cell and each run in which our limit misses a
goal. Draws the limit over time beside the oracle into bench/results/adaptive.svg. `--real` does a few cells over HTTP,
in real time. `--live` adds live callers and the live share: see `bench.adaptive_live`.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.adaptive_grid import SECONDS, Cell, Score, grid, known, mean_score, score
from bench.adaptive_live import PICTURE as LIVE_PICTURE
from bench.adaptive_live import compare_live, draw_live
from bench.adaptive_live_real import measure_live
from bench.adaptive_real import measure
from bench.adaptive_rivals import Aimd, Gradient2, Published
from transcription.limit import AdaptiveLimit, FixedLimit, Limit

CEILING = 8  # of the limits that need one: what the best server of the grid can take
CURVES = ("flat", "falling", "gunther", "parabola", "queue")
KINDS = (  # the engine's own calls differ by 0.14 (see `Cell.noise`)
    *(("steady", curve, noise) for noise in (0.1, 0.2) for curve in CURVES),
    *(("steady", curve, 0.3) for curve in ("flat", "gunther", "parabola")),
    *((scenario, curve, 0.1) for scenario in ("drop", "tenant") for curve in ("flat", "gunther")),
)
OURS = "adaptive, auto"
LIMITS: dict[str, Callable[[], Limit]] = {
    OURS: partial(AdaptiveLimit, ceiling=None),
    f"adaptive, at most {CEILING}": partial(AdaptiveLimit, ceiling=CEILING),
    f"fixed at {CEILING}": partial(FixedLimit, CEILING),
    "AIMD": partial(Aimd, CEILING),
    "Gradient2": partial(Gradient2, CEILING),
    "adaptive-concurrency": partial(Published, CEILING),
}
PICTURED = (
    Cell("steady", "flat", 0.1, 8, 3),
    Cell("steady", "gunther", 0.3, 4, 8),
    Cell("drop", "flat", 0.1, 6, 8),
    Cell("tenant", "flat", 0.1, 8, 8),
)
PICTURE = Path(__file__).parent / "results" / "adaptive.svg"


def scores(cell: Cell, runs: int) -> dict[str, list[Score]]:
    """Scores of each limit: ours in `runs` runs, the others in one."""
    cells = [replace(cell, run=run) for run in range(runs)]
    return {
        name: [score(met, make)[0] for met in (cells if name == OURS else cells[:1])] for name, make in LIMITS.items()
    }


def compare(console: Console, step: int, runs: int) -> None:
    """Print a table of every kind of server with every limit, then the goals that our own limit misses."""
    table = Table("server", "noise", "limit", title="ratios to the best fixed limit after the first minute")
    for column in (
        "throughput, least",
        "mean",
        "beside known, mean",
        "latency, most",
        "mean",
        "OOM in 100, most",
        "good",
    ):
        table.add_column(column, justify="right")
    kinds = [grid(*kind, step) for kind in KINDS]
    cells = list(chain.from_iterable(kinds))
    with ProcessPoolExecutor() as pool:
        found = pool.map(scores, cells, repeat(runs))
        rows = dict(zip(cells, track(found, total=len(cells), console=console), strict=True))
    for kind in kinds:
        for name in LIMITS:
            means = [mean_score(rows[cell][name]) for cell in kind]
            table.add_row(f"{kind[0].scenario}, {kind[0].curve}", str(kind[0].noise), name, *summary(means))
        table.add_section()
    console.print(table)
    missed = [(cell, ours) for cell in cells if (ours := mean_score(rows[cell][OURS])).misses]
    console.print(f"{OURS} misses a goal in {len(missed)} of {len(cells)} cells:", *map(told, missed), sep="\n  ")
    missed = [(cell, ours) for cell in cells for ours in rows[cell][OURS] if ours.misses]
    console.print(f"and in {len(missed)} of {runs * len(cells)} runs:", *map(told, missed), sep="\n  ")


def told(missed: tuple[Cell, Score]) -> str:
    cell, ours = missed
    misses = "; ".join(ours.misses)
    return f"{cell.scenario}, {cell.curve}, noise {cell.noise}, N={cell.memory}, M={cell.peak}: {misses}"


def summary(of: list[Score]) -> list[str]:
    return [
        f"{min(s.throughput for s in of):.3f}",
        f"{mean(s.throughput for s in of):.3f}",
        f"{mean(s.throughput_known for s in of):.3f}",
        f"{max(s.latency for s in of):.2f}",
        f"{mean(s.latency for s in of):.2f}",
        f"{max(s.oom_per_100 for s in of):.2f}",
        f"{sum(not s.misses for s in of)}/{len(of)}",
    ]


def draw() -> None:
    figure = Figure(figsize=(11, 9), layout="constrained")
    for axes, cell in zip(figure.subplots(len(PICTURED), sharex=True), PICTURED, strict=True):
        told = known(cell)
        got, run = score(cell, LIMITS[OURS])
        for trace, style in ((told.trace, {"color": "0.6", "linewidth": 4.0}), (run.trace, {"color": "tab:blue"})):
            axes.step([*(t for t, _ in trace), SECONDS], [*(n for _, n in trace), trace[-1][1]], where="post", **style)
        axes.set_title(
            f"{cell.scenario}, {cell.curve}: memory for N={cell.memory}, peak at M={cell.peak}, noise {cell.noise}. "
            f"Throughput {got.throughput:.1%} of best fixed, latency {got.latency:.2f}, OOM {got.oom_per_100:.2f} %",
            fontsize="medium",
        )
        axes.set_ylabel("limit")
        axes.set_ylim(0, None)
        axes.legend(["best known", "adaptive"], loc="lower right")
    axes.set_xlabel("seconds")
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE)


def compare_real(console: Console) -> None:
    table = Table("server", "best limit", "throughput", "latency", "OOM in 100", title="over HTTP, in real time")
    for r in measure():
        table.add_row(
            f"{r.curve}, N={r.memory}, M={r.peak}",
            str(r.best_limit),
            f"{r.adaptive.throughput / r.best.throughput:.3f}",
            f"{r.adaptive.latency / r.best.latency:.2f}",
            f"{r.adaptive.oom_per_100:.2f}",
        )
    console.print(table)


def compare_live_real(console: Console) -> None:
    table = Table("server", "speakers", "best fixed", "batch, ratio", "late, fixed", "late, ours", "back, s")
    table.title = "over HTTP, in real time, with live callers"
    for r in measure_live():
        table.add_row(
            f"{r.kind}, speed {r.speed:g}",
            str(r.speakers),
            f"{r.best.share} of {r.best.limit}",
            f"{r.ours.throughput / r.fixed.throughput:.3f}",
            f"{r.fixed.late:.1%}",
            f"{r.ours.late:.1%}",
            f"{r.ours.back:.1f}",
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", type=int, default=1, help="only every so many levels of N and M")
    parser.add_argument("--runs", type=int, default=5, help="of our limit on each server")
    parser.add_argument("--real", action="store_true", help="over HTTP, in real time, instead of the grid")
    parser.add_argument("--live", action="store_true", help="with live callers, on another grid")
    options = parser.parse_args()
    console = Console(width=150)
    if options.real:
        (compare_live_real if options.live else compare_real)(console)
        return
    if options.live:
        compare_live(console, options.step, options.runs)
        draw_live()
        console.print(f"Picture: {LIVE_PICTURE}")
        return
    compare(console, options.step, options.runs)
    draw()
    console.print(f"Picture: {PICTURE}")


if __name__ == "__main__":
    main()
