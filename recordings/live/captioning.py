"""The captions of a live session: made from the journal, committed, and told to the speaker and all viewers."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import numpy as np
import numpy.typing as npt

from recordings.live.disk import on_disk
from recordings.live.journal import SAMPLE, SECOND, Journal
from recordings.live.messages import Message, caption_message
from recordings.live.sound import IncomingSound
from recordings.models import Caption, LiveSession, kept_words
from transcription import captions, service
from transcription.answer import Transcript
from transcription.audio import RATE, wav
from transcription.errors import Misconfigured, TimedOut, TranscriptionError, Unreachable
from web.patience import in_database

log = logging.getLogger(__name__)

PIECE = 2 * SECOND  # bytes of sound that the captioner takes at once
SILENT = 5.0  # seconds without sound after which all speech becomes final: nobody knows when more will come
PARTIAL_DEADLINE = 5.0  # seconds; a tentative caption that comes later shows nothing new
BEHIND = 5.0  # seconds after which people are told that captions are late
CAUGHT_UP = 3.0  # seconds after which they are told that captions are in time again: fewer, or it would go to and fro


class Captioning:
    """Reads the sound from the journal, so that sound that waits for Whisper costs no memory.

    broadcast  tells a message to the speaker and all viewers
    tentative  the message of the caption that is not final yet, or None
    away       is set while Whisper cannot be reached
    """

    def __init__(
        self,
        row: LiveSession,
        journal: Journal,
        sound: IncomingSound,
        pace: captions.Pace,
        broadcast: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._row = row
        self._journal = journal
        self._sound = sound
        self._pace = pace
        self._broadcast = broadcast
        self._captioner: captions.Captioner | None = None
        self._position = 0  # bytes of sound that a captioner has taken
        self._covered = 0.0  # the second up to which Whisper has heard the sound
        self._next_index = 0
        self._state = "live"
        self.tentative: Message | None = None
        self.away = asyncio.Event()

    async def recall(self) -> None:
        """Go on behind the last caption that was committed."""
        if last := await self._row.captions.order_by("-index").afirst():
            self._next_index = last.index + 1
            self._position = round(last.end * RATE) * SAMPLE

    async def run(self) -> bool:
        """Make captions until all sound has them. False if that failed: then a job transcribes the recording."""
        try:
            while await self._more():
                await self._caption_to_the_pause()
        except Exception:
            log.exception("Live session %s has no captions any more, for a reason that nobody thought of", self._row.pk)
            return False
        return True

    async def _more(self) -> bool:
        """Wait for sound that has no captions yet. False: there is none, and none will come."""
        while self._journal.size <= self._position:
            if self._sound.complete:
                return False
            self._sound.news.clear()
            await self._sound.news.wait()
        return True

    async def _caption_to_the_pause(self) -> None:
        start = self._position / SECOND
        captioner = captions.Captioner(
            self._recognize,
            self._tell,
            self._pace,
            first_index=self._next_index,
            start=start,
            prompt=self._row.prompt,
        )
        self._captioner, self._covered = captioner, start
        try:
            await self._feed(captioner)
            await captioner.finish()
        finally:
            self._captioner = None
            await captioner.aclose()

    async def _feed(self, captioner: captions.Captioner) -> None:
        """Push the sound up to the next pause."""
        while True:
            self._sound.news.clear()
            samples = await on_disk(self._journal.read, self._position, PIECE)
            if len(samples):
                await captioner.push(samples)
                self._position += samples.nbytes
                continue
            if self._sound.resting:
                return
            try:
                async with asyncio.timeout(SILENT):
                    await self._sound.news.wait()
            except TimeoutError:
                return

    async def _recognize(self, samples: npt.NDArray[np.int16], *, prompt: str, final: bool) -> Transcript:
        heard = self._captioner.heard if self._captioner else 0.0
        try:
            transcript = await service.transcribe_audio(
                b"".join(wav(samples)),
                seconds=len(samples) / RATE,
                lane="live",
                owner=f"live:{self._row.pk}",
                language=self._row.language,
                prompt=prompt,
                durable=final,
                deadline=None if final else time.monotonic() + PARTIAL_DEADLINE,
                supersede="caption",
                on_retry=self._note_failure,
            )
        except TranscriptionError as error:
            self._note_failure(error)
            raise
        self.away.clear()
        if not final:
            self._covered = max(self._covered, heard)
        return transcript

    def _note_failure(self, error: TranscriptionError, _delay: float = 0.0) -> None:
        if isinstance(error, Unreachable | TimedOut | Misconfigured):
            self.away.set()

    async def _tell(self, caption: captions.CaptionState) -> None:
        """A final caption is committed before anybody sees it."""
        message = caption_message(caption)
        if caption.final:
            await in_database(_commit, self._row.pk, caption)
            self._next_index = caption.index + 1
        self.tentative = None if caption.final else message
        await self._broadcast(message)

    # --- how late they are ---------------------------------------------------------------------

    @property
    def behind(self) -> float:
        """Seconds of sound that Whisper has not heard; without silence, where it is known to be silence."""
        settled = self._captioner.settled if self._captioner else self._position / SECOND
        return max(0.0, self._journal.seconds - max(settled, self._covered))

    def status(self) -> Message:
        behind = self.behind
        self._state = next_state(self._state, away=self.away.is_set(), behind=behind)
        return {"type": "status", "state": self._state, "behind_seconds": round(behind, 1)}


def next_state(before: str, *, away: bool, behind: float) -> str:
    """The state of captions that are so many seconds behind. One outage has one beginning and one end: captions that
    were late are so until they have caught up.

    away: whether Whisper cannot be reached
    """
    if away and behind > 1:
        return "waiting"
    return "catching_up" if behind > (BEHIND if before == "live" else CAUGHT_UP) else "live"


def _commit(session: str, caption: captions.CaptionState) -> None:
    """May be called again after a failure: the first call may have committed it all the same."""
    Caption.objects.get_or_create(
        session_id=session,
        index=caption.index,
        defaults={
            "start": caption.start,
            "end": caption.end,
            "text": caption.text,
            "language": caption.language,
            "words": kept_words(caption.words),
        },
    )
