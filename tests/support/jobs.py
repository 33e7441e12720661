"""Jobs in the process of the tests: their recordings, the runner, and the stub that the service calls."""

import asyncio
import contextlib
import io
import wave
from collections.abc import AsyncIterator, Iterator
from functools import cache

import numpy as np
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.base import ContentFile

from recordings.models import Recording, Transcription
from recordings.work.line import in_line
from recordings.work.runner import Runner, runner
from recordings.work.transcribing import run_transcription
from tests.support.speech import librivox
from tests.support.waiting import PATIENCE
from tests.support.whisper_stub import WhisperStub
from transcription import service

CLIPS = 5  # in `speech_with_pauses`, which becomes as many segments
PAUSE = 6.0  # seconds: long enough that each clip becomes a segment


@cache
def speech_with_pauses() -> bytes:
    """The five LibriVox clips with long pauses between them, as a WAV file: five segments."""
    silence = np.zeros(int(16000 * PAUSE), np.int16)
    parts: list[np.ndarray] = []
    for clip in librivox():
        with wave.open(str(clip.path)) as file:
            parts += [np.frombuffer(file.readframes(file.getnframes()), np.int16), silence]
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.concatenate(parts).tobytes())
    return buffer.getvalue()


async def someone(name: str = "mei") -> User:
    return (await User.objects.aget_or_create(username=name))[0]


async def recording(owner: User, content: bytes | None = None) -> Recording:
    """A recording like that of an upload, with its file."""
    content = speech_with_pauses() if content is None else content
    made = Recording(
        owner=owner,
        title="Five sentences",
        original_name="five.wav",
        sha256="0" * 64,
        bytes=len(content),
        duration=(len(content) - 44) / 32000,
        media_type="audio/wav",
        source=Recording.Source.UPLOAD,
    )
    await asyncio.to_thread(made.original.save, "five.wav", ContentFile(content), save=False)
    await made.asave()
    return made


@contextlib.contextmanager
def whisper_at(stub: WhisperStub, **options: object) -> Iterator[None]:
    """Let the service call this stub until the block ends, with short retries. options: more settings."""
    wanted = {"ASR_API_URL": stub.url, "ASR_RETRY_DELAY": 0.01} | options
    before = {name: getattr(settings, name) for name in wanted}
    for name, value in wanted.items():
        setattr(settings, name, value)
    _forget()
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(settings, name, value)
        _forget()


def _forget() -> None:
    """Make the service build its client again, from the current settings."""
    service.engine.cache_clear()
    service.client.cache_clear()


@contextlib.asynccontextmanager
async def jobs_running() -> AsyncIterator[Runner]:
    """Run the runner of jobs, as `serve` does."""
    running = asyncio.create_task(runner.run(in_line, run_transcription, service.total_limit))
    await asyncio.sleep(0)
    try:
        yield runner
    finally:
        runner.stop()
        await running
        await service.client().aclose()


async def finished(transcription: Transcription) -> Transcription:
    """Wait until the transcription is done, failed or canceled, and return it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await transcription.arefresh_from_db()
            if transcription.finished:
                return transcription
            await asyncio.sleep(0.02)
