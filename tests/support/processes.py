"""Processes of this machine, and the files that they have open."""

import os
from contextlib import suppress
from pathlib import Path

import psutil

from transcription.audio import apart


def processes(folder: Path) -> list[str]:
    """The command lines of all processes with this DATA_DIR."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"DATA_DIR={folder}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def open_files() -> set[str]:
    result = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            result.add(os.readlink(entry))
        except FileNotFoundError:
            continue
    return result


def fork_server() -> psutil.Process:
    """The child process from which the decoder processes are forked."""
    process = apart._fork_server()._process
    assert process
    return psutil.Process(process.pid)


def decoders() -> list[psutil.Process]:
    """The decoder processes that run now for this process."""
    return fork_server().children() if apart._fork_server()._process else []


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
