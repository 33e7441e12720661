"""The protocol `stile.live.1` over real sockets."""

import asyncio
import json
import struct
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from accounts.models import ApiToken
from recordings.live import audience, captioning
from recordings.live.consumers import speaker as speaker_socket
from recordings.live.journal import Journal
from recordings.live.messages import tell_count, tell_viewers
from recordings.live.session import Session
from recordings.live.sessions import live, prepare
from recordings.models import Caption, LiveSession, Recording, Transcription
from recordings.routing import websocket_urlpatterns
from tests.support.jobs import whisper_at
from tests.support.live_client import Client, client, frames, in_its_process, speaking, ticket, watching
from tests.support.live_speaker import Told
from tests.support.oracle import Oracle, Samples, samples, speech
from tests.support.site import Site
from tests.support.waiting import PATIENCE, until
from tests.support.whisper_stub import WhisperStub
from transcription import captions
from transcription.captions import Pace

pytestmark = pytest.mark.usefixtures("own_sessions")


@pytest.fixture(scope="module")
def sound() -> Samples:
    """Two sentences, ten seconds."""
    return speech(2)


@pytest.fixture
def whisper(sound: Samples) -> Iterator[WhisperStub]:
    with WhisperStub(hear=Oracle(sound)) as stub, whisper_at(stub):
        yield stub


@pytest.fixture
def api(site: Site) -> httpx.Client:
    return site.program()


@pytest.fixture
def jonas(site: Site) -> httpx.Client:
    return site.program("jonas")


@pytest_asyncio.fixture
async def speaker(api: httpx.Client, whisper: WhisperStub) -> AsyncIterator[Client]:
    """An open speaker's socket of mei, before its first message."""
    async with speaking(api) as socket:
        yield socket


async def stopped(speaker: Client, seconds: float = PATIENCE) -> Recording | None:
    """Send `stop` and return the recording that the server tells before it closes the socket."""
    await speaker.send("stop")
    done = await speaker.told_of("done", seconds=seconds)
    assert await speaker.closed() == 1000
    return await Recording.objects.aget(pk=done["recording"]) if done["recording"] else None


def heard(recording: Recording) -> Samples:
    return samples(Path(default_storage.path(str(recording.original))))


# --- Speaking ----------------------------------------------------------------------------------


async def test_a_session_from_start_to_its_recording(speaker: Client, sound: Samples, site: Site) -> None:
    ready = await speaker.start(language="en", title="Stand-up", prompt="Stile")
    assert speaker.socket.subprotocol == "stile.live.1"
    assert ready == {
        "type": "ready",
        "session": ready["session"],
        "next_seq": 0,
        "sample_rate": 16000,
        "max_frame_bytes": 16004,
    }
    await speaker.say(sound, pace=3)
    recording = await stopped(speaker)
    assert recording
    assert await LiveSession.objects.aget(pk=ready["session"], recording=recording, ended_at__isnull=False)
    assert (heard(recording) == sound).all()
    assert (recording.source, recording.title, recording.media_type) == ("live", "Stand-up", "audio/wav")
    assert recording.duration == len(sound) / 16000
    assert recording.bytes == 44 + sound.nbytes
    transcription = await Transcription.objects.aget(recording=recording)
    assert (transcription.status, transcription.lane) == ("done", "live")
    segments = [segment async for segment in transcription.segments.order_by("index")]
    assert [segment.text for segment in segments] == speaker.finals()
    assert [word["word"].strip() for segment in segments for word in segment.words][:3] == ["w0", "w1", "w2"]
    assert list((site.folder / "live").iterdir()) == []


async def test_every_word_is_captioned_once_and_in_order(speaker: Client, sound: Samples) -> None:
    await speaker.start()
    await speaker.say(sound, pace=3)
    await stopped(speaker)
    assert " ".join(speaker.finals()) == Oracle(sound).text
    captions = list(speaker.captions().values())
    assert [caption["index"] for caption in captions] == list(range(len(captions)))
    assert all(before["end"] <= after["start"] for before, after in pairwise(captions))
    assert all(caption["stable"] == len(caption["text"]) for caption in captions)


