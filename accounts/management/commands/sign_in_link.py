"""`manage.py sign_in_link`: standard output carries the link and nothing else, for scripts."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from accounts.links import local_address, new_link


class Command(BaseCommand):
    help = "Print a link that signs the administrator in, once, within the hour. Earlier links end."
    requires_system_checks = []  # the server runs them; here they would take a second

    def add_arguments(self, parser: CommandParser) -> None:
        here = local_address(settings.HOST, settings.PORT)
        parser.add_argument("--url", default=here, help="where people reach the server (default: %(default)s)")

    def handle(self, *args: Any, url: str, **options: Any) -> None:
        try:
            self.stdout.write(new_link(url.rstrip("/")))
        except DatabaseError as error:  # another DATA_DIR, or a product that was never started
            raise CommandError(f"The database is not ready ({error}). Start the product once: make run") from error
