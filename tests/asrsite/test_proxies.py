"""The recipes of docs/how-to/proxy.md, as they stand there, in a real nginx and a real Caddy before the product."""

import asyncio
import json
import os
import re
import shutil
import ssl
import struct
import subprocess
import wave
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from django.conf import settings
from websockets.asyncio.client import connect
from websockets.typing import Origin, Subprotocol

from tests.support.product import Product, free_port
from tests.support.waiting import PATIENCE, wait_for
from tests.support.whisper_stub import WhisperStub

RECIPES = dict(re.findall(r"```(\S+)\n(.*?)```", (Path(settings.BASE_DIR) / "docs/how-to/proxy.md").read_text(), re.S))
UPLOAD = 300 * 1024**2  # bytes
ALLOWED, ELSEWHERE, GUESSER, NEIGHBOUR = "127.0.0.9", "127.0.0.3", "127.0.0.4", "127.0.0.5"
PROXIES = ["nginx", "caddy"]


def nginx(folder: Path, port: int, upstream: str, *, prefixed: bool) -> list[str]:
    certificate = folder / "stile.crt", folder / "stile.key"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(certificate[1])]
    subprocess.run([*made, "-out", str(certificate[0]), *subject], check=True, capture_output=True)
    recipe = RECIPES["nginx"]
    if prefixed:
        recipe = re.sub(r"    location / \{.*?\n    \}\n", lambda _: RECIPES["nginx-path"], recipe, flags=re.S)
    for written, here in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "stile.example;": "localhost;",
        "/etc/ssl/stile.example.crt": str(certificate[0]),
        "/etc/ssl/stile.example.key": str(certificate[1]),
        "http://127.0.0.1:8000": upstream,
    }.items():
        assert written in recipe
        recipe = recipe.replace(written, here)
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}\n{recipe}\n}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(config), "-e", "stderr"]


