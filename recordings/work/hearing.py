"""Hearing: from the sound of a file to its text. The library's jobs and /v1 hear with this same code.

A file is cut at pauses into stretches of at most 30 s. Each stretch is one call, and a doubtful utterance of it one
more (see `transcription.second_hearing`), so a recording that mixes languages keeps them all.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import BinaryIO, Literal

from django.conf import settings

from recordings.models import Segment, kept_words
from transcription.answer import Transcript
from transcription.audio import RATE, Samples, Stretch, apart, wav
from transcription.second_hearing import SecondHearing

LOOK_AROUND = 0.5  # seconds between two questions whether the process is stopping, while the next stretch is read

Call = Callable[[bytes, float], Awaitable[Transcript]]


class Hearing:
    """One file that is heard.

    hearing = Hearing(file, call, language="", owner=1, kind="job")
    async with hearing.stretches() as stretches:
        async for stretch in stretches:
            segment = as_segment(stretch, await hearing.transcript(stretch))
    hearing.speech.duration  # known once all stretches have come, as its damaged spans and its tracks are
    """

    def __init__(
        self,
        file: BinaryIO,
        call: Call,
        *,
        language: str,
        owner: int,
        kind: Literal["job", "call"],
        track: int = 0,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """call: sends a WAV file of so many seconds to Whisper. language: what is spoken; empty: to be found out.

        owner, kind: for whom the file is read, and in which line of files to be read it waits.
        track: the number of the sound track, from 1; 0: all that belong together.
        stopping: whether the process is about to end. The stretches then end early: the next may be hours away.
        """
        self._file = file
        self._call = call
        self._stopping = stopping
        self._hear = SecondHearing(self._send, any_language=not language)
        self._limits = {"max_hours": settings.MAX_AUDIO_HOURS, "track": track or None}
        self._owner = owner
        self.speech = apart.Speech(file, owner=owner, kind=kind, **self._limits)

    @asynccontextmanager
    async def stretches(self) -> AsyncIterator[AsyncIterator[Stretch]]:
        """The stretches of speech as they are read. The file is closed at the end."""
        async with aclosing(_until(self._stopping, aiter(self.speech))) as stretches:
            try:
                yield stretches
            finally:
                await asyncio.to_thread(self._file.close)

    async def check(self) -> None:
        """Raise BadAudio for a file that is refused as a whole, before a stretch of it is sent."""
        await apart.audio_info(self._file, owner=self._owner, **self._limits)

    async def transcript(self, stretch: Stretch) -> Transcript:
        """The text of a stretch, at the times of the stretch. Raises what `call` raises."""
        return await self._hear(stretch)

    async def _send(self, samples: Samples) -> Transcript:
        return await self._call(b"".join(wav(samples)), len(samples) / RATE)


async def _until(stopping: Callable[[], bool], stretches: AsyncGenerator[Stretch]) -> AsyncGenerator[Stretch]:
    async with aclosing(stretches):
        while True:
            reading = asyncio.ensure_future(anext(stretches, None))
            try:
                while not (await asyncio.wait({reading}, timeout=LOOK_AROUND))[0]:
                    if stopping():
                        return
            finally:
                reading.cancel()
                await asyncio.wait({reading})
            if (stretch := reading.result()) is None:
                return
            yield stretch


def as_segment(stretch: Stretch, transcript: Transcript) -> Segment:
    """The segment of a stretch, at the times of the recording. It is not saved, and belongs to no transcription yet."""
    return Segment(
        index=stretch.index,
        start=stretch.start,
        end=stretch.end,
        text=transcript.text,
        language=transcript.language or "",
        words=kept_words(
            replace(word, start=moment(stretch, word.start), end=moment(stretch, word.end)) for word in transcript.words
        ),
    )


def moment(stretch: Stretch, seconds: float) -> float:
    """A time of the stretch as a time of the recording: inside the stretch, in seconds, to the millisecond."""
    return round(min(stretch.start + max(0.0, seconds), stretch.end), 3)
