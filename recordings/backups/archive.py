"""The file of a backup: a tar with the copy of the database, files, and a manifest with the size and digest of each.

The manifest comes last, so a backup that was cut off has none.
"""

import hashlib
import json
import os
import shutil
import tarfile
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

from recordings.backups.database import DATABASES, BackupError

FORMAT = 1
MANIFEST = "manifest.json"
FOLDERS = ("media", "live", "incoming")  # their names in a backup
BLOCK = 1024**2  # bytes in memory


class Archive:
    """A backup while it is written to `tar`."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._files: dict[str, tuple[int, str]] = {}

    def add(self, name: str, path: Path) -> None:
        """Add a file as far as it reaches now: it may grow. Raises FileNotFoundError."""
        with path.open("rb") as file:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = os.fstat(file.fileno()).st_size, int(path.stat().st_mtime), 0o600
            digested = _Digested(file)
            self._tar.addfile(entry, digested)
        self._files[name] = entry.size, digested.sha256.hexdigest()

    def finish(self, **about: Any) -> None:
        """Add the manifest: the list of files, and the entries `about` the backup."""
        content = json.dumps({"format": FORMAT, **about, "files": self._files}).encode()
        entry = tarfile.TarInfo(MANIFEST)
        entry.size, entry.mode = len(content), 0o600
        self._tar.addfile(entry, BytesIO(content))


class _Digested:
    """A file that computes the SHA-256 digest of what is read from it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self.sha256.update(block)
        return block


def unpack(source: Path, into: Path) -> dict[str, Any]:
    """Unpack a backup, prove each file by its digest, and return the manifest. Raises BackupError."""
    found: dict[str, list[int | str]] = {}
    manifest: dict[str, Any] | None = None
    try:
        with tarfile.open(source, mode="r:") as tar:
            for entry in tar:
                file = tar.extractfile(entry) if entry.isreg() else None
                if file is None or not _is_ours(entry.name):
                    raise BackupError(f"{source} is not a backup of this product: {entry.name!r} is in it.")
                if entry.name == MANIFEST:
                    manifest = json.load(file)
                    continue
                (into / entry.name).parent.mkdir(parents=True, exist_ok=True)
                digested = _Digested(file)
                with (into / entry.name).open("wb") as target:
                    shutil.copyfileobj(digested, target, BLOCK)
                found[entry.name] = [entry.size, digested.sha256.hexdigest()]
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise BackupError(f"{source} is damaged or not a backup: {error}.") from None
    if manifest is None:
        raise BackupError(f"{source} is cut off: its end is missing.")
    if manifest.get("format") != FORMAT:
        raise BackupError(f"{source} was made by a newer version. Install that version, then restore.")
    if manifest["files"] != found:
        wrong = next(name for name in {**manifest["files"], **found} if manifest["files"].get(name) != found.get(name))
        raise BackupError(f"{source} is damaged: {wrong} in it is not what was saved.")
    return manifest


def _is_ours(name: str) -> bool:
    parts = PurePosixPath(name).parts
    inside = len(parts) > 1 and parts[0] in FOLDERS and ".." not in parts
    return inside or name in (MANIFEST, *DATABASES.values())
