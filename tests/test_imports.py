"""Helpers of tests are in `tests/support`, so that no test file runs or breaks with another one."""

import ast
from pathlib import Path

from django.conf import settings

from tests.support.source import parsed


def imported_test_modules(code: str) -> list[str]:
    """The modules of `tests` that this code imports, `tests.support` aside."""
    names: list[str] = []
    for node in ast.walk(parsed(code)):
        if isinstance(node, ast.ImportFrom):
            module = f"{'.' * node.level}{node.module or ''}"
            names += [module] if node.level or module.count(".") else [f"{module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return [name for name in names if name.startswith((".", "tests.")) and not f"{name}.".startswith("tests.support.")]


def test_the_rule_finds_every_way_to_import() -> None:
    code = (
        "import tests.web.test_a, os\nfrom tests.web.test_b import c\nfrom .test_d import e\nfrom tests import conftest"
    )
    assert imported_test_modules(code) == ["tests.web.test_a", "tests.web.test_b", ".test_d", "tests.conftest"]
    assert imported_test_modules("from tests import support\nfrom tests.support.disks import fill\nimport pytest") == []


def test_tests_and_benches_import_helpers_from_support_only() -> None:
    files = [path for folder in ("tests", "bench") for path in (settings.BASE_DIR / folder).rglob("*.py")]
    found = {str(path): imported_test_modules(path.read_text()) for path in files}
    assert {path: modules for path, modules in found.items() if modules} == {}


def test_outside_of_support_there_are_only_tests_and_fixtures() -> None:
    tests = Path(settings.BASE_DIR, "tests")
    others = [path for path in tests.rglob("*.py") if not path.name.startswith(("test_", "conftest.", "__init__."))]
    assert [str(path) for path in others if path.parent != tests / "support"] == []
