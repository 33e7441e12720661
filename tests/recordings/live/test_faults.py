"""Live sessions while network, process, Whisper or disk fail: no acknowledged sound is lost, and each word is captioned
once."""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.disks import fill
from tests.support.live_client import Message, Stubborn, finals, speaking
from tests.support.oracle import Oracle, Samples, samples, speech
from tests.support.product import Product, query, transcribed, upload
from tests.support.waiting import PATIENCE, wait_for
from tests.support.whisper_stub import WhisperStub
from transcription.audio import wav

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sound() -> Samples:
    return speech(3)


@pytest.fixture(scope="module")
def whisper(sound: Samples) -> Iterator[WhisperStub]:
    with WhisperStub(hear=Oracle(sound)) as stub:
        yield stub


# Short times for which an exchange of a killed process keeps its permit.
SOON_FORGOTTEN = {"ASR_REQUEST_TIMEOUT": "2", "ASR_ABANDONED_GRACE": "0.5"}


def product_at(folder: Path, whisper: WhisperStub, **options: str) -> Product:
    return Product(folder, ASR_API_URL=whisper.url, ASR_RETRY_DELAY="0.1", LIVE_SECOND_PASS="off", **options)


@pytest.fixture(scope="module")
def product(whisper: WhisperStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A running product, for tests that leave nothing behind."""
    with product_at(tmp_path_factory.mktemp("live"), whisper) as running:
        yield running


@pytest.fixture(scope="module")
def api(product: Product) -> Iterator[httpx.Client]:
    with product.client() as client:
        yield client


def check(product: Product, recording: int, sound: Samples) -> None:
    """Assert that the recording has every sample, and its captions every spoken word once."""
    ((name, live),) = query(
        product.data_dir,
        "SELECT r.original, s.id FROM recordings_recording r JOIN recordings_livesession s ON s.recording_id = r.id"
        " WHERE r.id = ?",
        recording,
    )
    assert (samples(product.data_dir / "media" / name) == sound).all()
    assert captioned(product, live) == Oracle(sound).text
    assert list((product.data_dir / "live").iterdir()) == []


def captioned(product: Product, session: str) -> str:
    rows = query(product.data_dir, 'SELECT text FROM recordings_caption WHERE session_id = ? ORDER BY "index"', session)
    return " ".join(text for (text,) in rows)


async def until(look: Callable[[], Any], what: str) -> None:
    """Call `wait_for` in a thread, so that the sockets of this loop go on."""
    await asyncio.to_thread(wait_for, look, what)


async def until_cut(speaker: Stubborn, sockets: int) -> None:
    """Wait until more than so many sockets have ended."""
    await until(lambda: len(speaker.close_codes) > sockets, "the end of the socket")


def acknowledged(speaker: Stubborn) -> int:
    return max((message["seq"] for message in speaker.told if message["type"] == "ack"), default=-1)


async def test_a_server_that_is_stopped_acknowledges_and_the_next_one_goes_on(
    product: Product, api: httpx.Client, sound: Samples
) -> None:
    speaker = Stubborn(api, sound, pace=3)
    done = asyncio.create_task(speaker.run())
    await until(lambda: acknowledged(speaker) > 20, "an acknowledgement")
    before = acknowledged(speaker)
    await until(lambda: speaker.sent > before + 10, "frames that wait for the next one")
    await asyncio.to_thread(product.stop)
    await until(lambda: speaker.close_codes, "the end of the socket")
    assert speaker.close_codes[0] == 1012
    assert (last := acknowledged(speaker)) > before
    await asyncio.to_thread(product.start)
    check(product, (await done)["recording"], sound)
    assert speaker.next_seq == last + 1
    assert " ".join(finals(speaker.told)) == Oracle(sound).text


async def test_twenty_cuts_and_five_kills_lose_no_sample_and_no_word(tmp_path: Path) -> None:
    sound = speech(12)
    chance = random.Random(7)  # noqa: S311 repeatable, not secret
    with WhisperStub(hear=Oracle(sound)) as whisper:
        product = product_at(tmp_path / "data", whisper, **SOON_FORGOTTEN)
        product.start()
        with product.client() as api:
            speaker = Stubborn(api, sound, pace=2)
            speaker.may_stop.clear()
            done = asyncio.create_task(speaker.run())
            for event in chance.sample(["cut"] * 20 + ["kill"] * 5, 25):
                await until(lambda: speaker.connected, "a connection")
                await asyncio.sleep(chance.uniform(0.3, 1.2))
                sockets = len(speaker.close_codes)
                if event == "cut":
                    speaker.cut()
                else:
                    await asyncio.to_thread(product.kill)
                    await asyncio.to_thread(product.start)
                await until_cut(speaker, sockets)
            # The last captions get a few seconds after the stop; on a busy machine all of them may still be missing.
            await until(lambda: captioned(product, str(speaker.session)) == Oracle(sound).text, "all captions")
            speaker.may_stop.set()
            recording = (await done)["recording"]
            check(product, recording, sound)
            assert " ".join(finals(speaker.told)) == Oracle(sound).text
            assert len(speaker.close_codes) > 25
        product.stop()
        assert len(query(product.data_dir, "SELECT id FROM recordings_recording")) == 1


def status(speaker: Stubborn) -> Message:
    return [message for message in speaker.told if message["type"] == "status"][-1]


async def test_while_whisper_is_away_sound_is_kept_and_captions_catch_up(
    product: Product, api: httpx.Client, sound: Samples, whisper: WhisperStub
) -> None:
    speaker = Stubborn(api, sound, pace=2)
    speaker.may_stop.clear()
    done = asyncio.create_task(speaker.run())
    await until(lambda: acknowledged(speaker) > 10, "an acknowledgement")
    whisper.stop()
    await until(lambda: status(speaker)["behind_seconds"] > 4, "being behind")
    assert status(speaker)["state"] == "waiting"
    whisper.start()
    await until(lambda: status(speaker)["state"] == "live", "captions that have caught up")
    speaker.may_stop.set()
    check(product, (await done)["recording"], sound)


async def test_a_stop_while_whisper_is_away_gives_the_recording_at_once_and_a_job_for_the_text(
    product: Product, api: httpx.Client, sound: Samples, whisper: WhisperStub
) -> None:
    speaker = Stubborn(api, sound, pace=4)
    done = asyncio.create_task(speaker.run())
    await until(lambda: speaker.session and captioned(product, speaker.session), "a caption")
    whisper.stop()
    pk = (await asyncio.wait_for(done, PATIENCE))["recording"]
    recording = (await asyncio.to_thread(api.get, f"/api/recordings/{pk}")).json()
    assert recording["status"] in ("queued", "transcribing")
    assert recording["text"].startswith("w0 w1 w2")
    whisper.start()
    assert (await asyncio.to_thread(transcribed, api, pk))["text"].endswith(Oracle(sound).words[-1][2])


def errors(speaker: Stubborn) -> list[str]:
    return [message["code"] for message in speaker.told if message["type"] == "error"]


async def test_a_full_disk_is_told_and_the_session_goes_on_by_itself(
    small_disk: Path,
    tmp_path: Path,
    sound: Samples,
    whisper: WhisperStub,
) -> None:
    product = product_at(small_disk, whisper)
    product.log = tmp_path / "server.log"  # outside of the full disk
    with product, product.client() as api:
        speaker = Stubborn(api, sound, pace=2)
        done = asyncio.create_task(speaker.run())
        await until(lambda: acknowledged(speaker) > 10, "an acknowledgement")
        await asyncio.to_thread(fill, small_disk / "ballast")
        await until(lambda: errors(speaker), "an error")
        before, sent = acknowledged(speaker), speaker.sent
        await until(lambda: speaker.sent > sent + 60, "three seconds more of sound")
        assert errors(speaker) == ["disk_full"]
        assert acknowledged(speaker) <= before + 10
        (small_disk / "ballast").unlink()
        check(product, (await done)["recording"], sound)


async def test_a_locked_database_holds_up_new_sessions_and_not_those_that_run(
    product: Product, api: httpx.Client
) -> None:
    silence = np.zeros(22 * 16000, "<i2")  # longer than the 20 s that a connection waits for a lock
    with closing(sqlite3.connect(product.data_dir / "stile.sqlite3")) as other:
        async with speaking(api) as speaker, speaking(api) as late:
            await speaker.start()
            other.execute("BEGIN IMMEDIATE")
            await late.send("start")
            speaking_on = asyncio.create_task(speaker.say(silence, pace=1))
            assert (await late.told_of("error"))["code"] == "database_unavailable"
            assert await late.closed() == 1013
            await speaker.acknowledged(len(silence) // 1600 - 1)
            await speaking_on
            other.rollback()
            await speaker.send("stop")
            assert (await speaker.told_of("done"))["recording"]
        async with speaking(api) as again:
            assert (await again.start())["type"] == "ready"
            await again.send("stop")
            assert await again.closed() == 1000


async def test_a_speaker_that_does_not_come_back_has_a_recording_all_the_same(
    tmp_path: Path, sound: Samples, whisper: WhisperStub
) -> None:
    with product_at(tmp_path / "data", whisper, LIVE_PATIENCE="2") as product, product.client() as api:
        async with speaking(api) as speaker:
            await speaker.start()
            await speaker.say(sound)
            await speaker.acknowledged(len(sound) // 1600)
        await until(lambda: query(product.data_dir, "SELECT id FROM recordings_recording"), "the recording")
        ((pk,),) = query(product.data_dir, "SELECT id FROM recordings_recording")
        await until(lambda: not list((product.data_dir / "live").iterdir()), "the end")
        check(product, pk, sound)


async def test_a_session_that_was_killed_while_it_became_a_recording_becomes_one_once(
    tmp_path: Path, sound: Samples, whisper: WhisperStub
) -> None:
    product = product_at(tmp_path / "data", whisper, **SOON_FORGOTTEN)
    product.start()
    with product.client() as api:
        for _ in range(3):
            speaker = Stubborn(api, sound, pace=100)
            speaking = asyncio.create_task(speaker.run())
            await until(
                lambda: query(product.data_dir, "SELECT 1 FROM recordings_livesession WHERE ended_at IS NOT NULL"),
                "the stop",
            )
            await asyncio.to_thread(product.kill)
            await asyncio.to_thread(product.start)
            check(product, (await speaking)["recording"], sound)
    product.stop()
    assert len(query(product.data_dir, "SELECT id FROM recordings_recording")) == 3


async def test_live_waits_for_one_exchange_at_most_while_batch_work_takes_all_there_is(
    tmp_path: Path, sound: Samples
) -> None:
    with WhisperStub(seconds=1.0, hear=Oracle(sound)) as whisper:
        product = product_at(tmp_path / "data", whisper, ASR_MAX_CONCURRENT="1")
        path = tmp_path / "batch.wav"
        path.write_bytes(b"".join(wav(sound)))
        with product, product.client() as api:
            for _ in range(10):
                await asyncio.to_thread(upload, api, path)
            async with speaking(api) as speaker:
                await speaker.start()
                await asyncio.gather(speaker.say(sound[: 8 * 16000], pace=1), speaker.told_of("caption"))
                await speaker.send("stop")
                await speaker.told_of("done")
            assert whisper.peak == 1
            left = query(product.data_dir, "SELECT count(*) FROM recordings_transcription WHERE status = 'queued'")
            assert left[0][0] > 0  # jobs were in line all the time
