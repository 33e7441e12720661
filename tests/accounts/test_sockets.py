"""WebSockets: opened from our own pages, or with a ticket, and closed as soon as the right to them is gone."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from itertools import pairwise

import httpx
import pytest
from channels.exceptions import ChannelFull
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.utils import timezone, translation
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from accounts import sockets
from accounts.models import ApiToken, SocketTicket
from tests.support.site import Site
from tests.support.waiting import PATIENCE, until
from web.origins import is_own_page

OWN = "/ws/recordings"
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _forget() -> None:
    cache.clear()


def ticket(client: httpx.Client) -> str:
    """Get a ticket for the person or the token of this client."""
    answer = client.post("/api/ws-ticket", headers=csrf(client))
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"ticket", "expires_in"}
    assert answer.json()["expires_in"] == 30
    return str(answer.json()["ticket"])


def csrf(client: httpx.Client) -> dict[str, str]:
    if "sessionid" not in client.cookies:
        return {}
    client.get("/accounts/password")
    return {"X-CSRFToken": client.cookies["csrftoken"]}


@contextmanager
def opened(site: Site, path: str = OWN, **headers: str) -> Iterator[ClientConnection]:
    with connect(site.url.replace("http", "ws", 1) + path, additional_headers=headers, proxy=None) as socket:
        yield socket


@contextmanager
def page_socket(site: Site, browser: httpx.Client, path: str = OWN) -> Iterator[ClientConnection]:
    with opened(site, path, Origin=site.url, Cookie=f"sessionid={browser.cookies['sessionid']}") as socket:
        yield socket


def closed(socket: ClientConnection, within: float = PATIENCE) -> int | None:
    """Wait for the server to close the socket. Returns the code; None if it is open after `within` seconds."""
    end = time.monotonic() + within
    try:
        while True:
            socket.recv(max(0.0, end - time.monotonic()))
    except TimeoutError:
        return None
    except ConnectionClosed as why:
        return why.rcvd.code if why.rcvd else 1006


def stays_open(socket: ClientConnection) -> bool:
    """Whether the socket is still open after 0.3 s."""
    return closed(socket, 0.3) is None


@pytest.fixture
def root(site: Site) -> httpx.Client:
    User.objects.create_superuser("root")
    return site.browser("root")


def changed(root: httpx.Client, what: str, **fields: str) -> None:
    """Send the form of a row's admin page. A field that is left out becomes empty."""
    answer = root.post(f"/admin/{what}", data=fields, headers=csrf(root))
    assert answer.status_code == 302, answer.text


# --- Opening -----------------------------------------------------------------------------------


def test_a_program_opens_one_socket_with_one_ticket(site: Site) -> None:
    bought = ticket(site.program())
    with opened(site, f"{OWN}?ticket={bought}") as socket:
        assert stays_open(socket)
    with opened(site, f"{OWN}?ticket={bought}") as socket:
        assert closed(socket) == 4401


def test_one_of_many_clients_with_one_ticket_gets_in(site: Site) -> None:
    bought = ticket(site.program())
    with ThreadPoolExecutor(8) as pool, ExitStack() as stack:
        sockets = list(pool.map(lambda _: stack.enter_context(opened(site, f"{OWN}?ticket={bought}")), range(8)))
        waiting = [pool.submit(closed, socket) for socket in sockets]
        assert [ended.result() for _, ended in zip(range(7), as_completed(waiting), strict=False)] == [4401] * 7
        assert [ended.done() for ended in waiting].count(False) == 1


def test_a_ticket_is_kept_as_a_digest_and_forgotten_when_its_time_is_over(site: Site) -> None:
    program = site.program()
    late = ticket(program)
    assert late not in str(list(SocketTicket.objects.values()))
    SocketTicket.objects.update(expires_at=timezone.now())
    with opened(site, f"{OWN}?ticket={late}") as socket:
        assert closed(socket) == 4401
    ticket(program)
    assert SocketTicket.objects.count() == 1


def test_a_ticket_decides_even_beside_a_good_session(site: Site) -> None:
    browser = site.browser()
    with page_socket(site, browser) as socket:
        assert stays_open(socket)
    with page_socket(site, browser, f"{OWN}?ticket=nonsense") as socket:
        assert closed(socket) == 4401


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://[", "\xff", ""])
def test_a_session_opens_nothing_from_another_page(site: Site, origin: str) -> None:
    with opened(site, Cookie=f"sessionid={site.browser().cookies['sessionid']}", Origin=origin) as socket:
        assert closed(socket) == 4403


