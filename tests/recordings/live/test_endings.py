"""The ends of live sessions: their recording, its second pass, and deletions."""

import asyncio
import hashlib
import os
import struct
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.management import call_command

from recordings.library.organising import adelete_recording
from recordings.live import second_pass
from recordings.live.finishing import make_recording, seal
from recordings.live.journal import Journal
from recordings.live.sessions import Sessions, live
from recordings.models import Caption, LiveSession, Recording, Segment, Transcription
from recordings.work.jobs import aqueue_transcription
from tests.support.jobs import jobs_running, someone, whisper_at
from tests.support.live_client import speaking
from tests.support.oracle import Oracle, speech
from tests.support.site import Site
from tests.support.waiting import PATIENCE, until
from tests.support.whisper_stub import WhisperStub, said
from transcription.captions import Captioner

pytestmark = pytest.mark.django_db(transaction=True)

SOUND = speech(1)


@pytest.fixture
def folder(settings: LazySettings, tmp_path: Path) -> Path:
    settings.LIVE_ROOT = tmp_path / "live"
    return tmp_path / "live"


def journal(folder: Path, session: LiveSession) -> Journal:
    """A journal with SOUND, all of it acknowledged."""
    kept = Journal(folder, session.pk)
    kept.open()
    kept.write(SOUND.tobytes(), 9)
    kept.sync()
    return kept


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def recorded(folder: Path, text: str = "as it was heard live") -> Recording:
    """The recording of a session with one caption."""
    session = await LiveSession.objects.acreate(owner=await someone(), ended_at=None)
    await Caption.objects.acreate(session=session, index=0, start=0.5, end=2.0, text=text)
    await sync_to_async(make_recording)(session.pk, seal(journal(folder, session)), all_captioned=True)
    await LiveSession.objects.filter(pk=session.pk).aupdate(ended_at=session.created_at)
    return await Recording.objects.aget()


# --- The journal -------------------------------------------------------------------------------


def test_what_lies_behind_the_last_acknowledgement_is_cut_off(tmp_path: Path) -> None:
    before = Journal(tmp_path, "s")
    before.open()
    before.write(b"aabb", 1)
    before.sync()
    before.write(b"ccdd", 2)
    before.close()
    after = Journal(tmp_path, "s")
    after.open()
    assert (after.last, after.acked, after.size) == (1, 1, 4)
    after.write(b"eeff", 2)
    assert after.sync() == 2
    after.seal()
    assert after.path.read_bytes()[44:] == b"aabbeeff"


@pytest.mark.parametrize(("lost", "last"), [(0, 3), (1, 2), (2, 2), (4, 1), (8, -1)])
def test_an_acknowledgement_that_the_sound_does_not_reach_does_not_count(tmp_path: Path, lost: int, last: int) -> None:
    before = Journal(tmp_path, "s")
    before.open()
    for number in range(1, 4):
        before.write(b"aa", number)
        before.sync()
    os.truncate(before.path, 44 + 6 - lost if lost < 8 else 0)
    with (tmp_path / "s.acks").open("ab") as acks:
        acks.write(struct.pack("<I", 4))  # half an entry
    after = Journal(tmp_path, "s")
    after.open()
    assert (after.last, after.size) == (last, max(0, last) * 2)


# --- Its recording -----------------------------------------------------------------------------


async def test_a_recording_is_made_once_however_often_it_is_tried(folder: Path) -> None:
    first = await recorded(folder)
    session = await LiveSession.objects.aget(recording=first)
    again = await sync_to_async(make_recording)(session.pk, seal(journal(folder, session)), all_captioned=True)
    assert again == first.pk
    assert await Recording.objects.acount() == 1


async def test_a_caption_without_text_becomes_no_segment(folder: Path) -> None:
    made = await recorded(folder, text="")
    assert not await Segment.objects.aexists()
    assert (await Transcription.objects.aget(recording=made)).status == "done"


async def test_captions_do_not_reach_beyond_the_sound(folder: Path) -> None:
    """After a power failure the caption is in the database, but the end of the sound is lost."""
    session = await LiveSession.objects.acreate(owner=await someone())
    await Caption.objects.acreate(session=session, index=0, start=1.0, end=500.0, text="said")
    pk = await sync_to_async(make_recording)(session.pk, seal(journal(folder, session)), all_captioned=True)
    segment = await Segment.objects.aget(transcription__recording=pk)
    assert (segment.start, segment.end) == (1.0, len(SOUND) / 16000)


# --- The second pass ---------------------------------------------------------------------------


@asynccontextmanager
async def second_passes(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WhisperStub]:
    monkeypatch.setattr(second_pass, "LOOK_AGAIN", 0.05)
    with WhisperStub(replies=said("better")) as stub, whisper_at(stub):
        async with jobs_running():
            passing = asyncio.create_task(second_pass.make_second_passes())
            try:
                yield stub
            finally:
                passing.cancel()


