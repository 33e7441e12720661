"""Every command says in a sentence, without a traceback, that it cannot write to the data folder."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

from tests.support.product import started_before

OURS = ("accounts", "asrsite", "recordings", "transcription")
# Each command with usual arguments, and whether it can do its work without writing.
COMMANDS = {
    "asr_stats": (["--url", "http://127.0.0.1:9"], False),  # no server answers
    "backup": (["{folder}/backup.tar"], False),
    "create_token": (["mei"], False),
    "fetch_weights": ([], True),  # the weights were installed with the product
    "live": (["/nowhere.wav", "--url", "http://127.0.0.1:9"], False),
    "prune": (["--yes"], False),
    "restore": (["{folder}/backup.tar"], False),
    "retranscribe": (["--all"], False),
    "serve": (["--port", "0"], False),
    "sign_in_link": ([], False),
    "whisper_server": (["--model", "/nowhere"], False),
    "migrate": ([], False),
    "check": ([], True),
}
# Code that runs all commands in forks of one process, since Django takes a second to load.
SCRIPT = """
import os, sys
import manage
for command in {commands!r}:
    read, write = os.pipe()
    if os.fork() == 0:
        os.dup2(write, 1), os.dup2(write, 2)
        sys.argv = ["manage.py", *command]
        try:
            manage.main(sys.argv)
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            sys.stdout.flush()
            os._exit(1 if isinstance(end.code, str) else end.code or 0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(3)
        sys.stdout.flush()
        os._exit(0)
    os.close(write)
    said = os.fdopen(read, errors="replace").read()
    print(repr((command[0], os.waitstatus_to_exitcode(os.wait()[1]), said)), flush=True)
"""


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """The data of a product that was started before, on a disk that can only be read."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=True)
    subprocess.run(["cp", "-a", started_before(), disk / "data"], check=True)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    yield disk / "data"
    subprocess.run(["umount", disk], check=True)


def test_every_command_has_its_row() -> None:
    ours = {name for name, app in get_commands().items() if str(app) in OURS}
    assert ours <= COMMANDS.keys(), ours - COMMANDS.keys()


def test_every_command_says_it_in_a_sentence(read_only: Path) -> None:
    commands = [[name, *(word.format(folder=read_only) for word in words)] for name, (words, _) in COMMANDS.items()]
    for folder in (read_only, read_only / "new"):  # `new` does not exist yet
        environment = {"DATA_DIR": str(folder), "PATH": os.environ["PATH"], "ASR_API_URL": "http://127.0.0.1:9/v1"}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(commands=commands)],
            cwd=settings.BASE_DIR,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        for name, code, said in map(eval, done.stdout.splitlines()):
            assert "Traceback" not in said, (name, said)
            can = COMMANDS[name][1] and folder == read_only
            assert (code == 0) is can, (name, code, said)
            if not can:
                last = said.strip().splitlines()[-1]
                assert last.startswith(("CommandError: ", "Error: ")), (name, said)
