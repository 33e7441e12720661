"""`manage.py asr_stats` beside a running product."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from django.conf import settings

from tests.support.product import Product, upload
from tests.support.speech import librivox
from tests.support.waiting import PATIENCE, wait_for
from tests.support.whisper_stub import WhisperStub


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product that works on one recording for 60 s while another one waits."""
    data = tmp_path_factory.mktemp("stats")
    with WhisperStub(seconds=60) as stub, Product(data, ASR_API_URL=stub.url) as running:
        with running.client() as api:
            for clip in librivox()[:2]:
                upload(api, clip.path)
        wait_for(lambda: stub.received, "a call")
        yield running
        running.kill()  # a stop would wait for the call


def stats(product: Product, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "asr_stats", *arguments],
        cwd=settings.BASE_DIR,
        env=product.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def tokens(product: Product) -> int:
    script = "from accounts.models import ApiToken; print(ApiToken.objects.filter(name='manage.py').count())"
    return int(product.manage("shell", "--no-imports", "-c", script))


@pytest.mark.slow
def test_it_shows_what_the_gate_does_and_watches_until_it_is_stopped(product: Product) -> None:
    said, wrong = stats(product).communicate(timeout=PATIENCE)
    assert "calls     1 of 1 at once" in said, wrong
    assert "jobs      1 transcribing · 1 in line" in said
    assert said.count(": 1 active, 0 wait") == 1
    assert "breaker closed" in said
    watching = stats(product, "--watch")
    assert watching.stdout
    seen = list(islice((line for line in watching.stdout if line.startswith("jobs")), 3))
    watching.send_signal(signal.SIGINT)
    assert watching.wait(PATIENCE) == 0
    assert len(seen) == 3
    assert tokens(product) == 0


@pytest.mark.slow
def test_on_a_terminal_it_stays_in_its_place(product: Product) -> None:
    main, side = pty.openpty()
    command = [sys.executable, "manage.py", "asr_stats", "--watch"]
    watching = subprocess.Popen(command, cwd=settings.BASE_DIR, env=product.environment, stdout=side, stderr=side)
    os.close(side)
    shown = b""
    while shown.count(b"jobs ") < 3:
        shown += os.read(main, 65536)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(PATIENCE) == 0
    os.close(main)
    assert b"\x1b[" in shown  # the cursor moves up, and the next lines overwrite the last


def test_without_a_server_it_says_what_to_do(tmp_path: Path) -> None:
    product = Product(tmp_path / "data", ASR_API_URL="http://127.0.0.1:9/v1")
    product.data_dir.mkdir()
    done = stats(product)
    _, wrong = done.communicate(timeout=PATIENCE)
    assert done.returncode == 1
    assert f"No server answers at {product.url}" in wrong
