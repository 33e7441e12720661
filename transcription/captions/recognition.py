"""The recognitions under way for one captioner."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from transcription.answer import Transcript
from transcription.audio.vad import RATE
from transcription.captions.pace import Pace
from transcription.captions.utterances import Samples
from transcription.errors import TranscriptionError

log = logging.getLogger(__name__)

RecognitionTask = asyncio.Task[Transcript | None]


class Recognize(Protocol):
    async def __call__(self, samples: Samples, *, prompt: str, final: bool) -> Transcript:
        """The text of 16 kHz mono samples, or a `TranscriptionError`.

        final=True: waits as long as it takes. If it raises, this speech gets no caption.
        final=False: may raise when it is late or superseded. Then this partial is left out.
        A session has at most one of each kind under way, and starts no partial while a final is. So all calls of a
        session may share one `supersede` key: a final takes the place of a partial that still waits.
        """


class Recognitions:
    """Starts recognitions as tasks. `ended` is called whenever one of them ends."""

    def __init__(self, recognize: Recognize, pace: Pace, ended: Callable[[], None]) -> None:
        self._recognize = recognize
        self._pace = pace
        self._ended = ended
        self.under_way: set[RecognitionTask] = set()

    def start(self, samples: Samples, prompt: str, *, final: bool) -> RecognitionTask:
        """A task that returns the transcript, or None where the recognition failed. The failure is logged."""
        call = asyncio.create_task(self._transcript(samples, prompt, final))
        self.under_way.add(call)
        call.add_done_callback(self._discard)
        return call

    async def cancel(self) -> None:
        for call in self.under_way:
            call.cancel()
        if self.under_way:
            await asyncio.wait(self.under_way)

    def _discard(self, call: RecognitionTask) -> None:
        self.under_way.discard(call)
        self._ended()

    async def _transcript(self, samples: Samples, prompt: str, final: bool) -> Transcript | None:
        try:
            with self._pace.call(final=final):
                return await self._recognize(samples, prompt=prompt, final=final)
        except TranscriptionError as error:
            level = logging.WARNING if final else logging.DEBUG
            log.log(level, "%.1f s of speech were not recognised: %r", len(samples) / RATE, error)
        except Exception:
            log.exception("Recognising %.1f s of speech failed for an unforeseen reason", len(samples) / RATE)
        return None


def result(call: RecognitionTask) -> Transcript | None:
    """The transcript of a recognition that has ended; None where it failed or was cancelled."""
    return None if call.cancelled() else call.result()
