"""The targets of `make`, and the files that they use: lists of packages, the image."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from django.conf import settings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = settings.BASE_DIR
PYTHONS = ("3.11.2", "3.12.0", "3.13.0", "3.14.0")  # 3.11.2 is Debian 12's
REQUIREMENTS = (
    "requirements.txt",
    "requirements-cuda.txt",
    "requirements-dev.txt",
    "requirements-docs.txt",
    "requirements-npm.txt",
)


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # An outer make hands down variables that would change this one.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the files that `make install` needs, without a virtual environment."""
    requirements = ("requirements.txt", "requirements-cuda.txt", "requirements-npm.txt")
    for name in ("Makefile", *requirements, "package.json", "package-lock.json"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_make_alone_lists_what_one_can_do() -> None:
    lines = make(ROOT).stdout.splitlines()
    listed = {line.split()[0] for line in lines}
    assert listed == {
        "help",
        "install",
        "install-dev",
        "run",
        "test",
        "test-unit",
        "test-integration",
        "test-acceptance",
        "test-fast",
        "lint",
        "docs",
        "hooks",
        "audit",
        "sbom",
        "bench",
        "requirements",
    }
    assert all(len(line.split()) > 2 for line in lines)


def test_an_unsupported_python_is_told_in_one_sentence_and_nothing_is_made(checkout: Path) -> None:
    old = checkout / "python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\n')
    old.chmod(0o755)
    result = make(checkout, "install", f"PYTHON={old}")
    sentence = f"Stile needs Python 3.11 to 3.14; {old} is Python 3.9.2. Name another with make PYTHON=…"
    assert result.stderr.splitlines()[0] == sentence
    assert result.returncode
    assert not (checkout / ".venv").exists()


def test_a_python_without_venv_is_told_in_one_sentence(checkout: Path) -> None:
    bare = checkout / "python"
    bare.write_text('#!/bin/sh\n[ "$2" != venv ]\n')
    bare.chmod(0o755)
    result = make(checkout, "install", f"PYTHON={bare}")
    assert result.stderr.splitlines()[0] == (
        "Python's venv module does not work here: on Debian, install python3-venv."
    )
    assert result.returncode


@pytest.mark.slow
def test_without_network_the_last_word_is_a_sentence_and_the_next_try_starts_again(checkout: Path) -> None:
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}
    result = make(checkout, "install", **nowhere, PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert "No matching distribution found" in result.stderr
    assert result.stderr.splitlines()[-2] == (
        "The packages could not be installed. If pip named no other reason: is there a network?"
    )
    assert result.returncode
    assert not (checkout / ".venv/installed").exists()


@pytest.mark.parametrize(
    ("driver", "brings"),
    [("exit 127", False), ("echo NVIDIA-SMI has failed; exit 9", False), ("echo GPU 0: NVIDIA L4", True)],
    ids=["absent", "not loaded", "present"],
)
def test_cuda_is_installed_where_the_nvidia_driver_shows_a_gpu_and_nowhere_else(
    checkout: Path, driver: str, brings: bool
) -> None:
    faked = checkout / "nvidia-smi"
    faked.write_text(f"#!/bin/sh\n{driver}\n")
    faked.chmod(0o755)
    planned = make(checkout, "--dry-run", "install", PATH=f"{checkout}:{os.environ['PATH']}").stdout
    assert "-r requirements.txt" in planned
    assert ("-r requirements-cuda.txt" in planned) == brings


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_package_is_pinned_with_a_digest_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    blocks = re.split(r"\n(?=\S)", re.sub(r"(?m)^#.*\n", "", text).strip())
    for block in blocks:
        assert re.match(r"[\w.-]+(\[[\w,]+\])?==\S+ ", block), block
        assert "--hash=sha256:" in block
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
@pytest.mark.parametrize("python", PYTHONS)
def test_what_a_package_needs_on_any_supported_python_is_pinned_too(name: str, python: str) -> None:
    """pip-compile sees only the Python it runs on; another may need more, and pip then refuses to install."""
    pins = {canonicalize_name(pin) for pin in re.findall(r"(?m)^([\w.-]+)==", (ROOT / name).read_text())}
    environment = {"python_full_version": python, "python_version": python.rpartition(".")[0], "extra": ""}
    needed = {
        (pin, requirement.name)
        for pin in pins
        for requirement in map(Requirement, distribution(pin).requires or ())
        if requirement.marker is None or requirement.marker.evaluate(environment)
    }
    assert {(pin, name) for pin, name in needed if canonicalize_name(name) not in pins} == set()


def test_npm_packages_are_pinned_with_a_digest_and_no_address() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package


def test_the_image_is_made_by_the_same_targets_and_runs_without_root() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "make install" in dockerfile
    assert re.search(r"(?m)^USER stile$", dockerfile.rpartition("FROM ")[2])


def test_the_image_gets_every_package_and_the_file_with_the_version() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert {"pyproject.toml", *project["tool"]["importlinter"]["root_packages"]} <= let_in
