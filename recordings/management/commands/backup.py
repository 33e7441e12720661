"""`manage.py backup FILE`: everything in one file, while the server works."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from recordings.backups import BackupError, make_backup


class Command(BaseCommand):
    help = "Write everything that is kept (database, recordings, live sessions) to one file. The server may run."
    requires_system_checks = []  # the server has made them; here they would take a second

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path, help="a new file, as stile-2026-11-30.tar")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            size = make_backup(file)
        except BackupError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{file}: {filesizeformat(size)}".replace("\xa0", " "))