def caddy(folder: Path, port: int, upstream: str, *, prefixed: bool) -> list[str]:
    recipe = RECIPES["caddy-path" if prefixed else "caddy"]
    host = "host.example" if prefixed else "stile.example"
    assert host in recipe
    assert "127.0.0.1:8000" in recipe
    recipe = recipe.replace(host, f"localhost:{port}").replace("127.0.0.1:8000", upstream.removeprefix("http://"))
    config = folder / "Caddyfile"
    quiet = "admin off\nskip_install_trust\nauto_https disable_redirects\n"
    config.write_text(f"{{\n{quiet}}}\n{recipe}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]


@dataclass
class House:
    """The product with both proxies before it. `urls`: the address of each proxy."""

    product: Product
    urls: dict[str, str]

    def client(self, proxy: str, source: str = "127.0.0.1", **options: object) -> httpx.Client:
        """A client that connects from the address `source` to the proxy; to the product itself if `proxy` is "none"."""
        url = self.product.url if proxy == "none" else self.urls[proxy]
        transport = httpx.HTTPTransport(verify=False, local_address=source)
        return httpx.Client(base_url=url, transport=transport, timeout=120, **options)  # type: ignore[arg-type]


def house(folder: Path, *, prefix: str, stack: ExitStack) -> House:
    for program in ("nginx", "caddy", "openssl"):
        assert shutil.which(program), f"{program} is missing: tests/system.sh installs it"
    ports = {name: free_port() for name in PROXIES}
    urls = {name: f"https://localhost:{port}{prefix}" for name, port in ports.items()}
    whisper = stack.enter_context(WhisperStub())
    product = Product(
        folder / "data",
        ASR_API_URL=whisper.url,
        CSRF_TRUSTED_ORIGINS=",".join(f"https://localhost:{port}" for port in ports.values()),
        TRUSTED_PROXIES="127.0.0.1",
        METRICS_ALLOWED=f"{ALLOWED},127.0.0.1",
        URL_PREFIX=prefix,
    )
    stack.enter_context(product)
    for name, command in {"nginx": nginx, "caddy": caddy}.items():
        place = folder / name
        place.mkdir()
        log = stack.enter_context((place / "log").open("w"))
        proxy = subprocess.Popen(
            command(place, ports[name], product.url, prefixed=bool(prefix)),
            env={"PATH": f"{os.environ['PATH']}:/usr/sbin", "HOME": str(place), "XDG_DATA_HOME": str(place)},
            stdout=log,
            stderr=log,
        )
        stack.callback(proxy.wait, 10)
        stack.callback(proxy.terminate)
    made = House(product, urls)
    for name in PROXIES:
        with made.client(name) as client:
            wait_for(lambda client=client: answers(client), f"{name} answers")  # type: ignore[misc]
    return made


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        yield house(tmp_path_factory.mktemp("behind"), prefix="", stack=stack)


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        yield house(tmp_path_factory.mktemp("below"), prefix="/stile", stack=stack)


def token(house: House) -> dict[str, str]:
    with house.product.client() as client:
        return {"Authorization": client.headers["Authorization"]}


def sign_in(client: httpx.Client, product: Product) -> None:
    """Sign in as `boss` by password. The first time makes that user in the product."""
    secret = "correct horse battery"
    page = client.get("/accounts/login", follow_redirects=True)
    form = {"csrfmiddlewaretoken": client.cookies["csrftoken"], "username": "boss", "password": secret}
    if not getattr(product, "has_boss", False):
        script = (
            f"from django.contrib.auth.models import User; User.objects.create_superuser('boss', password='{secret}')"
        )
        product.manage("shell", "-c", script)
        product.has_boss = True  # type: ignore[attr-defined]
    answer = client.post(page.url, data=form, headers={"Referer": str(page.url)})
    assert answer.status_code == 302, answer.text


@pytest.mark.parametrize("proxy", PROXIES)
def test_people_sign_in_over_tls_and_their_cookies_stay_there(behind: House, proxy: str) -> None:
    with behind.client(proxy) as client:
        sign_in(client, behind.product)
        cookies = {cookie.name: cookie for cookie in client.cookies.jar}
        assert cookies["sessionid"].secure
        assert cookies["csrftoken"].secure
        page = client.get("/")
        assert page.status_code == 200
        assert int(page.headers["Strict-Transport-Security"].partition("=")[2]) >= 3600


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 48_000, 0, "NONE", ""))
        for _ in range(UPLOAD // 2**20):
            file.writeframesraw(bytes(2**20))
    return path


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_file_of_300_mb_goes_through(behind: House, proxy: str, long_file: Path) -> None:
    with behind.client(proxy, headers=token(behind)) as client, long_file.open("rb") as file:
        fields = {"transcribe": "false", "duplicate": "allow"}
        answer = client.post("/api/recordings", files={"file": ("long.wav", file)}, data=fields)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert made["bytes"] == long_file.stat().st_size
        part = client.get(f"/api/recordings/{made['id']}/audio", headers={"Range": "bytes=100000000-100000009"})
        assert (part.status_code, part.content) == (206, bytes(10))


@pytest.mark.parametrize("proxy", PROXIES)
async def test_live_captions_go_through(behind: House, proxy: str) -> None:
    await speak(behind, proxy)


@pytest.mark.parametrize("proxy", PROXIES)
async def test_a_pages_socket_opens_at_the_pages_own_address(behind: House, proxy: str) -> None:
    with behind.client(proxy) as client:
        await asyncio.to_thread(sign_in, client, behind.product)
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    url = urlsplit(behind.urls[proxy])
    async with connect(
        f"wss://{url.netloc}/ws/recordings",
        ssl=untrusting(),
        additional_headers={"Cookie": cookies},
        origin=Origin(f"https://{url.netloc}"),
        proxy=None,
    ) as socket:
        await (await socket.ping())


def untrusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the certificate was made for this test
    return context


async def speak(house: House, proxy: str) -> None:
    with house.client(proxy, headers=token(house)) as client:
        ticket = (await asyncio.to_thread(client.post, "/api/ws-ticket")).json()
    address = house.urls[proxy].replace("https", "wss", 1)
    async with connect(
        f"{address}/ws/live?ticket={ticket['ticket']}",
        ssl=untrusting(),
        subprotocols=[Subprotocol("stile.live.1")],
        proxy=None,
    ) as socket:
        await socket.send(json.dumps({"type": "start", "session": None, "sample_rate": 16000}))
        for number in range(10):
            await socket.send(struct.pack("<I", number) + bytes(3200))
        await socket.send(json.dumps({"type": "stop"}))
        async with asyncio.timeout(PATIENCE):
            told = [json.loads(message)["type"] async for message in socket]
    assert told[0] == "ready"
    assert told[-1] == "done"


# --- Headers that are believed -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxy", "source", "headers", "status"),
    [
        ("none", ALLOWED, {}, 200),
        ("none", ELSEWHERE, {}, 403),
        ("none", ELSEWHERE, {"X-Forwarded-For": ALLOWED}, 403),
        ("none", ELSEWHERE, {"X-Real-IP": ALLOWED, "Forwarded": f"for={ALLOWED}"}, 403),
        ("none", "127.0.0.1", {}, 403),  # a proxy that says nothing of its client
        ("none", "127.0.0.1", {"X-Forwarded-For": ""}, 403),
        *((proxy, ALLOWED, {}, 200) for proxy in PROXIES),
        *((proxy, ELSEWHERE, {}, 403) for proxy in PROXIES),
        *((proxy, ELSEWHERE, {"X-Forwarded-For": ALLOWED}, 403) for proxy in PROXIES),
        *((proxy, ELSEWHERE, {"X-Forwarded-For": f"{ALLOWED}, 127.0.0.1"}, 403) for proxy in PROXIES),
    ],
)
def test_metrics_are_for_the_addresses_that_may_whatever_a_header_says(
    behind: House, proxy: str, source: str, headers: dict[str, str], status: int
) -> None:
    with behind.client(proxy, source) as client:
        assert client.get("/metrics", headers=headers).status_code == status


