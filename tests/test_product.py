"""The whole product, from the file to the text, with the real engine and its real weights."""

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from django.conf import settings

from tests.support.jobs import CLIPS, speech_with_pauses
from tests.support.product import NewProduct, Product, started_before, transcribed, upload
from tests.support.speech import audioeval, character_error_rate, librivox, word_error_rate
from tests.support.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with NewProduct(tmp_path_factory.mktemp("product")) as running:
        yield running


def test_five_english_clips_come_out_with_at_most_one_wrong_word_in_twenty(product: Product) -> None:
    with product.client() as api:
        clips = librivox()
        uploaded = [upload(api, clip.path) for clip in clips]
        texts = [transcribed(api, recording["id"])["text"] for recording in uploaded]
        stats = api.get("/api/recordings/stats/asr-concurrency").json()
    rate = word_error_rate(" ".join(clip.text for clip in clips), " ".join(texts))
    print(f"word error rate of the five clips: {rate:.3f}")
    assert rate <= 0.05
    assert (stats["active_tasks"], stats["queued_tasks"], stats["success_rate"]) == (0, 0, 100.0)


def test_a_chinese_clip_comes_out_in_chinese(product: Product) -> None:
    clip = next(clip for clip in audioeval("zh") if clip.path.stem == "pangrama")
    with product.client() as api:
        recording = transcribed(api, upload(api, clip.path)["id"])
    rate = character_error_rate(clip.text, recording["text"])
    print(f"character error rate of {clip.path.name}: {rate:.3f}")
    assert recording["language"] == "zh"
    assert rate <= 0.4  # a classical text without sentences, which `base` hears well and spells with homophones


def test_the_link_of_the_start_signs_in_once_and_stands_in_no_log(product: Product) -> None:
    link = product.link()
    assert "token=" not in product.log.read_text()  # others may read a service's log
    with httpx.Client(follow_redirects=True) as browser:
        assert browser.get(link).url.path == "/"
        assert browser.get(f"{product.url}/admin/").url.path == "/admin/"
    assert not product.data_dir.joinpath("first-login-url").exists()
    with httpx.Client(follow_redirects=True) as other:
        assert other.get(link).status_code == 404
        assert other.get(product.url).url.path == "/accounts/login"


def test_a_terminal_is_shown_the_link_and_a_command_prints_another(tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(started_before(), data)
    environment = Product(data, ASR_API_URL="http://127.0.0.1:9/v1").environment
    screen, terminal = pty.openpty()
    command = [sys.executable, "manage.py", "serve"]
    with subprocess.Popen(
        command, cwd=settings.BASE_DIR, env=environment, stdin=terminal, stdout=terminal, stderr=subprocess.DEVNULL
    ) as server:
        shown = ""
        while "token=" not in shown or not shown.endswith("\n"):
            shown += os.read(screen, 4096).decode()
        first = next(word for word in shown.split() if "token=" in word)
        command[-1] = "sign_in_link"
        printed = subprocess.run(command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True)
        newer = printed.stdout.strip()
        assert printed.stdout.splitlines() == [newer]
        assert httpx.get(first).status_code == 404  # the newer link took its place
        assert httpx.get(newer).headers["Location"] == "/"
        server.terminate()
    os.close(terminal)
    os.close(screen)


def refusal(**environment: str) -> str:
    """Run a `serve` that must give up, and return its words."""
    result = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 1
    return result.stderr.strip()


def test_a_taken_port_is_told_in_one_sentence(product: Product, tmp_path: Path) -> None:
    said = refusal(**product.environment | {"DATA_DIR": str(tmp_path)})
    assert said.splitlines() == [
        f"CommandError: Port {product.port} is taken by another program. "
        f"Choose a free one, for example: make run PORT={product.port + 1}"
    ]


def test_a_second_server_on_the_same_data_is_told_in_one_sentence(product: Product) -> None:
    said = refusal(**product.environment)
    assert said.splitlines() == [f"CommandError: Stile is already running on the data in {product.data_dir}."]


def test_killed_in_the_midst_of_a_transcription_it_finishes_by_itself_after_the_next_start(tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    long.write_bytes(speech_with_pauses())
    with Product(tmp_path / "data") as product, product.client() as api:
        pk = upload(api, long)["id"]
        transcript = f"/api/recordings/{pk}/transcript"
        wait_for(lambda: len(api.get(transcript).json().get("segments", ())) >= 1, "a first segment")
        before = api.get(transcript).json()["segments"]
        family = psutil.Process(product.process.pid).children(recursive=True)
        product.kill()
        assert len(before) < CLIPS
        _, alive = psutil.wait_procs(family, timeout=PATIENCE)
        assert alive == []  # the engine went with its parent

        product.start()
        recording = transcribed(api, pk)
        after = api.get(transcript).json()["segments"]
    assert recording["status"] == "done"
    assert [segment["index"] for segment in after] == list(range(CLIPS))
    assert after[: len(before)] == before
    text = " ".join(segment["text"] for segment in after)
    assert word_error_rate(" ".join(clip.text for clip in librivox()), text) <= 0.05
