"""Two gates for one Whisper server are impossible: the second process refuses in one sentence, whatever starts it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.support.product import Product, free_port
from tests.support.waiting import PATIENCE
from tests.support.whisper_stub import OUT_OF_MEMORY, WhisperStub

SERVERS = {
    "serve": ["manage.py", "serve"],
    "uvicorn": ["-m", "uvicorn", "asrsite.asgi:application", "--port"],
    "daphne": ["-m", "daphne", "asrsite.asgi:application", "--port"],
    "runserver": ["manage.py", "runserver", "--noreload", "--skip-checks"],
}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with (
        WhisperStub() as stub,
        Product(tmp_path_factory.mktemp("one") / "data", ASR_API_URL=stub.url, ASR_MAX_CONCURRENT="1") as running,
    ):
        yield running


def run(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a process that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("server", SERVERS)
def test_no_server_starts_beside_one_on_the_same_data(server: str, product: Product) -> None:
    port = [str(free_port())] if server != "serve" else []
    ended = run([*SERVERS[server], *port], product.environment | {"PORT": str(free_port())})
    assert ended.returncode not in (0, None)
    said = ended.stderr.strip().splitlines()
    assert said[-1].removeprefix("CommandError: ") == f"Stile is already running on the data in {product.data_dir}."
    assert "Traceback" not in ended.stderr


def test_no_server_starts_on_the_same_database_with_data_elsewhere(product: Product, tmp_path: Path) -> None:
    database = product.data_dir / "stile.sqlite3"
    link = tmp_path / "link.sqlite3"
    link.symlink_to(database)
    elsewhere = {"DATA_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{link}", "PORT": str(free_port())}
    ended = run(["manage.py", "serve"], product.environment | elsewhere)
    assert ended.stderr.strip() == f"CommandError: Stile is already running on the database {database}."


def test_a_server_of_several_processes_refuses_as_a_whole(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "ASR_API_URL": "http://127.0.0.1:9/v1"}
    ended = run([*SERVERS["uvicorn"], str(free_port()), "--workers", "2"], environment)
    assert ended.stderr.count(f"Stile is already running on the data in {tmp_path}.") == 1
    assert "Traceback" not in ended.stderr


def test_check_says_what_the_running_server_advises(tmp_path: Path, clip: bytes) -> None:
    with WhisperStub() as stub:
        stub.answer(OUT_OF_MEMORY)
        options = {"ASR_API_URL": stub.url, "ASR_MAX_CONCURRENT": "8", "ASR_ADAPTIVE": "off", "ASR_MAX_RETRIES": "3"}
        with Product(tmp_path / "data", **options) as product, product.client() as api:
            api.post("/v1/audio/transcriptions", files={"file": ("clip.wav", clip)}, data={"model": "whisper-1"})
            said = run(["manage.py", "check"], product.environment).stderr
    assert "(asr.W010) The running Stile says: Out of memory 3 times at the fixed limit of 8" in said


def test_check_says_which_part_of_the_running_server_is_down(tmp_path: Path) -> None:
    with Product(tmp_path / "data", ASR_API_URL="http://127.0.0.1:9/v1") as product:
        said = run(["manage.py", "check"], product.environment).stderr
    assert "(asr.W009) The running Stile says that its part 'gate' is down: ConnectionRefusedError" in said


def test_check_finds_no_fault_in_a_server_that_is_well_or_does_not_answer(product: Product) -> None:
    said = run(["manage.py", "check"], product.environment)
    assert "asr.W009" not in said.stderr
    elsewhere = run(["manage.py", "check"], product.environment | {"PORT": str(free_port())})
    assert "(asr.I003) The running Stile does not answer at" in elsewhere.stderr
    assert (said.returncode, elsewhere.returncode) == (0, 0)


def test_check_says_that_a_server_runs_and_commands_that_do_not_call_whisper_go_on(product: Product) -> None:
    checked = run(["manage.py", "check"], product.environment)
    assert checked.returncode == 0
    assert "asr.I001" in checked.stderr
    assert f"Stile is running on the data in {product.data_dir}." in checked.stderr
    made = run(["manage.py", "create_token", "mei", "--name", "beside"], product.environment)
    assert (made.returncode, made.stderr) == (0, "")
