"""The examples in docs/how-to/programs.md work as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from accounts.models import ApiToken
from recordings.models import Recording
from tests.support.openai_clients import open_door
from tests.support.site import Site
from tests.support.waiting import PATIENCE
from tests.support.whisper_stub import WhisperStub

PAGE = (settings.BASE_DIR / "docs/how-to/programs.md").read_text()
PROGRAMS = re.findall(r"^```(sh|python)\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("language", "program"), PROGRAMS)
def test_the_example_works(site: Site, clip: bytes, tmp_path: Path, language: str, program: str) -> None:
    folder = tmp_path / "at work"
    (folder / "inbox").mkdir(parents=True)
    (folder / "done").mkdir()
    (folder / "talk.mp3").write_bytes(clip)
    dropped = folder / "inbox/a talk, “now”; with spaces.mp3"
    dropped.write_bytes(clip)
    os.utime(dropped, (0, 0))
    command = ["sh", "-ec", program] if language == "sh" else [sys.executable, "-c", program]
    with open_door(site, WhisperStub(0.01)) as door:
        environment = {**os.environ, "STILE": site.url, "STILE_TOKEN": door.key(scopes=["transcribe", "write"])}
        run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 0, run.stderr
    if "inbox" in program:
        assert (folder / "done" / f"{dropped.name}.txt").read_text() == "hello\n"
        assert (folder / "done" / dropped.name).read_bytes() == clip
        assert not dropped.exists()
    elif "/api/tokens" in program:
        assert ApiToken.objects.get(name="Build 17").revoked_at
    elif "/api/" in program:
        assert f'"id": {Recording.objects.get().pk}' in run.stdout
    else:
        assert "hello" in run.stdout