async def test_sound_is_acknowledged_while_it_is_spoken(speaker: Client, sound: Samples) -> None:
    await speaker.start()
    for second in range(3):
        await speaker.say(sound[: (second + 1) * 16000], first=second * 10)
        await speaker.acknowledged(second * 10 + 9)


async def test_sound_that_came_before_is_ignored(speaker: Client, sound: Samples) -> None:
    await speaker.start()
    sent = list(frames(sound[:16000]))
    for frame in [*sent[:5], *sent[2:5], sent[0], *sent[5:]]:
        await speaker.socket.send(frame)
    await speaker.acknowledged(9)
    recording = await stopped(speaker)
    assert recording
    assert (heard(recording) == sound[:16000]).all()
    assert speaker.errors == []


async def test_what_is_missing_is_sent_again_after_a_resume(api: httpx.Client, whisper: WhisperStub) -> None:
    sound = speech(1)
    sent = list(frames(sound))
    async with speaking(api) as first:
        session = (await first.start())["session"]
        for frame in [*sent[:5], *sent[6:]]:
            await first.socket.send(frame)
        assert await first.closed() == 4400
        assert first.errors == ["sequence_gap"]
    async with speaking(api) as second:
        ready = await second.start(session=session, resume=True)
        assert (ready["session"], ready["next_seq"] <= 5) == (session, True)
        await second.say(sound, first=ready["next_seq"])
        recording = await stopped(second)
    assert recording
    assert (heard(recording) == sound).all()