@pytest.mark.parametrize("proxy", ["none", *PROXIES])
def test_tries_count_by_the_address_they_come_from(behind: House, proxy: str) -> None:
    source, other = (f"{address}{PROXIES.index(proxy) if proxy in PROXIES else 9}" for address in (GUESSER, NEIGHBOUR))
    wrong = {"Authorization": "Bearer wrong"}
    if proxy == "none":
        wrong["X-Forwarded-Proto"] = "https"  # not believed: see the next test
    with behind.client(proxy, source) as client:
        for number in range(60):
            answer = client.get("/v1/models", headers=wrong | {"X-Forwarded-For": f"10.0.0.{number}"})
        assert answer.status_code == (301 if proxy == "none" else 429)
    with behind.client(proxy, other) as client:
        assert client.get("/v1/models", headers=wrong).status_code == (301 if proxy == "none" else 401)


def test_only_a_proxy_can_say_that_a_request_came_over_tls(behind: House) -> None:
    for source, status in (("127.0.0.1", 200), (ELSEWHERE, 301)):
        with behind.client("none", source) as client:
            headers = {"X-Forwarded-Proto": "https"}
            assert client.get("/accounts/login", headers=headers).status_code == status


# --- Below a path ------------------------------------------------------------------------------


@pytest.mark.parametrize("proxy", PROXIES)
def test_every_address_on_every_page_lies_below_the_prefix(below: House, proxy: str) -> None:
    with below.client(proxy) as client:
        sign_in(client, below.product)
        seen: set[str] = set()
        pages = ["/", "/record", "/live", "/accounts/password", "/api/docs", "/admin/", "/nowhere"]
        for page in pages:
            answer = client.get(page)
            assert answer.status_code == (404 if page == "/nowhere" else 200), (page, answer.status_code)
            addresses = re.findall(r"""(?:href|src|action|hx-get|hx-post)=["']([^"'#]+)["']""", answer.text)
            assert addresses
            for address in addresses:
                url = urlsplit(urljoin(str(answer.url), address))
                if url.netloc == urlsplit(below.urls[proxy]).netloc:
                    assert url.path.startswith("/stile/"), (page, address)
                    seen.add(url.path)
        found = {path: client.get(path.removeprefix("/stile")).status_code for path in seen if "logout" not in path}
        assert {path: status for path, status in found.items() if status not in (200, 302, 405)} == {}
        assert client.get("", follow_redirects=True).status_code == 200


@pytest.mark.parametrize("proxy", PROXIES)
def test_programs_find_their_way_below_the_prefix(below: House, proxy: str) -> None:
    with below.client(proxy, headers=token(below) | {"Tus-Resumable": "1.0.0"}) as client:
        made = client.post("/api/uploads", headers={"Upload-Length": "10", "Upload-Metadata": "filename YS53YXY="})
        assert made.status_code == 201, made.text
        assert made.headers["Location"].startswith("/stile/api/uploads/")
        assert client.head(made.headers["Location"].removeprefix("/stile")).status_code == 200
        assert client.get("/v1/nothing").json()["error"]["type"] == "invalid_request_error"
        assert client.get("/api/nothing").json()["error"]["code"] == "not_found"
        assert client.get("/api/openapi.json").json()["paths"]["/stile/api/recordings"]
        large = client.post("/api/recordings", content=b"x" * 3 * 2**20, headers={"Authorization": "Bearer wrong"})
        assert large.status_code == 401


@pytest.mark.parametrize("proxy", PROXIES)
async def test_live_captions_work_below_the_prefix(below: House, proxy: str) -> None:
    await speak(below, proxy)
