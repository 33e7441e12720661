"""`manage.py live`, as a person at a terminal and as a program in a pipe use it."""

import io
import re
import subprocess
import sys
import wave
from collections.abc import Iterator

import numpy as np
import pytest
from django.conf import settings

from tests.product import Product
from tests.recordings.oracle import Oracle, Samples, speech
from tests.whisper_stub import WhisperStub


@pytest.fixture(scope="module")
def sound() -> Samples:
    """Two sentences: ten seconds."""
    return speech(2)


@pytest.fixture(scope="module")
def product(sound: Samples, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with (
        WhisperStub(hear=Oracle(sound)) as stub,
        Product(tmp_path_factory.mktemp("live"), ASR_API_URL=stub.url, LIVE_SECOND_PASS="0") as product,
    ):
        product.manage("create_token", "mei")
        yield product


def command(*arguments: str) -> list[str]:
    return [sys.executable, "manage.py", "live", *arguments]


def live(product: Product, *arguments: str, sent: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(
        command(*arguments),
        cwd=settings.BASE_DIR,
        env=product.environment | environment,
        input=sent,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return subprocess.CompletedProcess(run.args, run.returncode, run.stdout.decode(), run.stderr.decode())


def wav(sound: Samples, rate: int = 16000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(sound.tobytes())
    return file.getvalue()


def recorded(product: Product, told: str) -> Samples:
    """The sound of the recording that was told."""
    found = re.search(r"Recording: http://[\d.:]+/recordings/(\d+)", told)
    assert found, told
    with product.client() as api:
        original = api.get(f"/api/recordings/{found[1]}/audio?original=1").content
    with wave.open(io.BytesIO(original)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def words(sound: Samples) -> list[str]:
    return [word for *_, word in Oracle(sound).words]


def test_a_pipe_gets_the_final_captions_a_line_each(product: Product, sound: Samples) -> None:
    run = live(product, "-", "--title", "Piped", sent=sound.tobytes())
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == words(sound)
    assert len(run.stdout.splitlines()) > 1
    assert (recorded(product, run.stderr) == sound).all()
