"""The server killed again and again while people work (see `bench.crash` for a longer storm)."""

from pathlib import Path

import pytest

from tests.recordings.storm import storm


@pytest.mark.slow
def test_whatever_is_killed_and_when_nothing_is_lost_and_nothing_happens_twice(tmp_path: Path) -> None:
    answers = storm(tmp_path / "data", rounds=3, seed=1)
    assert answers["upload 201"] >= 3
