"""Writes the pages of docs/reference/ that come from the code: `python -m docs.generate`. A test compares them.

settings    from .env.example, which has every setting with its default and its meaning
errors      from web.codes, the table of errors
metrics     from the collectors behind /metrics
commands    from the parsers of the commands
"""

import argparse
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from unittest.mock import patch

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")
django.setup()

from django.conf import settings  # noqa: E402 Django must be set up before the product is imported
from django.core.management import get_commands, load_command_class  # noqa: E402
from django.core.management.base import BaseCommand  # noqa: E402
from django.utils.translation import override  # noqa: E402

from recordings.live.metrics import LiveCollector  # noqa: E402
from transcription import service  # noqa: E402
from transcription.monitor.metrics import GateCollector  # noqa: E402
from transcription.snapshot import Calls, LineSnapshot, Snapshot  # noqa: E402
from web.codes import CODES, STAYS_OPEN  # noqa: E402

FOLDER = Path(settings.BASE_DIR) / "docs/reference"
GENERATED = "<!-- Written by `python -m docs.generate`. -->\n"
CHINESE = re.compile(r"[\u3000-\u9fff]")


def settings_page() -> str:
    parts = [
        "# Settings\n",
        GENERATED,
        "Environment variables, or lines in `.env`. `manage.py check` says what is wrong.\n",
    ]
    rows: list[list[str]] = []
    meaning: list[str] = []
    told = True
    for line in (Path(settings.BASE_DIR) / ".env.example").read_text().splitlines():
        if title := re.fullmatch(r"# --- (.+?) -+", line):
            parts += [*_table(["name", "default", "meaning"], rows), f"## {title[1]}\n"]
            rows, told = [], True
        elif setting := re.fullmatch(r"#([A-Z0-9_]+)=(.*)", line):
            rows.append([f"`{setting[1]}`", f"`{setting[2]}`" if setting[2] else "", " ".join(filter(None, meaning))])
            told = True
        elif line.startswith("# "):
            meaning = [*([] if told else meaning), _english(line[2:])]  # settings behind each other share their meaning
            told = False
    return "\n".join([*parts, *_table(["name", "default", "meaning"], rows)])


def _english(line: str) -> str:
    """The English sentences of a line, which stand before the Chinese ones."""
    chinese = CHINESE.search(line)
    return line if not chinese else line[: line.rfind(". ", 0, chinese.start()) + 1]


def errors_page() -> str:
    text = (
        "A code never changes, so programs may compare it. The sentence is in the reader's language.\n\n"
        "*status* is the HTTP status at `/api` and on pages, *`/v1`* the one there where it differs, *close* the\n"
        "close code of a WebSocket (*open*: the socket stays open).\n"
    )
    rows = []
    for code, row in sorted(CODES.items()):
        close = "" if row.close is None else "open" if row.close == STAYS_OPEN else str(row.close)
        rows.append([f"`{code}`", str(row.status or ""), str(row.v1 or ""), close, str(row.words)])
    return "\n".join(
        ["# Error codes\n", GENERATED, text, *_table(["code", "status", "`/v1`", "close", "sentence"], rows)]
    )


def metrics_page() -> str:
    text = "`GET /metrics`, for Prometheus and OpenMetrics. Metrics of the process (`process_…`) come besides.\n"
    rows = []
    with patch.object(service, "snapshot", lambda: Snapshot(Calls(), LineSnapshot(0, 1, {}), ())):
        for family in chain(GateCollector().collect(), LiveCollector().collect()):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = ", ".join(f"`{label}`" for label in getattr(family, "_labelnames", ()))
            rows.append([f"`{name}`", family.type, labels, family.documentation])
    return "\n".join(["# Metrics\n", GENERATED, text, *_table(["name", "type", "labels", "meaning"], rows)])


def commands_page() -> str:
    parts = ["# Commands\n", GENERATED, "`.venv/bin/python manage.py NAME`. `manage.py version` tells the version.\n"]
    for name, command in commands().items():
        parts += [f"## {name}\n", f"{command.help}\n"]
        rows = [[_spelling(action), _help(action)] for action in arguments(command)]
        parts += _table(["argument", "meaning"], rows)
    return "\n".join(parts)


def commands() -> dict[str, BaseCommand]:
    """The commands of the product, by name."""
    ours = {name: app for name, app in get_commands().items() if app in {"accounts", "recordings", "transcription"}}
    return {name: load_command_class(app, name) for name, app in sorted(ours.items())}


def arguments(command: BaseCommand) -> list[argparse.Action]:
    """The arguments of a command that not every command has."""
    known = {action.dest for action in BaseCommand().create_parser("manage.py", "")._actions}
    return [action for action in command.create_parser("manage.py", "")._actions if action.dest not in known]


def _spelling(action: argparse.Action) -> str:
    """`--days …`, `--yes`, `FILE`."""
    value = "" if action.nargs == 0 else str(action.metavar or "…")
    return f"`{' '.join([*action.option_strings, value]).strip()}`"


def _help(action: argparse.Action) -> str:
    return (action.help or "") % vars(action)


def _table(heads: Iterable[str], rows: list[list[str]]) -> Iterator[str]:
    if rows:
        heads = list(heads)
        yield f"| {' | '.join(heads)} |"
        yield f"|{' --- |' * len(heads)}"
        for row in rows:
            cells = (cell.replace("|", "\\|") for cell in row)
            yield f"| {' | '.join(cells)} |"
        yield ""


PAGES = {"settings": settings_page, "errors": errors_page, "metrics": metrics_page, "commands": commands_page}


def page(name: str) -> str:
    """A page of PAGES, in English."""
    with override("en"):
        return PAGES[name]()


if __name__ == "__main__":
    for name in PAGES:
        (FOLDER / f"{name}.md").write_text(page(name))