async def test_a_pause_makes_what_was_said_final(
    speaker: Client, sound: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captioning, "SILENT", 3600.0)  # seconds without sound, after which a caption is final, too
    await speaker.start()
    middle = 2 * 16000  # in the midst of a sentence
    await speaker.say(sound[:middle], pace=3)
    await speaker.send("pause")
    while (await speaker.told_of("caption"))["state"] != "final":
        pass
    assert speaker.finals()[0].startswith("w0 w1")
    await speaker.say(sound, first=middle // 1600)
    recording = await stopped(speaker)
    assert recording
    assert (heard(recording) == sound).all()
    assert " ".join(speaker.finals()).split()[-1] == Oracle(sound).words[-1][2]


@pytest.mark.slow
async def test_nothing_is_recognised_in_an_hour_of_silence_and_it_is_kept(
    speaker: Client, whisper: WhisperStub
) -> None:
    silence = np.zeros(3600 * 16000, "<i2")
    await speaker.start()
    await speaker.say(silence, size=8000)
    recording = await stopped(speaker, seconds=240)
    assert recording
    assert (heard(recording) == silence).all()
    assert whisper.received == []


async def test_a_session_without_sound_leaves_nothing(speaker: Client, site: Site) -> None:
    await speaker.start()
    assert await stopped(speaker) is None
    assert await Recording.objects.acount() == 0
    assert list((site.folder / "live").iterdir()) == []


async def test_a_session_that_has_ended_answers_with_its_recording(api: httpx.Client, speaker: Client) -> None:
    session = (await speaker.start())["session"]
    await speaker.say(speech(1)[:8000])
    recording = await stopped(speaker)
    assert recording
    async with speaking(api) as late:
        assert await late.start(session=session, resume=True) == {"type": "done", "recording": recording.pk}
        assert await late.closed() == 1000


async def test_a_speaker_that_comes_back_gets_the_captions_that_were_missed(
    api: httpx.Client, whisper: WhisperStub
) -> None:
    sound = speech(2)
    async with speaking(api) as first:
        session = (await first.start())["session"]
        await first.say(sound)
        await first.acknowledged(len(sound) // 1600)
    await until_captioned(session, Oracle(sound).words[-1][2])
    async with speaking(api) as second:
        await second.start(session=session, resume=True)
        await stopped(second)
    assert " ".join(second.finals()) == Oracle(sound).text


async def until_captioned(session: str, word: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await Caption.objects.filter(session=session, text__endswith=word).aexists():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


# --- What is refused ---------------------------------------------------------------------------


START = json.dumps({"type": "start", "session": None, "sample_rate": 16000})
FRAME = struct.pack("<I", 0) + bytes(3200)


@pytest.mark.parametrize(
    ("sent", "code", "close"),
    [
        (["not json"], "bad_message", 4400),
        (["[]"], "bad_message", 4400),
        (["[" * 100_000], "bad_message", 4400),
        (['{"type": "hello"}'], "not_started", 4400),
        ([START, '{"type": "hello"}'], "bad_message", 4400),
        ([START.replace("16000", "8000")], "unsupported_sample_rate", 4400),
        ([START.replace("16000", "48000")], "unsupported_sample_rate", 4400),
        (['{"type": "start", "language": "xx"}'], "bad_message", 4400),
        (['{"type": "start", "title": 7}'], "bad_message", 4400),
        ([START, START], "already_started", 4400),
        ([FRAME], "not_started", 4400),
        (['{"type": "pause"}'], "not_started", 4400),
        (['{"type": "stop"}'], "not_started", 4400),
        ([START, b""], "bad_frame", 4400),
        ([START, b"\0\0\0\0"], "bad_frame", 4400),
        ([START, FRAME + b"\0"], "bad_frame", 4400),
        ([START, b"\0\0"], "bad_frame", 4400),
        ([START, b"\1\0\0\0" + bytes(3200)], "sequence_gap", 4400),
        ([START, FRAME[:4] + bytes(16002)], "frame_too_large", 4413),
        ([START, FRAME[:4] + bytes(200_000)], "frame_too_large", 4413),
        (['{"type": "start", "session": "nosuchsession"}'], "not_found", 4404),
    ],
)
async def test_what_breaks_the_protocol_is_told_and_closes_the_socket(
    speaker: Client, sent: list[str | bytes], code: str, close: int
) -> None:
    for message in sent:
        await speaker.socket.send(message)
    assert await speaker.closed() == close
    assert speaker.errors == [code]


async def test_sound_after_the_stop_is_refused_and_the_recording_comes_all_the_same(speaker: Client) -> None:
    sound = speech(1)
    await speaker.start()
    await speaker.say(sound)
    await speaker.send("stop")
    await speaker.socket.send(struct.pack("<I", len(sound) // 1600 + 1) + bytes(3200))
    done = await speaker.told_of("done")
    assert speaker.errors == ["stopped"]
    assert (heard(await Recording.objects.aget(pk=done["recording"])) == sound).all()


async def test_another_subprotocol_is_refused(api: httpx.Client) -> None:
    address = f"{str(api.base_url).replace('http', 'ws', 1)}/ws/live?ticket={ticket(api)}"
    with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012
        async with connect(address) as plain:  # no subprotocol asked for: the server takes stile.live.1
            await plain.send(START)
            assert json.loads(await plain.recv())["type"] == "ready"
        address = address.partition("=")[0] + "=" + ticket(api)
        async with connect(address, subprotocols=[Subprotocol("stile.live.2")]) as newer:
            assert json.loads(await newer.recv())["code"] == "unsupported_protocol"
            await newer.recv()
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 4400


async def test_a_client_that_is_not_signed_in_is_told_so(site: Site) -> None:
    async with client(site.url, ticket="wrong") as nobody:
        assert await nobody.closed() == 4401
        assert nobody.errors == ["not_signed_in"]


async def test_a_token_needs_the_scope(api: httpx.Client) -> None:
    await ApiToken.objects.aupdate(scopes=[ApiToken.Scope.READ])
    async with speaking(api) as reader:
        assert await reader.closed() == 4403
        assert reader.errors == ["not_allowed"]


async def test_a_token_that_is_revoked_ends_the_socket_and_not_the_session(api: httpx.Client, speaker: Client) -> None:
    session = (await speaker.start())["session"]
    await speaker.say(speech(1)[:16000])
    await speaker.acknowledged(9)
    token = await ApiToken.objects.aget()
    token.revoked_at = token.created_at
    await token.asave()
    assert await speaker.closed() == 4401
    assert (await LiveSession.objects.aget(pk=session)).ended_at is None


async def test_somebody_elses_session_is_not_there(jonas: httpx.Client, speaker: Client) -> None:
    session = (await speaker.start())["session"]
    async with speaking(jonas) as stranger:
        assert (await stranger.start(session=session, resume=True))["code"] == "not_found"
        assert await stranger.closed() == 4404


async def test_the_newest_window_wins_and_the_older_one_is_told(api: httpx.Client, whisper: WhisperStub) -> None:
    sound = speech(1)
    async with speaking(api) as older, speaking(api) as newer:
        session = (await older.start())["session"]
        await older.say(sound[:16000])
        await older.acknowledged(9)
        assert (await newer.start(session=session, resume=True))["next_seq"] == 10
        assert await older.closed() == 4409
        assert older.errors == ["open_elsewhere"]
        await newer.say(sound, first=10)
        recording = await stopped(newer)
    assert recording
    assert (heard(recording) == sound).all()


async def test_a_window_that_takes_over_is_told_where_the_sound_stands_at_that_moment(
    api: httpx.Client, whisper: WhisperStub
) -> None:
    sound = speech(1)
    async with speaking(api) as older, speaking(api) as newer:
        session = (await older.start())["session"]
        await older.say(sound[: 5 * 1600])
        running = live.get(session)
        assert running
        await until(lambda: running.sound.next_seq == 5)  # taken, but not acknowledged yet
        assert (await newer.start(session=session, resume=True))["next_seq"] == 5
        await newer.say(sound, first=5)
        recording = await stopped(newer)
    assert recording
    assert (heard(recording) == sound).all()


async def test_one_person_has_a_few_sessions_at_most(
    jonas: httpx.Client, api: httpx.Client, whisper: WhisperStub, settings: LazySettings
) -> None:
    settings.USER_MAX_LIVE = 1
    async with speaking(api) as first, speaking(api) as second, speaking(jonas) as other:
        await first.start()
        assert (await second.start())["code"] == "too_many_sessions"
        assert await second.closed() == 4429
        assert (await other.start())["type"] == "ready"
        await stopped(first)
        async with speaking(api) as third:
            assert (await third.start())["type"] == "ready"


async def test_a_session_whose_link_was_made_beforehand_begins_when_its_owner_speaks(
    jonas: httpx.Client, api: httpx.Client, whisper: WhisperStub, settings: LazySettings
) -> None:
    settings.USER_MAX_LIVE = 1
    owner = await User.objects.aget(username="mei")
    row = await sync_to_async(prepare)(owner.pk)
    assert await sync_to_async(prepare)(owner.pk) == row
    created = row.created_at
    async with watching(api, row.pk) as viewer, speaking(api) as speaker, speaking(jonas) as other:
        assert (await other.start(session=row.pk, resume=True))["code"] == "not_found"
        ready = await speaker.start(session=row.pk, resume=True, title="Stand-up", language="en", prompt="Stile")
        assert ready["session"] == row.pk
        await row.arefresh_from_db()
        assert (row.title, row.language, row.prompt, row.prepared) == ("Stand-up", "en", "Stile", False)
        assert row.created_at > created  # the recording is named after the time when it began
        async with speaking(api) as again:  # it runs, and is not begun once more
            await again.start(session=row.pk, resume=True, title="Another")
            await row.arefresh_from_db()
            assert row.title == "Stand-up"
            await stopped(again)
        assert await viewer.closed() == 1000
    assert await sync_to_async(prepare)(owner.pk) != row


async def test_a_session_that_is_only_prepared_takes_no_place(
    api: httpx.Client, speaker: Client, settings: LazySettings
) -> None:
    settings.USER_MAX_LIVE = 1
    await sync_to_async(prepare)((await User.objects.aget(username="mei")).pk)
    assert (await speaker.start())["type"] == "ready"


async def test_a_session_that_gets_too_long_ends_with_what_there_is(
    api: httpx.Client, speaker: Client, settings: LazySettings
) -> None:
    settings.MAX_AUDIO_HOURS = 2 / 3600
    sound = speech(1)[: 3 * 16000]
    session = (await speaker.start())["session"]
    await speaker.say(sound)
    assert await speaker.closed() == 4413
    assert speaker.errors == ["too_long"]
    async with speaking(api) as late:
        await late.start(session=session, resume=True)
        await late.closed()
        recording = await Recording.objects.aget(pk=late.told[-1]["recording"])
    assert (heard(recording) == sound[: 2 * 16000]).all()


async def test_a_folder_that_cannot_be_written_is_told_and_waited_for(
    site: Site, speaker: Client, sound: Samples, whisper: WhisperStub
) -> None:
    """A file in the place of the folder stands for a disk that is not mounted."""
    in_its_place = site.folder / "live"
    in_its_place.touch()
    assert (await speaker.start())["code"] == "storage_failed"
    in_its_place.unlink()
    assert (await speaker.told_of("ready"))["next_seq"] == 0
    await speaker.say(sound)
    recording = await stopped(speaker)
    assert recording
    assert (heard(recording) == sound).all()
    assert speaker.errors == ["storage_failed"]


async def test_errors_are_told_in_the_readers_language(api: httpx.Client) -> None:
    address = f"{str(api.base_url).replace('http', 'ws', 1)}/ws/live?ticket={ticket(api)}"
    async with connect(address, additional_headers={"Accept-Language": "zh-CN,zh;q=0.9"}) as chinese:
        await chinese.send("not json")
        assert json.loads(await chinese.recv())["message"] == "无法理解这条消息。"


# --- Watching ----------------------------------------------------------------------------------


async def said_before(session: str, count: int) -> None:
    await Caption.objects.abulk_create(
        Caption(session_id=session, index=index, start=index, end=index + 0.5, text=f"line {index}")
        for index in range(count)
    )


@pytest.fixture
def mei(api: httpx.Client) -> User:
    return User.objects.get(username="mei")


async def test_a_viewer_sees_what_the_speaker_sees(api: httpx.Client, speaker: Client, sound: Samples) -> None:
    session = (await speaker.start())["session"]
    async with watching(api, session) as viewer:
        await speaker.say(sound, pace=3)
        recording = await stopped(speaker)
        assert await viewer.closed() == 1000
        assert recording
        assert viewer.told[-1] == {"type": "done", "recording": recording.pk}
        assert viewer.captions() == speaker.captions()
    async with watching(api, session) as late:
        assert await late.closed() == 1000
        assert late.finals() == speaker.finals()
        assert late.told[-1] == {"type": "done", "recording": recording.pk}


async def test_a_speaker_is_told_how_many_watch(
    api: httpx.Client, speaker: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = (await speaker.start())["session"]
    assert (await speaker.told_of("viewers"))["count"] == 0
    async with watching(api, session) as one:
        async with watching(api, session):
            await speaker.counted(2)
        await speaker.counted(1)
        async with speaking(api) as newer:
            await newer.start(session=session, resume=True)
            await newer.counted(1)
            one.socket.transport.abort()
            await newer.counted(0)
            monkeypatch.setattr(audience, "SILENT", 1.5)
            await in_its_process(tell_count(session, "another process, which dies", 3))
            await newer.counted(3)
            await newer.counted(0)
    assert audience.viewers._telling.keys() | audience.viewers._there.keys() == set()


async def test_a_late_viewer_gets_the_last_fifty_lines_and_one_that_comes_back_the_new_ones(
    api: httpx.Client, mei: User
) -> None:
    session = await LiveSession.objects.acreate(owner=mei)
    await said_before(session.pk, 60)
    for after, first in ((None, 10), (57, 58), (-1, 0), (59, 60), (100, 60)):
        async with watching(api, session.pk, after) as viewer:
            with pytest.raises(TimeoutError):
                await viewer.told_of("nothing", seconds=0.5)
            assert viewer.finals() == [f"line {index}" for index in range(first, 60)]


async def test_what_was_lost_on_the_way_is_read_again_and_nothing_comes_twice(mei: User) -> None:
    """The captions are in the database, but some of their messages are lost, as at a viewer whose queue is full."""
    session = await LiveSession.objects.acreate(owner=mei)
    socket = WebsocketCommunicator(URLRouter(websocket_urlpatterns), f"/ws/live/{session.pk}")
    socket.scope["user"] = mei
    assert await socket.connect() == (True, None)
    await said_before(session.pk, 5)
    for index in (0, 3, 3, 1, 4):
        told = {"type": "caption", "index": index, "state": "final", "text": f"line {index}"}
        await tell_viewers(session.pk, told)
    assert [(await socket.receive_json_from())["text"] for _ in range(5)] == [f"line {index}" for index in range(5)]
    assert await socket.receive_nothing()
    await socket.disconnect()


async def test_only_the_owner_watches_unless_it_is_public(
    site: Site, api: httpx.Client, jonas: httpx.Client, mei: User
) -> None:
    session = await LiveSession.objects.acreate(owner=mei)
    await said_before(session.pk, 1)
    for secret in (ticket(jonas), "wrong"):
        async with client(site.url, f"/ws/live/{session.pk}", ticket=secret) as stranger:
            assert await stranger.closed() == 4404
            assert stranger.errors == ["not_found"]
            assert stranger.finals() == []
    async with client(site.url, "/ws/live/nosuchsession", ticket=ticket(api)) as lost:
        assert await lost.closed() == 4404
    session.public = True
    await session.asave()
    async with client(site.url, f"/ws/live/{session.pk}", ticket="wrong") as anyone:
        assert (await anyone.told_of("caption"))["text"] == "line 0"


async def test_strangers_do_not_learn_which_recording_it_became(site: Site, api: httpx.Client, speaker: Client) -> None:
    session = (await speaker.start())["session"]
    await LiveSession.objects.filter(pk=session).aupdate(public=True)
    async with client(site.url, f"/ws/live/{session}", ticket="wrong") as stranger:
        await stranger.told_of("status")
        await speaker.say(speech(1)[:8000])
        assert await stopped(speaker)
        assert await stranger.closed() == 1000
        assert stranger.told[-1] == {"type": "done", "recording": None}


async def test_fifty_viewers_get_every_final_and_cost_whisper_nothing(
    site: Site, speaker: Client, sound: Samples, whisper: WhisperStub
) -> None:
    session = (await speaker.start())["session"]
    await LiveSession.objects.filter(pk=session).aupdate(public=True)
    async with asyncio.TaskGroup() as group:
        ready = [asyncio.Event() for _ in range(50)]

        async def watch(joined: asyncio.Event) -> list[str]:
            async with client(site.url, f"/ws/live/{session}") as viewer:
                await viewer.told_of("status")
                joined.set()
                await viewer.closed()
                return viewer.finals()

        viewers = [group.create_task(watch(joined)) for joined in ready]
        for joined in ready:
            await joined.wait()
        await speaker.say(sound, pace=3)
        await stopped(speaker)
    assert all(viewer.result() == speaker.finals() for viewer in viewers)
    assert len(whisper.received) < 20


# --- Coming back -------------------------------------------------------------------------------


async def test_ready_comes_first_however_often_one_comes_back_while_sound_is_kept(
    api: httpx.Client, whisper: WhisperStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is slow, captions are made, and viewers are counted all the time."""
    monkeypatch.setattr(speaker_socket, "OFTEN", 0.01)
    sync = Journal.sync

    def slowly(journal: Journal) -> int:
        time.sleep(0.1)
        return sync(journal)

    monkeypatch.setattr(Journal, "sync", slowly)
    sound, first = speech(2), list[str]()
    async with speaking(api) as speaker:
        session = (await speaker.start())["session"]
        first.append(speaker.told[0]["type"])
        await speaker.say(sound[: 5 * 1600])
    for come_back in range(1, 9):
        async with speaking(api) as speaker:
            ready = await speaker.start(session=session, resume=True)
            first.append(speaker.told[0]["type"])
            await speaker.say(sound[: 5 * (come_back + 1) * 1600], first=ready["next_seq"])
    assert first == ["ready"] * 9


@pytest.mark.django_db(transaction=True)
async def test_no_kind_of_message_comes_before_ready(tmp_path: Path, settings: LazySettings) -> None:
    settings.LIVE_ROOT = tmp_path
    owner = await User.objects.acreate(username="mei")
    session = Session(await LiveSession.objects.acreate(owner=owner), Pace(lambda: 1))
    told = Told()
    coming = asyncio.create_task(session.attach(told))
    await asyncio.sleep(0)
    final = captions.CaptionState(0, 0.0, 1.0, "One.", final=True, stable=4, language="en", words=())
    session._tell_acknowledged(1)
    await session.captioning._tell(replace(final, final=False))
    await session.captioning._tell(final)
    await session.broadcast(session.captioning.status())
    assert told.kinds == []
    await session._open()
    session._disk.trouble = "disk_full"  # the trouble still goes on when the speaker comes back
    await coming
    assert told.kinds == ["ready", "status", "disk_full"]
    session._tell_acknowledged(1)
    await session.broadcast(session.captioning.status())
    assert told.kinds[3:] == ["ack", "status"]
    session.journal.close()
