"""The adaptive limit on simulated servers, beside the best fixed limit. `bench.adaptive` runs the whole grid."""

import math

import pytest

from bench.adaptive_grid import grid, score
from bench.adaptive_simulation import Phase, SimulatedServer, Simulation
from transcription.limit import AdaptiveLimit

KINDS = [
    ("steady", "flat"),
    ("steady", "falling"),
    ("steady", "gunther"),
    ("steady", "parabola"),
    ("steady", "queue"),
    ("drop", "flat"),
    ("tenant", "gunther"),
]


@pytest.mark.parametrize(("scenario", "curve"), KINDS)
def test_it_meets_all_three_goals_on_a_reduced_grid(scenario: str, curve: str) -> None:
    missed = {
        (cell.memory, cell.peak): misses
        for cell in grid(scenario, curve, 0.1, step=3)
        if (misses := score(cell, lambda: AdaptiveLimit(ceiling=None))[0].misses)
    }
    assert not missed


def test_without_saturation_the_limit_does_not_rise_above_what_is_wanted() -> None:
    server = SimulatedServer("flat", 8, 0.1, (Phase(0.0, 8),))
    simulation = Simulation(server, AdaptiveLimit(ceiling=None), 1, demand=lambda now: 3)
    run = simulation.run(600.0)
    assert max(limit for _, limit in run.trace) <= 4


def test_bursts_that_seldom_fill_the_limit_do_not_raise_it() -> None:
    server = SimulatedServer("flat", 8, 0.1, (Phase(0.0, 8),))
    limit = AdaptiveLimit(floor=4, ceiling=None)
    run = Simulation(server, limit, 1, demand=lambda now: 4 if math.fmod(now, 20) < 1 else 2).run(600.0)
    assert max(n for _, n in run.trace) <= 5
