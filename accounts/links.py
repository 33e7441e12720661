"""The link that signs the first administrator in: printed in a terminal, and kept in DATA_DIR for scripts."""

import os
from pathlib import Path

from django.conf import settings
from django.urls import reverse

from accounts.models import SignInLink


def new_link(address: str) -> str:
    """Make the link to the server at this address. Every earlier link stops working."""
    link = f"{address}{reverse('accounts:setup')}?token={SignInLink.issue()}"
    path = _file()
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(link + "\n")
    return link


def forget_file() -> None:
    """Delete the file, once its link has been used or has expired."""
    _file().unlink(missing_ok=True)


def local_address(host: str, port: int) -> str:
    """Address at which a browser on this machine reaches a server that listens on `host` and `port`."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


def _file() -> Path:
    return Path(settings.DATA_DIR) / "first-login-url"
