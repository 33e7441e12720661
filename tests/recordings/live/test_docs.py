"""docs/reference/live.md is true: its client works, and its lists are complete."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import LazySettings, settings

from recordings.live.consumers.speaker import Start
from recordings.live.messages import MAX_FRAME_BYTES
from recordings.live.refusals import REFUSALS
from recordings.models import Recording
from tests.support.jobs import whisper_at
from tests.support.oracle import Oracle, speech
from tests.support.site import Site
from tests.support.waiting import PATIENCE
from tests.support.whisper_stub import WhisperStub

PAGE = (settings.BASE_DIR / "docs/reference/live.md").read_text()


def test_the_client_prints_the_captions_and_says_where_the_recording_is(
    site: Site, settings: LazySettings, tmp_path: Path
) -> None:
    settings.LIVE_ROOT = tmp_path / "live"
    sound = speech(1)
    oracle = Oracle(sound)
    found = re.search(r"^```python\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    with WhisperStub(hear=oracle) as stub, whisper_at(stub):
        token = site.program().headers["Authorization"].removeprefix("Bearer ")
        environment = {**os.environ, "STILE": site.url, "STILE_TOKEN": token}
        command = [sys.executable, "-c", found[1]]
        run = subprocess.run(command, env=environment, input=sound.tobytes(), capture_output=True, timeout=PATIENCE)
    assert run.returncode == 0, run.stderr.decode()
    *captions, last = run.stdout.decode().splitlines()
    assert " ".join(captions) == oracle.text
    assert last == f"{{'type': 'done', 'recording': {Recording.objects.get().pk}}}"


@pytest.mark.parametrize("code", sorted({code for code, _ in REFUSALS.values() if code}))
def test_every_close_code_is_listed(code: int) -> None:
    assert re.search(rf"^\| [\d, ]*\b{code}\b", PAGE, re.MULTILINE)


def test_the_start_message_is_as_it_is_taken() -> None:
    for message in re.findall(r'^\| `(\{"type": "start".+?\})`', PAGE, re.MULTILINE):
        assert Start.model_validate_json(message)
    assert f'"max_frame_bytes": {MAX_FRAME_BYTES}' in PAGE
