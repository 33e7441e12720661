"""The version stands in pyproject.toml. Commands, pages, API and changelog tell the same."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

ROOT = Path(settings.BASE_DIR)
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize("words", ["version", "--version"])
def test_a_command_tells_it(words: str, tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", words]
    told = subprocess.run(
        command, cwd=ROOT, env={"DATA_DIR": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert told.stdout == f"Stile {VERSION}\n"


@pytest.mark.parametrize(
    ("language", "words"), [("en", f"Stile 听序, version {VERSION}"), ("zh-hans", f"Stile 听序，版本 {VERSION}")]
)
@pytest.mark.django_db
def test_each_page_tells_it_at_its_foot(client: Client, language: str, words: str) -> None:
    page = client.get("/accounts/login", headers={"Accept-Language": language}, follow=True).content.decode()
    assert f'<footer class="foot">{words}</footer>' in page


@pytest.mark.django_db
def test_programs_are_told_it(admin_client: Client) -> None:
    assert admin_client.get("/api/openapi.json").json()["info"]["version"] == VERSION
    assert admin_client.get("/readyz").json()["version"] == VERSION


def test_the_newest_entry_of_the_changelog_is_of_it() -> None:
    entries = re.findall(r"^## \[(\S+)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert entries[0] == VERSION