async def second(recording: Recording) -> Transcription:
    """Wait for the end of the recording's second pass, and return it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            made = await recording.transcriptions.order_by("-pk").afirst()
            if made and made.lane != "live" and made.finished:
                return made
            await asyncio.sleep(0.02)


async def test_when_there_is_nothing_else_to_do_a_better_text_is_made_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await recorded(folder)
    async with second_passes(monkeypatch) as stub:
        better = await second(made)
        calls = len(stub.received)
        await asyncio.sleep(0.3)
        assert len(stub.received) == calls
    assert (better.status, better.lane, better.automatic) == ("done", "batch", True)
    await made.arefresh_from_db()
    assert made.shown_id is None  # None: the newest text is shown
    assert await made.transcriptions.acount() == 2


@pytest.mark.parametrize("work", [{"correction": "as it was meant", "version": 1}, {"version": 1}])  # a line was split
async def test_a_second_pass_does_not_hide_a_persons_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, work: dict[str, Any]
) -> None:
    made = await recorded(folder)
    captions = await made.transcriptions.aget()
    await captions.segments.aupdate(**work)
    async with second_passes(monkeypatch):
        better = await second(made)
    await made.arefresh_from_db()
    assert (better.status, made.shown_id) == ("done", captions.pk)


async def test_a_text_that_somebody_asked_for_is_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await recorded(folder)
    await Segment.objects.aupdate(correction="as it was meant")
    automatic = await aqueue_transcription(made, automatic=True)
    assert await aqueue_transcription(made) == automatic  # the same job, which is not automatic any more
    async with second_passes(monkeypatch):
        await second(made)
    await made.arefresh_from_db()
    assert made.shown_id is None


async def test_while_somebody_speaks_or_jobs_are_in_line_no_second_pass_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await recorded(folder)
    monkeypatch.setattr(live, "_running", {"somebody": object()})
    async with second_passes(monkeypatch):
        await asyncio.sleep(0.3)
        assert await made.transcriptions.acount() == 1


# --- When captions fail ------------------------------------------------------------------------


async def test_where_captions_fail_the_sound_is_kept_and_a_job_transcribes_it(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr(Captioner, "push", broken)
    api: httpx.Client = await sync_to_async(site.program)()
    async with speaking(api) as speaker:
        await speaker.start()
        await speaker.say(SOUND)
        await speaker.send("stop")
        done = await speaker.told_of("done")
        assert speaker.errors == []
    made = await Recording.objects.aget(pk=done["recording"])
    assert made.duration == len(SOUND) / 16000
    assert [run.status async for run in made.transcriptions.order_by("pk")] == ["done", "queued"]


# --- When somebody deletes things --------------------------------------------------------------


async def test_deleting_a_recording_takes_its_session_along(folder: Path) -> None:
    await adelete_recording(await recorded(folder))
    assert not await LiveSession.objects.aexists()
    assert not await Caption.objects.aexists()


async def test_deleting_a_person_ends_their_sessions_and_leaves_no_file(
    site: Site, settings: LazySettings, folder: Path
) -> None:
    settings.LIVE_PATIENCE = 0.2
    api: httpx.Client = await sync_to_async(site.program)()
    with WhisperStub(hear=Oracle(SOUND)) as stub, whisper_at(stub):
        async with speaking(api) as speaker:
            await speaker.start()
            await speaker.say(SOUND)
            await speaker.acknowledged(len(SOUND) // 1600 - 1)
            assert files(folder)
            await User.objects.all().adelete()
            assert await speaker.closed() in (4401, 4404)
        await until(lambda: not files(folder))


async def test_a_start_removes_the_files_of_sessions_that_are_gone_and_prune_says_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, going_on = [await LiveSession.objects.acreate(owner=await someone()) for _ in range(2)]
    for session in (gone, going_on):
        journal(folder, session).close()
    await LiveSession.objects.filter(pk=gone.pk).adelete()
    await sync_to_async(call_command)("prune")
    said = capsys.readouterr().out
    assert f"would remove file {gone.pk}.wav: a live session" in said
    assert going_on.pk not in said
    sessions = Sessions()
    await sessions.take_up_all()
    assert files(folder) == [f"{going_on.pk}.acks", f"{going_on.pk}.wav"]
    await sessions.suspend()


async def test_a_session_whose_sound_was_never_begun_goes_on_from_nothing(folder: Path) -> None:
    session = await LiveSession.objects.acreate(owner=await someone())
    await LiveSession.objects.acreate(owner=await someone(), prepared=True)  # it has not begun, and does not now
    sessions = Sessions()
    await sessions.take_up_all()
    assert [each.id for each in sessions] == [session.pk]
    running = sessions.get(session.pk)
    assert running
    await running.opened.wait()
    assert running.ready()["next_seq"] == 0
    await sessions.suspend()


def test_an_hour_of_sound_is_read_once_and_piece_by_piece(tmp_path: Path) -> None:
    kept = Journal(tmp_path, "s")
    kept.open()
    minute = np.tile(SOUND, 10)[: 60 * 16000].tobytes()
    for number in range(60):
        kept.write(minute, number)
    tracemalloc.start()
    sound = seal(kept)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sound
    assert (sound.seconds, sound.bytes) == (3600.0, 44 + 60 * len(minute))
    assert sound.sha256 == hashlib.sha256(kept.path.read_bytes()).hexdigest()
    assert 1000 <= len(sound.peaks) <= 2000
    assert peak < 16 * 1024**2
