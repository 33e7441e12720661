"""Live captions beside WhisperLive's and WhisperLiveKit's: real speech, real time, real sockets, the same weights.

    python -m bench.captions [--minutes EN ZH] [--only NAME ...]
                             [--whisper-live PYTHON] [--whisper-live-kit PYTHON [--pytorch-weights FILE]]

PYTHON is the interpreter of an environment with that server; a server without one is left out. Each server runs alone,
with the base weights that Stile brings, as 8-bit integers on the CPU. It hears some seconds to warm up, then the whole
speech in real time. FILE has the same weights for PyTorch: with it, WhisperLiveKit is measured with its default policy,
too.

final latency       from the end of a word (see `captions_speech.offline`) to the message from which on it, and
                    everything before it, stood in the final text and stayed there
after an utterance  the same, but from the moment at which the voice falls silent, to the last word before a pause
service time        the median of a call to Whisper; of Stile only
first-text latency  to the first message that shows it
errors              wrong, missing and added words of the final text, per word that was said (Chinese: characters)
erasure             words that were shown and taken back, per final word
broken promises     messages that changed what was final
CPU                 seconds of it, of all processes of a server, per second of sound
memory              the most at one time; shared pages counted once
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")

import django

django.setup()

from rich.table import Table  # noqa: E402

from bench.captions_contestants import (  # noqa: E402
    Contestant,
    ProcessCost,
    Stile,
    WhisperLive,
    WhisperLiveKit,
    console,
    heard,
)
from bench.captions_figures import Figures, error_rate  # noqa: E402
from bench.captions_speech import Offline, SpokenSample, offline, speech  # noqa: E402
from tests.support.speech import librivox  # noqa: E402
from transcription.audio import RATE  # noqa: E402
from transcription.engine.weights import ensure_weights, weight_folders  # noqa: E402

WARM_UP = 12  # seconds
SETTLED = 0.5 + 0.5  # seconds of silence and of grace; with a service time more, what was said should be final
BUSY = 0.5  # processes that others ran, on average over the last minute


@dataclass(frozen=True)
class Result:
    who: str
    language: str
    figures: Figures
    cpu: float
    rss: float  # MiB
    pss: float
    service: float  # seconds


@dataclass(frozen=True)
class FigureRow:
    title: str
    of: Callable[[Result], float]
    shape: str
    least: float  # a difference that is no mere noise


ROWS = (
    FigureRow("first-text latency, s", lambda r: r.figures.first_text, "{:.2f}", 0.1),
    FigureRow("final latency p50, s", lambda r: r.figures.final_p50, "{:.2f}", 0.1),
    FigureRow("final latency p95, s", lambda r: r.figures.final_p95, "{:.2f}", 0.1),
    FigureRow("after an utterance p95, s", lambda r: r.figures.uttered_p95, "{:.2f}", 0.1),
    FigureRow("service time, s", lambda r: r.service, "{:.2f}", 0.1),
    FigureRow("errors", lambda r: r.figures.errors, "{:.1%}", 0.002),
    FigureRow("erasure", lambda r: r.figures.erasure, "{:.2f}", 0.02),
    FigureRow("broken promises", lambda r: r.figures.broken, "{:.0f}", 0.5),
    FigureRow("CPU s per s", lambda r: r.cpu, "{:.2f}", 0.02),
    FigureRow("memory, MiB", lambda r: r.pss, "{:.0f}", 10),
    FigureRow("memory, MiB (RSS)", lambda r: r.rss, "{:.0f}", 10),
)


def measure(contestant: Contestant, speeches: dict[str, tuple[SpokenSample, Offline]]) -> Iterator[Result]:
    busy = os.getloadavg()[0]
    if busy > BUSY:
        console.print(f"The machine is not idle (load {busy:.1f}): {contestant.name} may look worse than it is.")
    with contestant.running() as process:
        for language, (spoken, truth) in speeches.items():
            asyncio.run(heard(contestant, spoken.samples[: WARM_UP * RATE], language))
            with ProcessCost(process) as cost:
                shown = asyncio.run(heard(contestant, spoken.samples, language))
            yield Result(
                contestant.name,
                language,
                Figures.of(shown, spoken, truth),
                cost.cpu / spoken.seconds,
                cost.rss / 2**20,
                cost.pss / 2**20,
                contestant.service() if isinstance(contestant, Stile) else math.nan,
            )


def report(language: str, results: list[Result], spoken: SpokenSample, truth: Offline) -> None:
    offline_errors = error_rate(spoken, truth.text)
    table = Table(
        title=f"{language}: {spoken.seconds:.0f} s, {len(spoken.said)} words; offline {offline_errors:.1%} wrong"
    )
    table.add_column("")
    for result in results:
        table.add_column(result.who, justify="right")
    for row in ROWS:
        table.add_row(row.title, *(row.shape.format(row.of(result)) for result in results))
    console.print(table)
    for ours in (result for result in results if result.who == Stile.name):
        target = SETTLED + ours.service
        verdict = "holds" if ours.figures.uttered_p95 <= target else "does not hold"
        console.print(f"{language}: the target after an utterance, {target:.2f} s, {verdict}.")
        for row in ROWS:
            for other in results:
                if row.of(other) < row.of(ours) - row.least:
                    mine, theirs = row.shape.format(row.of(ours)), row.shape.format(row.of(other))
                    console.print(
                        f"{language}: {other.who} is better in {row.title}: {theirs}, where Stile has {mine}."
                    )


def contestants(arguments: argparse.Namespace, weights: Path) -> Iterator[Contestant]:
    """The installed contestants. Prints the names of those that are left out."""
    yield Stile()
    if python := _found("WhisperLive", arguments.whisper_live):
        yield WhisperLive(python, weights)
    if python := _found("WhisperLiveKit", arguments.whisper_live_kit):
        clip = librivox()[0].path
        yield WhisperLiveKit.local_agreement(python, clip, weights)
        if decoder := _found("WhisperLiveKit with AlignAtt", arguments.pytorch_weights):
            yield WhisperLiveKit.align_att(python, clip, weights, decoder)


def _found(name: str, path: Path | None) -> Path | None:
    if path and path.is_file():
        return path.absolute()  # not resolved: the python of an environment is a link
    console.print(f"{name} is left out: {f'there is no {path}' if path else 'nothing says where it is'}.")
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs=2, default=(3.2, 1.2), metavar=("EN", "ZH"))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of these contestants")
    parser.add_argument("--whisper-live", type=Path, metavar="PYTHON")
    parser.add_argument("--whisper-live-kit", type=Path, metavar="PYTHON")
    parser.add_argument("--pytorch-weights", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    weights = ensure_weights("base", weight_folders(Path("data")))
    wanted = [one for one in contestants(arguments, weights) if not arguments.only or one.name in arguments.only]
    if not wanted:
        sys.exit("Nobody is left to be measured.")
    speeches = {}
    for language, minutes in zip(("en", "zh"), arguments.minutes, strict=True):
        if minutes:
            spoken = speech(language, minutes)
            speeches[language] = spoken, offline(spoken, weights)
    results: list[Result] = []
    for contestant in wanted:
        for result in measure(contestant, speeches):
            results.append(result)
            told = ", ".join(f"{row.title} {row.shape.format(row.of(result))}" for row in ROWS)
            console.print(f"{result.who}, {result.language}: {told}")
    for language, (spoken, truth) in speeches.items():
        report(language, [result for result in results if result.language == language], spoken, truth)


if __name__ == "__main__":
    main()
