"""A client that does not read is dropped, and no other client waits for it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from recordings.live.consumers import viewer
from recordings.live.consumers.outbox import MOST_UNTOLD
from recordings.live.messages import tell_viewers
from recordings.live.sessions import live
from tests.support.jobs import whisper_at
from tests.support.live_client import PROTOCOL, Client, client, in_its_process, speaking, ticket, watching
from tests.support.oracle import Oracle, speech
from tests.support.site import Site, address_of, serving
from tests.support.waiting import until
from tests.support.whisper_stub import WhisperStub

LONG = "long " * 20_000  # 100 KB: a few dozen fill all buffers on the way


pytestmark = pytest.mark.usefixtures("own_sessions")


@pytest.fixture
def whisper() -> Iterator[WhisperStub]:
    with WhisperStub(hear=Oracle(speech(1))) as stub, whisper_at(stub):
        yield stub


@pytest.fixture
def impatient(site: Site) -> Iterator[str]:
    """A server that pings its clients every half second, not every 20 s."""
    with serving(ws_ping_interval=0.5, ws_ping_timeout=5.0) as server:
        yield address_of(server)


@pytest.fixture
def api(site: Site) -> httpx.Client:
    return site.program()


@asynccontextmanager
async def deaf(url: str, path: str, secret: str) -> AsyncIterator[ClientConnection]:
    """A client that stops reading after a few messages, and then answers no pings."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setblocking(False)
    address = httpx.URL(url)
    await asyncio.get_running_loop().sock_connect(plain, (address.host, address.port))
    uri = f"{url.replace('http', 'ws', 1)}{path}?ticket={secret}"
    async with connect(
        uri, sock=plain, subprotocols=[PROTOCOL], max_queue=1, compression=None, close_timeout=0.1
    ) as socket_:
        yield socket_


async def flood(session: str, index: int, text: str) -> None:
    caption = {"type": "caption", "index": index, "start": 0, "end": 1, "text": text, "state": "tentative", "stable": 0}
    await in_its_process(tell_viewers(session, caption))


async def test_a_viewer_whose_connection_is_dead_is_counted_no_more(impatient: str, api: httpx.Client) -> None:
    async with client(impatient, ticket=ticket(api)) as speaker:
        session = (await speaker.start())["session"]
        async with deaf(impatient, f"/ws/live/{session}", ticket(api)):
            await speaker.counted(1)
            for index in range(5):  # after these it reads nothing, not even pings
                await flood(session, index, "short")
            await speaker.counted(0)


async def test_a_viewer_that_does_not_read_is_dropped(
    site: Site, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "UNREAD", 0.5)
    async with speaking(api) as speaker:
        session = (await speaker.start())["session"]
        async with deaf(site.url, f"/ws/live/{session}", ticket(api)):
            await speaker.counted(1)
            for index in range(150):
                await flood(session, index, LONG)
            await speaker.counted(0)


async def test_beside_a_viewer_that_does_not_read_the_others_read_on(
    site: Site, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "UNREAD", 3600.0)  # a viewer that waits for the deaf one waits for ever
    async with speaking(api) as speaker:
        session = (await speaker.start())["session"]
        async with deaf(site.url, f"/ws/live/{session}", ticket(api)), watching(api, session) as other:
            await speaker.counted(2)
            for index in range(150):
                await flood(session, index, LONG)
                assert (await other.told_of("caption"))["index"] == index
        await speaker.counted(0)


async def test_a_speaker_that_does_not_read_is_dropped_and_comes_back_to_all_of_it(
    site: Site, api: httpx.Client, whisper: WhisperStub
) -> None:
    sound = speech(1)
    async with deaf(site.url, "/ws/live", ticket(api)) as socket_:
        speaker = Client(socket_)
        session = (await speaker.start())["session"]
        await speaker.say(sound)
        running = live.get(session)
        assert running
        await until(lambda: running.journal.acked + 1 == running.sound.next_seq == len(sound) // 1600)
        for _ in range(MOST_UNTOLD + 100):
            await in_its_process(running.broadcast({"type": "status", "state": LONG, "behind_seconds": 0}))
        assert running.speaker.socket is None
        assert await speaker.closed() == 1013
        assert speaker.errors == ["slow_client"]
    async with speaking(api) as again:
        assert (await again.start(session=session, resume=True))["next_seq"] == len(sound) // 1600
        await again.send("stop")
        await again.told_of("done")
    assert " ".join(again.finals()) == Oracle(sound).text
