"""`manage.py restore FILE`: put a backup in place of what is there, and keep what was there."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError

from recordings.backups import BackupError, restore_backup
from transcription import service
from transcription.claim import AlreadyRunning


class Command(BaseCommand):
    help = "Put a backup in place of what is kept now. Stop the server first."
    requires_system_checks = []  # they ask the Whisper server

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path, help="what manage.py backup wrote")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            service.claim().take()
            before = restore_backup(file)
        except AlreadyRunning:
            raise CommandError("Stop the server first: it works on the data that would be replaced.") from None
        except BackupError as error:
            raise CommandError(str(error)) from None
        except FileNotFoundError as error:
            raise CommandError(f"There is no file {error.filename}.") from None
        finally:
            service.claim().release()
        self.stdout.write("Everything of the backup is in place. Start the server.")
        if before:
            self.stdout.write(f"What was there before is kept in {before}; remove it when all is well.")
