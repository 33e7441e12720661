"""One name for one thing: a reader who searches for a class finds one."""

import ast
from collections import defaultdict

from django.conf import settings

from tests.support.source import parsed

PACKAGES = ("accounts", "asrsite", "bench", "recordings", "transcription", "web")
DJANGO = {"Command", "Migration"}  # names that Django looks for in every such module


def test_no_two_classes_have_one_name() -> None:
    found = defaultdict[str, list[str]](list)
    for package in PACKAGES:
        for path in (settings.BASE_DIR / package).rglob("*.py"):
            for node in parsed(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and node.name not in DJANGO:
                    found[node.name].append(str(path.relative_to(settings.BASE_DIR)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}
