"""`manage.py retranscribe` and `prune`, in a terminal and in a script."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest
from django.conf import settings

from tests.support.product import Product, query, transcribed, upload
from tests.support.speech import librivox
from tests.support.waiting import PATIENCE, wait_for
from tests.support.whisper_stub import WhisperStub, http, said


@pytest.fixture(scope="module")
def two_recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a stopped product that has transcribed two recordings."""
    folder = tmp_path_factory.mktemp("two") / "data"
    with (
        WhisperStub(seconds=0.02, replies=said("first")) as stub,
        Product(folder, ASR_API_URL=stub.url) as product,
        product.client() as api,
    ):
        for clip in librivox()[:2]:
            transcribed(api, upload(api, clip.path)["id"])
    return folder


@pytest.fixture
def stub() -> Iterator[WhisperStub]:
    with WhisperStub(seconds=0.02, replies=said("second")) as running:
        yield running


@pytest.fixture
def product(two_recordings: Path, stub: WhisperStub, tmp_path: Path) -> Product:
    """A stopped product with its own copy of the two recordings."""
    folder = shutil.copytree(two_recordings, tmp_path / "data")
    return Product(folder, ASR_API_URL=stub.url, ASR_RETRY_DELAY="0.01")


def retranscribe(product: Product, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "retranscribe", *arguments],
        cwd=settings.BASE_DIR,
        env=product.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def texts(product: Product) -> list[str]:
    with product.client() as api:
        return [item["text"] for item in api.get("/api/recordings").json()["items"]]


def test_a_running_server_does_the_work_and_a_pipe_gets_a_line_for_each(product: Product, stub: WhisperStub) -> None:
    with product:
        result = retranscribe(product, "--all")
        assert texts(product) == ["second", "second"]
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "2 recordings to transcribe"
    lanes = query(product.data_dir, "SELECT lane FROM recordings_transcription ORDER BY id")
    assert lanes == [("interactive",)] * 2 + [("batch",)] * 2  # short, and yet they keep nobody waiting
    assert sorted(line.split(":")[0] for line in lines[1:3]) == ["1/2 done", "2/2 done"]
    assert lines[3] == "2 done"
    assert stub.peak == 1


def test_without_a_server_it_says_what_to_do_and_here_does_it(product: Product) -> None:
    refused = retranscribe(product, "1")
    assert refused.returncode == 1
    assert "add --here" in refused.stderr
    done = retranscribe(product, "1", "--here")
    assert done.returncode == 0, done.stderr
    with product:
        assert texts(product) == ["first", "second"]
        beside = retranscribe(product, "1", "--here")
    assert beside.returncode == 1
    assert "leave out --here" in beside.stderr


def test_work_left_in_line_is_done_when_the_server_starts(product: Product) -> None:
    assert retranscribe(product, "--all", "--no-wait").returncode == 0
    with product, product.client() as api:
        assert [transcribed(api, pk)["text"] for pk in (1, 2)] == ["second", "second"]


def test_the_command_fails_when_one_job_failed(product: Product, stub: WhisperStub) -> None:
    stub.answer(http(400, {"error": {"message": "no such model"}}))
    result = retranscribe(product, "1", "--here", "--model", "nova")
    assert result.returncode == 1
    assert "1/1 failed (rejected): 1 " in result.stdout


def test_what_does_not_exist_is_named_and_nothing_is_put_in_line(product: Product) -> None:
    result = retranscribe(product, "1", "77", "78", "--no-wait")
    assert result.returncode == 1
    assert "There is no recording 77, 78." in result.stderr
    assert retranscribe(product, "--status", "queued", "--dry-run").stdout == "0 recordings to transcribe\n"


def test_a_dry_run_lists_what_is_chosen(product: Product) -> None:
    def chosen(*arguments: str) -> int:
        return len(retranscribe(product, *arguments, "--dry-run").stdout.splitlines()) - 1

    assert chosen("--all") == 2
    assert chosen("1") == 1
    assert (chosen("--status", "done"), chosen("--status", "failed")) == (2, 0)
    assert (chosen("--owner", "mei"), chosen("--owner", "jonas")) == (2, 0)
    assert (chosen("--since", "2020-01-01"), chosen("--since", "2999-01-01")) == (2, 0)


def test_a_choice_is_asked_for_and_a_wrong_day_is_told(product: Product) -> None:
    assert "--all" in retranscribe(product).stderr
    assert "'soon' is no date" in retranscribe(product, "--since", "soon").stderr


def everything(screen: IO[bytes]) -> str:
    """All that was written to a terminal, after its writers have closed it."""
    shown = b""
    with suppress(OSError):  # Linux raises it when the other end is closed
        while part := screen.read(10_000):
            shown += part
    return shown.decode()


def test_ctrl_c_in_a_terminal_leaves_the_line_as_it_is(product: Product, stub: WhisperStub) -> None:
    stub.answer(said("second"), seconds=1.0)
    with product:
        terminal, theirs = pty.openpty()
        command = [sys.executable, "manage.py", "retranscribe", "--all"]
        process = subprocess.Popen(
            command, cwd=settings.BASE_DIR, env=product.environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        # A call of the job. The probe, which is a second of silence, does not count.
        wait_for(lambda: any(call.audio_seconds > 1.5 for call in stub.received[-1:]), "the first call")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        with os.fdopen(terminal, "rb", buffering=0) as screen:
            assert "the work stays in line" in everything(screen)
        with product.client() as api:
            assert [transcribed(api, pk)["text"] for pk in (1, 2)] == ["second", "second"]


def test_prune_says_what_it_would_remove_before_it_does(product: Product) -> None:
    originals = product.data_dir / "media/originals"
    kept = set(originals.iterdir())
    orphan, fresh = originals / "orphan.wav", originals / "fresh.wav"
    part = product.data_dir / "incoming/part.upload"
    copy = product.data_dir / "media/playable/999.webm"
    copy.parent.mkdir()
    for path in (orphan, fresh, part, copy):
        path.write_bytes(b"left behind")
    for path in (orphan, part, copy):
        os.utime(path, (time.time() - 7200,) * 2)
    would = product.manage("prune")
    assert "would remove file originals/orphan.wav" in would
    assert "would remove file part.upload" in would
    assert "would remove file playable/999.webm" in would
    assert "fresh" not in would
    assert orphan.exists()
    product.manage("prune", "--yes")
    assert set(originals.iterdir()) == kept | {fresh}
    assert not part.exists()
    assert not copy.exists()
    assert product.manage("prune") == ""