@pytest.mark.parametrize(
    ("origin", "scheme", "host", "ours"),
    [
        ("http://localhost:8000", "ws", "localhost:8000", True),
        ("http://LOCALHOST:8000", "ws", "localhost:8000", True),
        ("http://localhost", "ws", "localhost:80", True),
        ("http://[::1]:8000", "ws", "[::1]:8000", True),
        ("https://localhost", "wss", "localhost", True),
        ("http://localhost:3000", "ws", "localhost:8000", False),
        ("http://localhost", "ws", "localhost:8000", False),
        ("https://localhost:8000", "ws", "localhost:8000", False),
        ("http://localhost", "wss", "localhost", False),
        ("http://127.0.0.1:8000", "ws", "localhost:8000", False),
        ("http://localhost.evil.example:8000", "ws", "localhost:8000", False),
        ("http://localhost:8000@evil.example", "ws", "localhost:8000", False),
        ("http://evil.example", "ws", "evil.example", False),  # not among ALLOWED_HOSTS
        ("https://stile.example", "ws", "127.0.0.1:8000", True),  # trusted, behind a proxy
        ("http://stile.example", "ws", "127.0.0.1:8000", False),
        ("https://stile.example:8443", "ws", "127.0.0.1:8000", False),
        ("https://a.stile.example", "ws", "127.0.0.1:8000", False),
        ("https://a.many.example:8443", "ws", "127.0.0.1:8000", True),
        ("https://a.b.many.example:8443", "ws", "127.0.0.1:8000", True),
        ("https://a.many.example", "ws", "127.0.0.1:8000", False),
        ("https://amany.example:8443", "ws", "127.0.0.1:8000", False),
        ("file://localhost:8000", "ws", "localhost:8000", False),
        ("chrome-extension://localhost:8000", "ws", "localhost:8000", False),
        ("null", "ws", "localhost:8000", False),
        ("http://localhost:80000", "ws", "localhost:8000", False),
        ("http://localhost:x", "ws", "localhost:8000", False),
        ("http://[", "ws", "localhost:8000", False),
        ("", "ws", "localhost:8000", False),
        (None, "ws", "localhost:8000", False),
    ],
)
def test_an_origin_is_ours_by_scheme_host_and_port(
    settings: LazySettings, origin: str | None, scheme: str, host: str, ours: bool
) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://stile.example", "https://*.many.example:8443"]
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
    scope = {"type": "websocket", "path": OWN, "scheme": scheme, "headers": [(b"host", host.encode())]}
    assert is_own_page(scope, origin or "") is ours


def test_behind_tls_the_scheme_is_what_the_proxy_says(settings: LazySettings) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.ALLOWED_HOSTS = ["stile.example"]
    headers = [(b"host", b"stile.example"), (b"x-forwarded-proto", b"https")]
    scope = {"type": "websocket", "path": OWN, "scheme": "ws", "headers": headers}
    assert is_own_page(scope, "https://stile.example")
    assert not is_own_page(scope, "http://stile.example")


def test_a_page_on_another_port_of_this_host_opens_nothing(site: Site) -> None:
    cookie = f"sessionid={site.browser().cookies['sessionid']}"
    bought = ticket(site.program())
    with opened(site, Cookie=cookie, Origin="http://127.0.0.1:1") as socket:
        assert closed(socket) == 4403
    with opened(site, f"{OWN}?ticket={bought}", Origin="http://127.0.0.1:1") as socket:
        assert closed(socket) == 4403


def test_a_session_without_an_origin_opens_nothing(site: Site) -> None:
    """A program needs a ticket, whatever cookies it has."""
    with opened(site, Cookie=f"sessionid={site.browser().cookies['sessionid']}") as socket:
        assert closed(socket) == 4401


def test_a_ticket_opens_nothing_from_another_page_either(site: Site) -> None:
    bought = ticket(site.program())
    with opened(site, f"{OWN}?ticket={bought}", Origin="https://elsewhere.example") as socket:
        assert closed(socket) == 4403
    assert SocketTicket.objects.exists()


@pytest.mark.parametrize(("path", "scope"), [(OWN, "read"), ("/ws/monitor", "stats")])
def test_a_token_needs_the_scope_of_what_it_opens(site: Site, path: str, scope: str) -> None:
    User.objects.create_superuser("root")
    others = [other for other in ApiToken.Scope.values if other != scope]
    with opened(site, f"{path}?ticket={ticket(site.program('root', others))}") as socket:
        assert closed(socket) == 4403
    with opened(site, f"{path}?ticket={ticket(site.program('root', [scope]))}") as socket:
        assert stays_open(socket)


def test_a_client_that_is_not_signed_in_gets_no_ticket(site: Site) -> None:
    assert site.client().post("/api/ws-ticket").status_code == 401
    assert site.browser().post("/api/ws-ticket").status_code == 403  # no CSRF token
    assert not SocketTicket.objects.exists()


