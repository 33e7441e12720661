"""Fixtures of files and disks."""

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
    """What old phones record, 7 seconds."""
    how: dict[str, Any] = {"codec": "libopencore_amrnb", "rate": 8000, "encoder": {"b": "12200"}}
    return encode(tmp_path / "phone.amr", clip(), **how)


@pytest.fixture
def stored(settings: LazySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files of this process lie."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "incoming"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()
    monkeypatch.setattr(copies, "LOOK_AGAIN", 0.1)
    return tmp_path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused upload is not read on."""
    monkeypatch.setattr("web.bodies.LINGER", 0.1)
