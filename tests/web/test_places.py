"""Connections are bounded: in all, for each address, and by the system's open files. Silent ones keep nobody out."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from bench.upload import noise
from tests.support.bounded_server import Running, answer, running, talk
from tests.support.product import Product, upload
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import PATIENCE, wait_for
from web.connections import Bounds, Deadline, Places

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POLL = b"GET /poll HTTP/1.1\r\nHost: x\r\n\r\n"


class Guest:
    left = False

    def make_way(self) -> None:
        self.left = True


def entered(places: Places, address: str | None, *, resting: bool) -> Guest:
    guest = Guest()
    assert places.enter(guest, address)
    places.rest(guest, resting)
    return guest


def test_the_connection_that_rested_longest_makes_way() -> None:
    places = Places(Bounds(connections=3, per_address=0))
    busy, first, second = (entered(places, "1.1.1.1", resting=resting) for resting in (False, True, True))
    places.rest(first, True)  # it rests already, so its place in the order stays
    entered(places, "2.2.2.2", resting=False)
    assert (busy.left, first.left, second.left) == (False, True, False)
    places.rest(second, False)
    assert not places.enter(Guest(), "3.3.3.3")
    places.leave(busy)
    assert places.enter(Guest(), "3.3.3.3")
    assert len(places) == 3


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),  # one customer has a network of 64 bits
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("127.0.0.1", "127.0.0.1", False),  # a proxy may be there
        ("::1", "::1", False),
        ("::ffff:127.0.0.1", "127.0.0.1", False),
        (None, None, False),
        ("", "", False),
    ],
)
def test_one_address_has_a_limit_of_its_own(one: str | None, other: str | None, together: bool) -> None:
    places = Places(Bounds(connections=10, per_address=1))
    entered(places, one, resting=False)
    assert places.enter(Guest(), other) is not together
    unlimited = Places(Bounds(connections=10, per_address=0))
    entered(unlimited, one, resting=False)
    assert unlimited.enter(Guest(), other)


@pytest.mark.parametrize(
    ("address", "limited"),
    [
        ("10.1.2.3", False),
        ("::ffff:10.1.2.3", False),
        ("10.2.0.1", True),
        ("2001:db8::7", False),
        ("2001:db8::8", True),
    ],
)
def test_a_proxy_speaks_for_everybody(address: str, limited: bool) -> None:
    proxies = ("10.1.0.0/16", "2001:db8::7", "/run/nginx.sock")
    places = Places(Bounds(connections=10, per_address=1, proxies=proxies))
    entered(places, address, resting=False)
    assert places.enter(Guest(), address) is not limited


def test_at_its_limit_an_address_loses_only_its_own_resting_connections() -> None:
    places = Places(Bounds(connections=10, per_address=2))
    other = entered(places, "2.2.2.2", resting=True)
    own = [entered(places, "1.1.1.1", resting=True) for _ in range(2)]
    entered(places, "1.1.1.1", resting=False)
    assert (other.left, own[0].left, own[1].left) == (False, True, False)


def test_a_connection_that_has_left_is_counted_no_more() -> None:
    places = Places(Bounds(connections=10, per_address=1))
    guest = entered(places, "1.1.1.1", resting=True)
    places.leave(guest)
    places.leave(guest)
    places.rest(guest, True)
    assert len(places) == 0
    entered(places, "1.1.1.1", resting=True)
    assert not guest.left


@in_virtual_time
async def test_progress_moves_a_deadline_and_silence_does_not() -> None:
    clock = asyncio.get_running_loop().time
    late: list[float] = []
    done = 0
    deadline = Deadline(lambda: late.append(clock()))
    deadline.start(60.0, lambda: done, rate=500.0)
    for _ in range(600):
        await asyncio.sleep(1.0)
        done += 600
    assert not late
    await asyncio.sleep(130.0)
    assert 660 <= late.pop() < 721
    done, began = 0, clock()
    deadline.start(60.0, lambda: done, rate=500.0)
    for _ in range(300):  # half of the least rate: twice the time
        await asyncio.sleep(1.0)
        done += 250
    assert 115 <= late.pop() - began <= 125
    deadline.start(15.0)
    deadline.stop()
    await asyncio.sleep(20.0)
    assert not late


# --- On a server ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full() -> Iterator[Running]:
    with running(Bounds(connections=20), timeout_keep_alive=60) as site:
        yield site


def test_silent_connections_make_way_for_one_that_asks(full: Running) -> None:
    silent = [full.connect() for _ in range(60)]
    used = [full.connect(GET) for _ in range(30)]
    assert b"GET 0" in answer(used[-1])
    assert len(full) <= 22
    with full.connect(GET) as connection:
        assert b"GET 0" in answer(connection)
    for connection in silent + used:
        connection.close()
    full.empty()


def test_connections_that_work_do_not_make_way_and_more_are_refused_at_once(full: Running) -> None:
    working = [full.connect(POLL) for _ in range(20)]
    wait_for(lambda: len(full.server.server_state.tasks) == 20, "all requests")
    for _ in range(30):
        with full.connect() as connection:
            assert talk(connection, GET).startswith(b"HTTP/1.1 503 ")
    assert all(b"GET 0" in answer(connection) for connection in working)
    for connection in working:
        connection.close()
    full.empty()


class Cramped(Product):
    """A product to which the system allows only 320 open files."""

    command = ("sh", "-c", 'ulimit -n 320 && exec "$@"', "sh", *Product.command)


@pytest.fixture(scope="module")
def cramped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("cramped") / "data"
    with Cramped(folder, ASR_API_URL="http://127.0.0.1:9/v1", CLIENT_TIMEOUT="2") as product:
        yield product


def files(product: Product, ending: str = "") -> int:
    """The number of the product's open files whose names end in `ending`."""
    names = []
    for path in Path(f"/proc/{product.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            names.append(os.readlink(path))
    return sum(name.endswith(ending) for name in names)


@pytest.mark.slow
def test_with_few_open_files_a_crowd_of_idle_sockets_keeps_nobody_out(cramped: Product) -> None:
    assert "only 40 are taken at once" in cramped.log.read_text()
    size = cramped.log.stat().st_size
    crowd = [socket.create_connection(("127.0.0.1", cramped.port)) for _ in range(600)]
    for _ in range(5):
        assert httpx.get(f"{cramped.url}/healthz", timeout=PATIENCE).status_code == 200
    assert files(cramped) < 200
    assert cramped.log.stat().st_size - size < 20_000
    for connection in crowd:
        connection.close()


@pytest.mark.slow
def test_readers_of_sound_that_do_not_read_leave_no_file_open(cramped: Product, tmp_path: Path) -> None:
    """The sound is larger than the kernel's buffers for a client, some 6 MiB."""
    with cramped.client() as api:
        recording = upload(api, noise(tmp_path / "noise.wav", 16))["id"]
        head = f"GET /api/recordings/{recording}/audio HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Authorization: {api.headers['Authorization']}\r\n\r\n"
    readers = [socket.create_connection(("127.0.0.1", cramped.port)) for _ in range(20)]
    for reader in readers:
        reader.sendall(head.encode())
    wait_for(lambda: files(cramped, ".wav") >= 20, "the sound, open for each")
    wait_for(lambda: files(cramped, ".wav") == 0, "the end of all readers")
    assert httpx.get(f"{cramped.url}/healthz", timeout=PATIENCE).status_code == 200
    for reader in readers:
        reader.close()
