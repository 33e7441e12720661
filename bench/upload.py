"""Memory and time of a large upload, as one form or in pieces, by server: python -m bench.upload [--megabytes 400]"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import httpx
from daphne.cli import CommandLineInterface
from daphne.http_protocol import WebRequest

APPLICATION = "asrsite.asgi:application"
PLAIN = "daphne"
HARDENED = "daphne, no pre-parsing"
UVICORN = "uvicorn"
PIECE = 8 * 1024**2  # bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--only", choices=[PLAIN, HARDENED, UVICORN], help="one server instead of all three")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        os.environ |= {"DATA_DIR": folder, "ASR_API_URL": "http://127.0.0.1:9/v1"}
        token = prepared()
        recording = noise(data / "noise.wav", options.megabytes)
        copying = _copy_seconds(recording)
        print(f"{options.megabytes} MiB; a plain copy takes {copying:.2f} s")
        print(f"{'server':<24}{'way':<22}{'status':>7}{'seconds':>9}{'x copy':>8}{'MiB over idle':>15}")
        known = {"Authorization": f"Bearer {token}"}
        ways = {"a form": (as_form, known), "pieces": (in_pieces, known), "a form, by a stranger": (as_form, {})}
        for server in [options.only] if options.only else [PLAIN, HARDENED, UVICORN]:
            for way, (send, headers) in ways.items():
                status, seconds, memory = measured(server, recording, headers, send)
                print(
                    f"{server:<24}{way:<22}{status:>7}{seconds:>9.2f}{seconds / copying:>8.1f}{memory:>15.0f}",
                    flush=True,
                )


def prepared() -> str:
    """Make a fresh database with one user. Returns the user's token."""
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "--verbosity=0"], check=True)
    made = subprocess.run([*manage, "create_token", "bench", "--create"], check=True, capture_output=True, text=True)
    return made.stdout.strip()


def noise(path: Path, megabytes: int) -> Path:
    """A WAV file of noise, which no compression makes small."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48_000)
        for _ in range(megabytes):
            file.writeframesraw(os.urandom(1024**2))
    return path


def _copy_seconds(path: Path) -> float:
    copy = path.with_suffix(".copy")
    started = time.perf_counter()
    shutil.copyfile(path, copy)
    seconds = time.perf_counter() - started
    copy.unlink()
    return seconds


def as_form(client: httpx.Client, file: BinaryIO) -> int:
    """Send the file as one multipart form. Returns the status of the answer."""
    return client.post("/api/recordings", files={"file": ("noise.wav", file)}).status_code


def in_pieces(client: httpx.Client, file: BinaryIO) -> int:
    """Send the file as a resumable upload. Returns the status of the last answer."""
    client.headers["Tus-Resumable"] = "1.0.0"
    size = os.fstat(file.fileno()).st_size
    created = client.post("/api/uploads", headers={"Upload-Length": str(size)})
    sent = 0
    answer = created
    while answer.is_success and (piece := file.read(PIECE)):
        headers = {"Upload-Offset": str(sent), "Content-Type": "application/offset+octet-stream"}
        answer = client.patch(created.headers["Location"], content=piece, headers=headers)
        sent += len(piece)
    return answer.status_code


def measured(
    server: str,
    recording: Path,
    headers: dict[str, str],
    send: Callable[[httpx.Client, BinaryIO], int] = as_form,
) -> tuple[str, float, float]:
    """The answer's status, seconds until it, and the server's peak memory over idle in MiB."""
    with (
        _running(server) as (pid, url),
        recording.open("rb") as file,
        httpx.Client(base_url=url, headers=headers, timeout=300) as client,
    ):
        client.get("/api/recordings")  # everything is imported now
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # resets the peak (proc_pid_clear_refs(5))
        idle = _memory(pid, "VmRSS")
        started = time.perf_counter()
        try:
            status = str(send(client, file))
        except httpx.TransportError:
            status = "cut"
        return status, time.perf_counter() - started, _memory(pid, "VmHWM") - idle


def _memory(pid: int, what: str) -> float:
    """Memory of the process in MiB, by the kernel's count."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(what)).split()[1]) / 1024


@contextmanager
def _running(server: str) -> Iterator[tuple[int, str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = {
        PLAIN: ["-m", "daphne", "--port", str(port), "--verbosity", "0", APPLICATION],
        HARDENED: ["-c", f"from bench.upload import serve_hardened; serve_hardened({port})"],
        UVICORN: ["-m", "uvicorn", "--port", str(port), "--log-level", "warning", APPLICATION],
    }[server]
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while not _answers(url):
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"{server} did not start")
            time.sleep(0.2)
        yield process.pid, url
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/recordings").status_code == 401
    except httpx.TransportError:
        return False


def serve_hardened(port: int) -> None:
    """Daphne without Twisted's own parsing of forms, which Django does again anyway."""
    original = WebRequest.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options | {"parsePOSTFormSubmission": False})

    WebRequest.__init__ = init
    CommandLineInterface().run(["--port", str(port), "--verbosity", "0", APPLICATION])


if __name__ == "__main__":
    main()
