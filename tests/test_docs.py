"""The docs agree with the code: generated pages are up to date, and each path, command and name exists."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from docs.generate import FOLDER, PAGES, arguments, commands, page

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("accounts", "asrsite", "bench", "recordings", "transcription", "web", "docs")
PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CODE = "\n".join(path.read_text() for source in SOURCES for path in (ROOT / source).rglob("*.py"))


def spans(paper: Path) -> set[str]:
    """The texts in backticks, without blocks of code."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", paper.read_text(), flags=re.S)))


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_that_of_the_code(name: str) -> None:
    assert (FOLDER / f"{name}.md").read_text() == page(name), "python -m docs.generate writes it anew"


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))
def test_each_path_and_module_and_link_exists(paper: Path) -> None:
    paths = {
        span for span in spans(paper) if re.fullmatch(rf"(?:{'|'.join(SOURCES)}|tests)(?:/[\w-]+)*(?:/|\.\w+)?", span)
    }
    modules = re.findall(r"python -m ((?:bench|docs|transcription)[\w.]*)", paper.read_text())
    paths |= {f"{module.replace('.', '/')}.py" for module in modules}
    assert {path for path in paths if not (ROOT / path).exists()} == set()
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", paper.read_text())
    assert {link for link in links if not (paper.parent / link).exists()} == set()


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))
def test_each_target_of_make_exists(paper: Path) -> None:
    named = set(re.findall(r"(?:`|^ {4,})make ([a-z-]+)", paper.read_text(), re.M))
    rules = re.findall(r"^([a-z][a-z -]*):", (ROOT / "Makefile").read_text(), re.M)
    assert named - {target for rule in rules for target in rule.split()} == set()


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))
def test_each_command_and_each_option_of_it_exists(paper: Path) -> None:
    for name, rest in re.findall(r"manage\.py ([a-z_]+)([^`#|)\n]*)", paper.read_text()):
        if name != "version":  # manage.py answers this one itself
            assert name in get_commands()
            parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
            options = {option for action in parser._actions for option in action.option_strings}
            assert set(re.findall(r" (--[a-z-]+)", rest)) <= options


@pytest.mark.parametrize("name", commands())
def test_each_command_and_each_of_its_arguments_has_a_help_text(name: str) -> None:
    command = commands()[name]
    assert command.help
    assert [action.dest for action in arguments(command) if not action.help] == []


@pytest.mark.parametrize("paper", ["README.md", "docs/architecture.md", "docs/explanation/crash-safety.md"])
def test_each_name_of_the_code_exists(paper: str) -> None:
    names = {span.removesuffix("()") for span in spans(ROOT / paper)}
    names = {name for name in names if re.fullmatch(r"[a-z]+(?:_[a-z]+)+|_[a-z_]+|(?:[A-Z][a-z]+){2,}", name)}
    assert {name for name in names if not re.search(rf"\b{name}\b", CODE)} == set()


def test_the_site_has_every_page_in_its_menu() -> None:
    listed = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    assert listed == {str(paper.relative_to(ROOT / "docs")) for paper in (ROOT / "docs").rglob("*.md")}