OURS, OTHERS = "ours", "https://elsewhere.example"
UNKNOWN = (
    "/",
    "/ws",
    "/ws/live/",
    "/ws/liv",
    "/ws/recordings/1",
    "/ws/live/a/b",
    f"/ws/live/{'a' * 200}",
    "/ws/live/%00",
    "/ws/live/%E4%BD%A0",
    "/ws/live/%ff",
    "/ws/live/a%0A",
    "/ws/live/a*b",
    "/api/recordings",
)
# Query, headers, and the close codes for the four kinds of path in KINDS: a speaker's; the recordings' and the
# monitor's; a viewer's of a session that does not exist; an unknown path.
ATTEMPTS: list[tuple[str, dict[str, str], tuple[int, int, int, int]]] = [
    ("", {}, (4401, 4401, 4401, 4401)),
    ("?ticket=", {}, (4401, 4401, 4401, 4401)),
    ("", {"Sec-WebSocket-Protocol": "nonsense"}, (4401, 4401, 4401, 4401)),
    ("", {"Cookie": "sessionid=nonsense"}, (4401, 4401, 4401, 4401)),
    ("", {"Origin": OTHERS}, (4403, 4403, 4403, 4403)),
    ("?ticket=nonsense", {"Origin": OTHERS}, (4403, 4403, 4403, 4403)),
    ("", {"Origin": OURS}, (4401, 4401, 4404, 4404)),
    ("", {"Origin": OURS, "Cookie": "sessionid=nonsense"}, (4401, 4401, 4404, 4404)),
    ("", {"Origin": OURS, "Sec-WebSocket-Protocol": "stile.live.1"}, (4401, 4401, 4404, 4404)),
    ("", {"Origin": OURS, "Sec-WebSocket-Protocol": "nonsense, stile.live.9"}, (4400, 4401, 4400, 4404)),
    ("?%", {"Origin": OURS, "Accept-Language": "zh-CN"}, (4401, 4401, 4404, 4404)),
    ("?after=" + "9" * 5000, {"Origin": OURS}, (4401, 4401, 4400, 4404)),
    ("?after=99999999999999999999", {"Origin": OURS}, (4401, 4401, 4400, 4404)),
    ("?after=--1", {"Origin": OURS}, (4401, 4401, 4400, 4404)),
    ("?ticket=nonsense", {}, (4401, 4401, 4404, 4404)),
    ("?ticket=%00%ff&ticket=a;b&ticket", {}, (4401, 4401, 4404, 4404)),
    (f"?ticket={'t' * 7000}", {}, (4401, 4401, 4404, 4404)),
    (f"?{'&' * 5000}ticket=x", {}, (4401, 4401, 4404, 4404)),
]
KINDS = {"/ws/live": 0, "//ws/live": 0, "/ws/recordings": 1, "/ws/monitor": 1, "/ws/live/nobody": 2} | dict.fromkeys(
    UNKNOWN, 3
)


@pytest.mark.parametrize("path", KINDS)
def test_a_refused_client_is_told_why_on_every_path(site: Site, path: str, caplog: pytest.LogCaptureFixture) -> None:
    told = []
    for query, headers, _ in ATTEMPTS:
        message, code = refused(site, path + query, headers)
        told.append((query[:30], headers, code))
        assert (message["type"], bool(message["code"]), bool(message["message"])) == ("error", True, True)
        assert ("请" in message["message"]) == ("zh-CN" in headers.values() and code == 4401)
    expected = [(query[:30], headers, codes[KINDS[path]]) for query, headers, codes in ATTEMPTS]
    assert told == expected
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def refused(site: Site, path: str, headers: dict[str, str]) -> tuple[dict[str, str], int]:
    """The last message before the close, and the code."""
    message = {}
    address = site.url.replace("http", "ws", 1) + path
    offered = [Subprotocol(name) for name in headers.get("Sec-WebSocket-Protocol", "").split(", ") if name]
    rest = {name: value.replace(OURS, site.url) for name, value in headers.items() if name != "Sec-WebSocket-Protocol"}
    opening = connect(address, additional_headers=rest, subprotocols=offered or None, proxy=None)
    with opening as socket, suppress(ConnectionClosedError):
        while True:
            message = json.loads(socket.recv(PATIENCE))
    return message, socket.close_code or 0


@pytest.mark.parametrize("words", [words for _, words in sockets.REFUSALS.values()])
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_words_fit_into_a_close_frame(words: str, language: str) -> None:
    with translation.override(language):
        assert len(str(words).encode()) <= 123


def test_a_page_socket_is_closed_with_the_words_as_its_reason(site: Site) -> None:
    with opened(site, Origin=site.url) as socket:
        assert closed(socket) == 4401
        assert socket.close_reason == "Sign in first. A program opens this socket with a ticket."


