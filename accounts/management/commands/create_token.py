"""`manage.py create_token`: make an API token. Standard output carries the secret and nothing else, for scripts."""

import sys
from argparse import ArgumentTypeError
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from accounts.models import ApiToken


def days(text: str) -> float:
    """A token's life in days. The bound, a century, keeps the expiry before the year 9999, where `datetime` ends."""
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 < number <= 36_500:
        raise ArgumentTypeError("must be a number of days over 0 and up to 36500")
    return number


def weight(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= ApiToken.MOST_WEIGHT:
        raise ArgumentTypeError(f"must be a whole number from 1 to {ApiToken.MOST_WEIGHT}")
    return int(text)


class Command(BaseCommand):
    help = "Make an API token of a user and print it, and nothing else."
    requires_system_checks = []  # the server runs them; here they would take a second

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="NAME", help="whose token it is")
        parser.add_argument("--create", action="store_true", help="make the user if there is none of that name")
        parser.add_argument("--name", default="create_token", help="what the token is for, shown in lists")
        parser.add_argument("--days", type=days, help="how long it works (default: until it is revoked)")
        parser.add_argument(
            "--scope",
            action="append",
            choices=ApiToken.Scope.values,
            dest="scopes",
            help="what it may do; repeat for more (default: everything)",
        )
        parser.add_argument(
            "--lane",
            choices=ApiToken.Lane.values,
            default=ApiToken.Lane.INTERACTIVE.value,
            help="batch: what it sends waits behind the work of people (default: %(default)s)",
        )
        parser.add_argument(
            "--weight",
            type=weight,
            default=1,
            help="how many of its calls at /v1 are let in when it is its owner's turn (default: %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model()
        if len(options["name"]) > 100:
            raise CommandError("The token's name is longer than 100 characters.")
        try:
            users(username=options["user"]).clean_fields(exclude=["password"])
        except ValidationError as error:
            raise CommandError(f"This cannot be a user's name: {error.messages[0]}") from error
        try:
            user = users.objects.filter(username=options["user"]).first()
            if user is None:
                self._agree_to_make(options["user"], options["create"])
                user = users.objects.create(username=options["user"], password=make_password(None))
        except DatabaseError as error:  # another DATA_DIR, or a product that was never started
            raise CommandError(f"The database is not ready ({error}). Start the product once: make run") from error
        if not user.is_active:
            raise CommandError(f"The user {user.username} is deactivated: no token of theirs would work.")
        _token, secret = ApiToken.issue(
            user,
            options["name"],
            scopes=options["scopes"] or ApiToken.Scope.values,
            days=options["days"],
            lane=options["lane"],
            weight=options["weight"],
        )
        self.stdout.write(secret)

    def _agree_to_make(self, name: str, told: bool) -> None:
        """Confirm that a new user is meant, and no misspelt one: a person is asked, a script needs `--create`."""
        if told:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"There is no user {name}. Add --create to make one.")
        self.stderr.write(f"There is no user {name}. Make one? [y/N] ", ending="")
        self.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise CommandError("No token was made.")
