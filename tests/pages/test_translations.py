"""Every sentence that people see is in the catalog, with its Chinese translation."""

import ast
import gettext
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.translation.template import templatize

from tests.support.codes import codes
from tests.support.source import parsed
from web.codes import CODES, error_words

CATALOG = settings.BASE_DIR / "locale/zh_Hans/LC_MESSAGES/django.po"
# The message in a call that templatize() makes of a tag: of gettext('…'), or the first of ngettext(u"…", u"…", count).
QUOTED = r"""\bn?gettext\(\s*u?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
INLINE = r"<script(?![^>]*\b(?:src=|type=.application/json))|<style|\sstyle=|\son\w+=|hx-on|hx-vars|\"js:|javascript:"
APPS = ("accounts", "asrsite", "recordings", "transcription", "web")


def entries() -> dict[str, str]:
    """The catalog's messages and their translations (the first plural form)."""
    pattern = r'^msgid (".*"(?:\n".*")*)\n(?:msgid_plural .*\n)?msgstr(?:\[0\])? (".*"(?:\n".*")*)$'
    found = re.findall(pattern, CATALOG.read_text(), re.MULTILINE)
    return {_text(message): _text(translation) for message, translation in found}


def _text(quoted: str) -> str:
    return "".join(ast.literal_eval(line) for line in quoted.splitlines())


def python_messages(source: str) -> set[str]:
    names = {"_", "gettext", "gettext_lazy", "ngettext"}
    return {
        argument.value
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
        for argument in node.args[:1]  # of ngettext too: its catalog entry goes by the singular
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def used_messages() -> set[str]:
    messages = set()
    for app in APPS:
        for path in (settings.BASE_DIR / app).rglob("*.py"):
            messages |= python_messages(path.read_text())
    for path in (settings.BASE_DIR / "templates").rglob("*.html"):
        quoted = re.findall(QUOTED, templatize(path.read_text()))
        messages |= {ast.literal_eval(text) for text in quoted}
    return messages


def test_every_sentence_in_code_and_pages_is_in_the_catalog() -> None:
    assert used_messages() - entries().keys() == set()


def test_nothing_in_the_catalog_is_untranslated_unsure_or_unused() -> None:
    assert "fuzzy" not in CATALOG.read_text()
    assert [message for message, translation in entries().items() if not translation] == []
    assert entries().keys() - used_messages() - {""} == set()


def test_the_compiled_catalog_is_the_readable_one() -> None:
    with CATALOG.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for message, translation in entries().items():
        assert message == "" or translation in (compiled.gettext(message), compiled.ngettext(message, "", 1))


@pytest.mark.parametrize("code", sorted(codes()))
def test_every_error_has_a_sentence_of_its_own(code: str) -> None:
    assert code in CODES
    assert error_words(code)


def test_no_page_has_inline_script_style_or_handlers() -> None:
    for path in Path(settings.BASE_DIR / "templates").rglob("*.html"):
        text = path.read_text()
        assert not re.search(INLINE, text), path
