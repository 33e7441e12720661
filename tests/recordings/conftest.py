"""Fixtures: sound files, storage, a small disk."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from recordings.intake import copies
from tests.support.audio_files import clip, encode


@pytest.fixture
def amr(tmp_path: Path) -> Path:
    """7 seconds of speech as AMR, the format of old phones."""
    how: dict[str, Any] = {"codec": "libopencore_amrnb", "rate": 8000, "encoder": {"b": "12200"}}
    return encode(tmp_path / "phone.amr", clip(), **how)


@pytest.fixture
def stored(settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder with the storage and unfinished uploads of the tests' own process."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "incoming"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()
    monkeypatch.setattr(copies, "LOOK_AGAIN", 0.1)
    return tmp_path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A mounted disk of 24 MiB. Only root may mount it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server close the connection of a refused upload at once; it reads on for 2 s otherwise."""
    monkeypatch.setattr("web.bodies.LINGER", 0.1)
