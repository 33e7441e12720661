"""The docs tell of what is there: the generated pages are those of the code, and each path and name exists."""

import re
from pathlib import Path

import pytest

from docs.generate import pages

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("accounts", "asrsite", "bench", "recordings", "transcription", "web", "docs")
PAPERS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
CODE = "\n".join(path.read_text() for source in SOURCES for path in (ROOT / source).rglob("*.py"))


def spans(page: Path) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.S)))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_the_reference_is_that_of_the_code(page: Path) -> None:
    assert page.read_text() == pages()[page], "python -m docs.generate writes it anew"


@pytest.mark.parametrize("page", PAPERS, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_path_and_module_and_link_exists(page: Path) -> None:
    paths = {
        span for span in spans(page) if re.fullmatch(rf"(?:{'|'.join(SOURCES)}|tests)(?:/[\w-]+)*(?:/|\.\w+)?", span)
    }
    modules = re.findall(r"python -m ((?:bench|docs|transcription)[\w.]*)", page.read_text())
    paths |= {f"{module.replace('.', '/')}.py" for module in modules}
    assert {path for path in paths if not (ROOT / path).exists()} == set()
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
    assert {link for link in links if not (page.parent / link).exists()} == set()


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md", "docs/explanation/crash-safety.md"])
def test_each_name_of_the_code_exists(page: str) -> None:
    names = {span.removesuffix("()") for span in spans(ROOT / page)}
    names = {name for name in names if re.fullmatch(r"[a-z]+(?:_[a-z]+)+|_[a-z_]+|(?:[A-Z][a-z]+){2,}", name)}
    assert {name for name in names if not re.search(rf"\b{name}\b", CODE)} == set()


def test_the_site_has_every_page_in_its_menu() -> None:
    listed = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
