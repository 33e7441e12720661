"""What tests of several applications share."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone, translation

from transcription import service
from transcription.claim import Claim, FileLock
from transcription.unanswered import Unanswered

ROOT = Path(__file__).resolve().parent.parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # tests in the background: what they start shall hear Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _a_claim_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Test processes run beside each other, and beside a server on the same data."""
    folder = tmp_path_factory.mktemp("claim")
    claim = Claim([FileLock(folder / "lock", "the data of the tests")])
    unanswered = Unanswered(folder / "unanswered", 330.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "claim", lambda: claim)
        patch.setattr(service, "unanswered", lambda: unanswered)
        yield


@pytest.fixture(autouse=True)
def _a_language_and_a_clock_of_its_own() -> None:
    """A page leaves the language and the time zone of its reader behind in the thread of the tests."""
    translation.deactivate()
    timezone.deactivate()


@pytest.fixture(scope="session")
def whisper_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of the real server with the real `base` weights, in a process of its own."""
    log = tmp_path_factory.mktemp("whisper") / "log"
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, log.open("w") as output:
        fd = listener.fileno()
        command = [sys.executable, "manage.py", "whisper_server", "--model=base", f"--fd={fd}"]
        with subprocess.Popen(
            [*command, "--stop-with-stdin"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[fd],
        ):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        # Leaving closes the server's standard input, which ends it.
