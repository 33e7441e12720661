"""The product's ASGI application on its real server, in a thread of the tests."""

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from django.contrib.auth.models import User
from django.test import Client

from accounts.models import ApiToken
from tests.support.waiting import PATIENCE
from web.connections import Bounds
from web.server import BoundedServer, configuration


@dataclass
class Site:
    """The product on its server. `folder` has all files that it writes; `under_way` counts requests that go on."""

    url: str
    folder: Path
    under_way: Callable[[], int]
    _open: list[httpx.Client] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        url = httpx.URL(self.url)
        return url.host, url.port or 0

    def client(self, **options: Any) -> httpx.Client:
        client = httpx.Client(base_url=self.url, timeout=PATIENCE, **options)
        self._open.append(client)
        return client

    def program(self, user: str = "mei", scopes: list[str] | None = None, **token: Any) -> httpx.Client:
        """A client with a new API token of this user, who is made if missing. token: see `ApiToken.issue`."""
        owner, _ = User.objects.get_or_create(username=user)
        _, secret = ApiToken.issue(owner, "test", scopes=scopes or ApiToken.Scope.values, days=None, **token)
        return self.client(headers={"Authorization": f"Bearer {secret}"})

    def browser(self, user: str = "mei") -> httpx.Client:
        """A client with this user's session cookie, and without the CSRF token that a page has."""
        owner, _ = User.objects.get_or_create(username=user)
        session = Client()
        session.force_login(owner)
        return self.client(cookies={"sessionid": session.cookies["sessionid"].value})

    def files(self) -> list[str]:
        """All files, by their paths within `folder`. Waits up to 2 s for the server to remove refused uploads, which it
        does after its answer."""
        deadline = time.monotonic() + 2
        while list(self.folder.glob("incoming/*.upload")) and time.monotonic() < deadline:
            time.sleep(0.01)
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    def close(self) -> None:
        for client in self._open:
            client.close()


def address_of(server: BoundedServer) -> str:
    """The URL of this server."""
    [listening] = server.servers
    return f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


@contextmanager
def serving(**options: Any) -> Iterator[BoundedServer]:
    """Run the product's application on its server, with these options of uvicorn's too. `address_of` gives its URL."""
    from asrsite.asgi import application  # noqa: PLC0415 it needs Django to be set up

    tempfile.tempdir = None  # the application sets it for a process of its own
    listener = socket.create_server(("127.0.0.1", 0))
    running = BoundedServer(configuration(application, Bounds(), log_level="warning", lifespan="off", **options))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield running
    running.should_exit = True
    thread.join()
