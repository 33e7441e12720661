"""How many windows the embedded engine computes together, by the free memory."""

from collections.abc import Callable
from pathlib import Path

import pytest

from transcription.engine import memory

GB = 1024**3


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, int], None]:
    """A function that writes the limit and the use of the control group."""
    monkeypatch.setattr(memory, "CONTROL_GROUP", tmp_path)

    def write(most: str, taken: int) -> None:
        (tmp_path / "memory.max").write_text(f"{most}\n")
        (tmp_path / "memory.current").write_text(f"{taken}\n")

    return write


def test_the_free_memory_is_that_of_the_container_where_it_has_less(group: Callable[[str, int], None]) -> None:
    machine = memory.free_memory()
    assert machine > 0
    group("max", 5 * GB)
    assert memory.free_memory() == pytest.approx(machine, rel=0.5)
    group(str(5_000_000), 4_000_000)
    assert memory.free_memory() == 1_000_000


@pytest.mark.parametrize(("free", "windows"), [(10 * GB, 4), (3 * GB, 3), (GB // 2, 1), (-GB, 1)])
def test_as_many_windows_fit_as_the_weights_would(free: int, windows: int, group: Callable[[str, int], None]) -> None:
    group(str(20 * GB), 20 * GB - free)
    if free < memory.free_memory() + GB:  # a small machine cannot show the larger ones
        assert memory.fitting(4, weights=GB) == windows


@pytest.mark.parametrize(("room", "fitting", "tried"), [(16, 16, [16]), (5, 4, [16, 8, 4]), (0, 1, [16, 8, 4, 2])])
def test_a_batch_that_runs_out_of_memory_is_halved(room: int, fitting: int, tried: list[int]) -> None:
    attempts = []

    def attempt(windows: int) -> None:
        attempts.append(windows)
        if windows > room:
            raise RuntimeError("CUDA failed with error out of memory")

    assert memory.trying(16, attempt) == fitting
    assert attempts == tried