# --- Closing -----------------------------------------------------------------------------------


def test_a_revoked_token_loses_its_sockets_at_once_and_no_other_does(site: Site, root: httpx.Client) -> None:
    program = site.program()
    token = ApiToken.objects.get()
    other = site.program()
    with opened(site, f"{OWN}?ticket={ticket(program)}") as gone, opened(site, f"{OWN}?ticket={ticket(other)}") as kept:
        spare = ticket(program)
        day, clock = timezone.now().strftime("%Y-%m-%d %H:%M:%S").split()
        changed(
            root,
            f"accounts/apitoken/{token.pk}/change/",
            name="test",
            lane="interactive",
            weight="1",
            expires_at_0="",
            expires_at_1="",
            revoked_at_0=day,
            revoked_at_1=clock,
        )
        assert closed(gone) == 4401
        assert stays_open(kept)
    with opened(site, f"{OWN}?ticket={spare}") as socket:
        assert closed(socket) == 4401


def test_a_token_that_expires_loses_its_sockets_in_that_moment(site: Site) -> None:
    program = site.program()
    ApiToken.objects.update(expires_at=timezone.now() + timedelta(seconds=1.5))
    with opened(site, f"{OWN}?ticket={ticket(program)}") as socket:
        assert stays_open(socket)
        assert closed(socket) == 4401


def test_signing_out_closes_the_sockets_of_that_session(site: Site) -> None:
    browser, other = site.browser(), site.browser()
    with (
        page_socket(site, browser) as socket,
        opened(site, f"{OWN}?ticket={ticket(browser)}") as by_ticket,
        page_socket(site, other) as elsewhere,
    ):
        assert browser.post("/accounts/logout", headers=csrf(browser)).status_code == 302
        assert closed(socket) == 4401
        assert closed(by_ticket) == 4401
        assert stays_open(elsewhere)


def test_a_new_password_closes_the_sockets_of_every_session(site: Site) -> None:
    User.objects.create_user("mei")  # a person without a password is not asked for the old one
    browser, other = site.browser(), site.browser()
    with page_socket(site, browser) as socket, page_socket(site, other) as elsewhere:
        answer = browser.post(
            "/accounts/password",
            data={"new_password1": PASSWORD, "new_password2": PASSWORD},
            headers=csrf(browser),
        )
        assert answer.status_code == 302, answer.text
        assert closed(socket) == 4401
        assert closed(elsewhere) == 4401


def test_a_user_who_is_deactivated_loses_all_sockets(site: Site, root: httpx.Client) -> None:
    program, browser = site.program(), site.browser()
    mei = User.objects.get(username="mei")
    with opened(site, f"{OWN}?ticket={ticket(program)}") as one, page_socket(site, browser) as two:
        changed(
            root,
            f"auth/user/{mei.pk}/change/",
            username="mei",
            date_joined_0="2026-01-01",
            date_joined_1="00:00:00",
        )
        assert (closed(one), closed(two)) == (4401, 4401)


def test_a_person_who_is_no_longer_staff_loses_the_monitor_but_keeps_the_rest(site: Site, root: httpx.Client) -> None:
    mei = User.objects.create_user("mei", is_staff=True)
    browser = site.browser()
    with page_socket(site, browser, "/ws/monitor") as monitor, page_socket(site, browser) as own:
        assert "limit" in json.loads(monitor.recv(PATIENCE))
        changed(
            root,
            f"auth/user/{mei.pk}/change/",
            username="mei",
            is_active="on",
            date_joined_0="2026-01-01",
            date_joined_1="00:00:00",
        )
        assert closed(monitor) == 4403
        assert stays_open(own)


def test_a_change_that_nobody_told_is_found_out(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.sockets.LOOK_AGAIN", 0.3)
    browser = site.browser()
    with page_socket(site, browser) as socket:
        User.objects.update(is_active=False)
        assert closed(socket) == 4401


async def test_a_consumer_that_is_busy_when_its_token_expires_is_not_flooded(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[float] = []

    class Full:
        async def send(self, _channel: str, _message: object) -> None:
            sent.append(time.monotonic())
            raise ChannelFull

    consumer = sockets.Rightful()
    consumer.scope = {"proof": object(), "token": ApiToken(expires_at=timezone.now() - timedelta(seconds=1))}
    consumer.channel_name, consumer.channel_layer = "busy", Full()
    monkeypatch.setattr(sockets, "AGAIN_SOON", 0.05)
    watching = asyncio.create_task(consumer._look_again())
    await until(lambda: len(sent) >= 5 or watching.done())
    assert not watching.done()
    assert all(after - before > 0.04 for before, after in pairwise(sent))
    watching.cancel()
