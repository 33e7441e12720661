"""The rules of who may import whom. Each is broken here in a copy of the packages, and `lint-imports` notices."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RULES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
# For each rule: a module, an import that it must not have, and words of the report.
FORBIDDEN = {
    "layers": [
        ("web/problems.py", "import accounts.auth", "web is not allowed to import accounts"),
        ("transcription/gate.py", "import recordings.models", "transcription is not allowed to import recordings"),
        ("accounts/auth.py", "import transcription.gate", "accounts is not allowed to import transcription"),
    ],
    "rooms": [
        ("recordings/work/runner.py", "import recordings.pages.library", "recordings.work is not allowed to import"),
        ("recordings/models.py", "import recordings.library.listing", "recordings.models is not allowed to import"),
    ],
    "transcription": [
        ("transcription/gate.py", "import transcription.client", "transcription.gate is not allowed to import"),
        ("transcription/novelty.py", "", "transcription.novelty"),  # a new module must be given its layer
    ],
    "circles": [
        (
            "transcription/servers/salvage.py",
            "import transcription.servers.refusal",
            "No cycles are allowed in transcription.servers",
        ),
        (
            "web/problems.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import web.throttle",
            "No cycles are allowed in web",
        ),
    ],
    "door": [
        ("recordings/work/runner.py", "from transcription.client import WhisperClient", "transcription.client"),
        ("asrsite/checks.py", "import transcription.gate", "asrsite.checks"),
    ],
    "heart": [
        ("transcription/limit.py", "import django.conf", "transcription.limit is not allowed to import django"),
        ("transcription/audio/vad.py", "import channels.layers", "transcription.audio is not allowed to import"),
    ],
}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages and of the rules."""
    folder = tmp_path_factory.mktemp("product")
    for package in RULES["root_packages"]:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("*.pyc", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def linted(product: Path, rule: str) -> tuple[int, str]:
    """The exit status of the tool for one rule, and its report in one line."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo", "--contract", rule]
    done = subprocess.run(command, cwd=product, capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_each_rule_has_its_cases() -> None:
    assert set(FORBIDDEN) == {rule["id"] for rule in RULES["contracts"]}


@pytest.mark.parametrize("rule", FORBIDDEN)
def test_the_packages_keep_the_rule(rule: str, product: Path) -> None:
    status, report = linted(product, rule)
    assert status == 0, report


@pytest.mark.parametrize(
    ("rule", "module", "line", "words"),
    [(rule, *case) for rule, cases in FORBIDDEN.items() for case in cases],
    ids=[f"{rule}: {module}" for rule, cases in FORBIDDEN.items() for module, *_ in cases],
)
def test_a_forbidden_import_breaks_it(rule: str, module: str, line: str, words: str, product: Path) -> None:
    file = product / module
    before = file.read_text() if file.exists() else None
    file.write_text(f"{line}\n{before or ''}")
    try:
        status, report = linted(product, rule)
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_text(before)
    assert status == 1, report
    assert words in report
