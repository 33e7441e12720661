"""For commands that talk to the running server as any program does: its address, and a token."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError

from accounts.models import ApiToken
from web.origins import on_this_machine

TOKEN = "STILE_TOKEN"  # noqa: S105 the name of an environment variable
PATIENCE = 10.0  # seconds for each request


def here() -> str:
    """The address of the server on this machine."""
    return f"http://127.0.0.1:{settings.PORT}"


def readiness() -> dict[str, dict[str, Any]]:
    """What the server on this machine says of its parts: see `web.readiness`. Raises CommandError if it does not."""
    try:
        return dict(httpx.get(f"{here()}/readyz", timeout=PATIENCE).json()["parts"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise CommandError(f"The running Stile does not answer at {here()}: {error}") from error


def _must_answer(url: str) -> None:
    try:
        httpx.get(f"{url}/healthz", timeout=PATIENCE).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CommandError(f"No server answers at {url}. Start it with: make run. Or name another: --url") from error


@contextmanager
def token_for(url: str, name: str | None, scope: str) -> Iterator[str]:
    """A token that the server at `url` takes: the one in STILE_TOKEN, else a new one of the user, deleted at the end.

    name: of the user; None: the only one, or the only superuser. Raises CommandError where there is none.
    """
    secret = os.environ.get(TOKEN)
    if not secret and not on_this_machine(url):
        raise CommandError(f"A server elsewhere wants a token: set {TOKEN}.")
    _must_answer(url)
    if secret:
        yield secret
        return
    token, secret = ApiToken.issue(_user(name), "manage.py", scopes=[scope], days=1)
    try:
        yield secret
    finally:
        token.delete()


def _user(name: str | None) -> User:
    people = User.objects.filter(is_active=True)
    if name:
        if found := people.filter(username=name).first():
            return found
        raise CommandError(f"There is no user {name}.")
    for some in (people, people.filter(is_superuser=True)):
        if some.count() == 1:
            return some.get()
    raise CommandError("Say as whom: --user NAME. manage.py create_token NAME --create makes a user.")
