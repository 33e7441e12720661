"""Fixtures for the tests of several rooms, and the kinds of all tests."""

import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from pathlib import Path

import hypothesis
import pytest
from django.conf import LazySettings, settings
from django.utils import timezone, translation

from tests.support.kinds import confined, marks
from tests.support.site import Site, address_of, serving
from tests.support.speech import librivox
from tests.support.waiting import wait_for
from transcription import service
from transcription.claim import Claim, FileLock
from transcription.unanswered import Unanswered
from web.server import BoundedServer

# Without Hypothesis' own time limits: a busy machine makes an example take many times as long. Each run has the same
# examples, so that it fails only for a change. `--hypothesis-profile=search` looks for new ones.
patient = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("search", patient)
hypothesis.settings.register_profile("repeat", patient, derandomize=True)
hypothesis.settings.load_profile("repeat")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # tests in the background: their children must get Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its kind."""
    for item in items:
        if isinstance(item, pytest.Function):
            for mark in marks(item):
                item.add_marker(mark)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a unit test that opens a socket or starts a process."""
    with confined() if item.get_closest_marker("unit") else nullcontext():
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def _a_claim_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give each test process its own claim: other test processes run beside it, and perhaps a product."""
    folder = tmp_path_factory.mktemp("claim")
    claim = Claim([FileLock(folder / "lock", "the data of the tests")])
    unanswered = Unanswered(folder / "unanswered", 330.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "claim", lambda: claim)
        patch.setattr(service, "unanswered", lambda: unanswered)
        yield


@pytest.fixture(autouse=True)
def _a_language_and_a_clock_of_its_own() -> None:
    """Reset the language and the time zone, which a page leaves behind in the thread of the tests."""
    translation.deactivate()
    timezone.deactivate()


@pytest.fixture(scope="session")
def whisper_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of the embedded Whisper server with the real `base` weights, in its own process."""
    log = tmp_path_factory.mktemp("whisper") / "log"
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, log.open("w") as output:
        fd = listener.fileno()
        command = [sys.executable, "manage.py", "whisper_server", "--model=base", f"--fd={fd}"]
        with subprocess.Popen(
            [*command, "--stop-with-stdin"],
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[fd],
        ):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        # Here the server's standard input is closed, which ends the server.


@pytest.fixture(scope="session")
def server() -> Iterator[BoundedServer]:
    """The product's server, which all tests of a process share."""
    with serving(timeout_graceful_shutdown=2) as running:
        yield running


@pytest.fixture
def site(server: BoundedServer, transactional_db: None, settings: LazySettings, tmp_path: Path) -> Iterator[Site]:
    """The product on its server, with a database and a folder of files for this test alone."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "incoming"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()
    running = Site(address_of(server), tmp_path, lambda: len(server.server_state.tasks))
    yield running
    running.close()


@pytest.fixture
def own_sessions(site: Site, settings: LazySettings, tmp_path: Path) -> Iterator[None]:
    """Give the test its own folder of live sessions, and end the sessions after it. A later test has none of them."""
    from recordings.live.sessions import live  # noqa: PLC0415 it needs Django to be set up

    settings.LIVE_ROOT = tmp_path / "live"
    yield
    for task in list(live._tasks):
        task.get_loop().call_soon_threadsafe(task.cancel)
    wait_for(lambda: not live._tasks, "the end of all sessions")


@pytest.fixture(scope="session")
def clip() -> bytes:
    """Seven seconds of speech, as a WAV file."""
    return librivox()[0].path.read_bytes()
