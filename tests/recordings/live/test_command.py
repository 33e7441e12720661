"""`manage.py live` in a terminal and in a pipe."""

import asyncio
import io
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import IO

import av
import httpx
import numpy as np
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from recordings.live.client import FRAME, SECOND
from recordings.live.client.frames import frames, from_pipe
from tests.support.oracle import Oracle, Samples, speech
from tests.support.product import Product, free_port
from tests.support.waiting import PATIENCE, wait_for
from tests.support.whisper_stub import WhisperStub


@pytest.fixture(scope="module")
def sound() -> Samples:
    """Two sentences, thirteen seconds."""
    return speech(2)


@pytest.fixture(scope="module")
def product(sound: Samples, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A running product with one user, mei."""
    environment = {"LIVE_SECOND_PASS": "0", "MAX_AUDIO_HOURS": str(20 / 3600)}
    with (
        WhisperStub(hear=Oracle(sound)) as stub,
        Product(tmp_path_factory.mktemp("live"), ASR_API_URL=stub.url, **environment) as product,
    ):
        yield product


def started(product: Product, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "manage.py", "live", *arguments],
        **{"cwd": settings.BASE_DIR, "env": product.environment, "stdin": subprocess.PIPE, "bufsize": 0} | options,
    )


def live(product: Product, *arguments: str, sent: bytes = b"", **environment: str) -> tuple[int, str, str]:
    """Run the command to its end: its exit code, standard output and standard error."""
    env = product.environment | environment
    with started(product, *arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err = process.communicate(sent, timeout=PATIENCE)
    return process.returncode, out.decode(), err.decode()


def wav(sound: Samples, rate: int = 16000, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(sound.tobytes())
    return file.getvalue()


def recorded(api: httpx.Client, told: str) -> Samples:
    """The sound of the recording whose address is in this text."""
    found = re.search(r"Recording: http://[\d.:]+/recordings/(\d+)", told)
    assert found, told
    original = api.get(f"/api/recordings/{found[1]}/audio").raise_for_status().content
    with wave.open(io.BytesIO(original)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def words(sound: Samples) -> list[str]:
    return [word for *_, word in Oracle(sound).words]


def test_a_pipe_gets_the_final_captions_a_line_each(product: Product, sound: Samples) -> None:
    code, out, err = live(product, "-", "--user", "mei", "--title", "Piped", sent=sound.tobytes())
    assert code == 0, err
    assert out.split() == words(sound)
    assert len(out.splitlines()) > 1
    with product.client() as api:
        assert (recorded(api, err) == sound).all()
        assert api.get("/api/recordings").json()["items"][0]["title"] == "Piped"


def test_a_file_is_sent_as_fast_as_it_is_taken(product: Product, sound: Samples, tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(wav(sound))
    code, out, err = live(product, str(tmp_path / "talk.wav"), "--user", "mei", "--fast")
    assert code == 0, err
    assert out.split() == words(sound)


def test_a_program_elsewhere_brings_a_token(product: Product, sound: Samples) -> None:
    secret = product.manage("create_token", "jonas", "--create", "--scope", "transcribe").strip()
    code, _, err = live(product, "-", sent=sound.tobytes(), STILE_TOKEN=secret)
    assert code == 0, err
    with product.client("jonas") as api:
        assert (recorded(api, err) == sound).all()
    code, _, err = live(product, "-", sent=sound.tobytes())
    assert (code, "--user NAME" in err) == (1, True)  # there are two people now
    code, _, err = live(product, "-", sent=sound.tobytes(), STILE_TOKEN="asr_wrong")
    assert (code, "does not take this token" in err) == (1, True)


def test_what_is_no_sound_is_told_and_leaves_nothing_behind(product: Product, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no sound " * 100)
    with product.client() as api:
        before = api.get("/api/recordings").json()["items"]
        for file, sent, reason in (
            (str(tmp_path / "notes.txt"), b"", "not a sound or video file"),
            (str(tmp_path / "away.wav"), b"", "No such file"),
            ("-", b"RIFF, or is it?", "cannot be read"),
            ("-", b"", "There was no sound"),
        ):
            _, out, err = live(product, file, "--user", "mei", sent=sent)
            assert (out, reason in err) == ("", True), err
        assert api.get("/api/recordings").json()["items"] == before


def test_what_is_too_long_for_the_server_is_a_recording_as_far_as_it_goes(product: Product, sound: Samples) -> None:
    code, _, err = live(product, "-", "--user", "mei", sent=np.tile(sound, 2).tobytes())
    assert code == 0, err
    with product.client() as api:
        assert len(recorded(api, err)) == pytest.approx(20 * 16000, abs=FRAME / 2)


def test_a_reader_that_closes_the_pipe_ends_the_session(product: Product, sound: Samples) -> None:
    with started(product, "-", "--user", "mei", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(sound.tobytes())
        # Standard input stays open: the program that speaks does not know that nobody reads the output.
        process.stdout.readline()
        process.stdout.close()
        with product.client() as api:
            assert len(recorded(api, process.stderr.read().decode())) > 0
        assert process.wait(PATIENCE) == 0


def test_where_no_server_is_it_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STILE_TOKEN", raising=False)
    with pytest.raises(CommandError, match="set STILE_TOKEN"):
        call_command("live", "talk.wav", "--url", "https://stile.example")
    monkeypatch.setenv("STILE_TOKEN", "asr_any")
    with pytest.raises(CommandError, match=r"No server answers at http://127.0.0.1:\d+. Start it with: make run."):
        call_command("live", "talk.wav", "--url", f"http://127.0.0.1:{free_port()}/")


def test_in_a_terminal_text_settles_in_its_place_and_ctrl_c_leaves_a_recording(
    product: Product, sound: Samples
) -> None:
    terminal, theirs = pty.openpty()
    with started(product, "-", "--user", "mei", stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        speaking = threading.Thread(target=speak, args=(process.stdin, sound))
        speaking.start()
        shown, enough = b"", False
        with open(terminal, "rb", buffering=0) as screen, suppress(OSError):  # raised when the terminal is closed
            while part := screen.read(10_000):
                shown += part
                if not enough and b"w3" in shown and b"\x1b[2m" in shown:
                    enough = True
                    process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        speaking.join()
    text = shown.decode()
    assert enough  # dim text was shown: text that is not stable yet
    assert "\x1b[2K" in text  # clears the line
    with product.client() as api:
        assert 0 < len(recorded(api, text)) < len(sound)


def speak(pipe: IO[bytes], sound: Samples) -> None:
    """Write sound to the pipe at the pace of speech, until the reader closes it."""
    with suppress(BrokenPipeError):
        for first in range(0, len(sound), FRAME // 2):
            pipe.write(sound[first : first + FRAME // 2].tobytes())
            time.sleep(FRAME / SECOND)


def test_nothing_is_lost_when_the_server_is_killed_and_comes_back(sound: Samples, tmp_path: Path) -> None:
    half = sound.nbytes // 2
    with (
        WhisperStub(hear=Oracle(sound)) as stub,
        Product(
            tmp_path / "data",
            ASR_API_URL=stub.url,
            ASR_REQUEST_TIMEOUT="5",  # the time for exchanges that were in flight at the kill
            ASR_ABANDONED_GRACE="1",
            LIVE_SECOND_PASS="0",
        ) as product,
    ):
        with started(product, "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin
            process.stdin.write(sound.tobytes()[:half])
            wait_for(lambda: stub.finished, "the first caption")
            product.kill()
            product.start()
            out, err = process.communicate(sound.tobytes()[half:], timeout=PATIENCE)
        assert b"The server cannot be reached" in err
        assert out.decode().split() == words(sound)
        with product.client() as api:
            assert (recorded(api, err.decode()) == sound).all()


# --- where sound comes from --------------------------------------------------------------------


def piped(content: bytes) -> bytes:
    end, begin = os.pipe()
    os.write(begin, content)
    os.close(begin)
    try:
        return b"".join(from_pipe(end))
    finally:
        os.close(end)


def test_a_pipe_may_carry_raw_sound_or_a_file_of_any_rate() -> None:
    second = (10_000 * np.sin(np.arange(8000) / 10)).astype("<i2")
    assert piped(second.tobytes()) == second.tobytes()
    assert piped(wav(second)) == second.tobytes()
    stereo = wav(np.repeat(second, 2), 8000, channels=2)
    assert len(piped(stereo)) == pytest.approx(2 * 16000, abs=100)
    assert len(piped(stereo[:4] + b"\xff\xff\xff\x7f" + stereo[8:])) > 31_000  # the length that an unfinished file has
    flac = io.BytesIO()
    with av.open(flac, "w", format="flac") as out:
        stream = out.add_stream("flac", rate=16000, layout="mono", format="s16")
        for frame in (av.AudioFrame.from_ndarray(second[None], format="s16", layout="mono"), None):
            if frame:
                frame.sample_rate = 16000
            out.mux(stream.encode(frame))
    assert piped(flac.getvalue()) == second.tobytes()


async def test_frames_are_whole_and_come_at_the_pace_of_speech() -> None:
    sound = b"ab" * 8000  # half a second
    began = time.monotonic()
    came = [frame async for frame in frames(iter([sound[:5], sound[5:], b"x"]), pace=True)]
    assert time.monotonic() - began > 0.45
    assert b"".join(came) == sound
    assert {len(frame) for frame in came} == {FRAME}


async def test_a_source_that_is_given_up_is_read_no_further() -> None:
    asked = []

    def source() -> Iterator[bytes]:
        for number in range(1000):
            asked.append(number)
            yield bytes(FRAME)

    async with aclosing(frames(source(), pace=False)) as coming:
        await anext(coming)
    await asyncio.sleep(0.05)
    assert len(asked) < 50
