"""A live session: sound goes to the journal, captions are made from it, and everyone is told.

A session outlives its socket, and the process: it goes on with what is on disk. It ends when it is stopped, or when
nobody has come back to it for LIVE_PATIENCE; then it becomes a recording.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone

from recordings.intake import space as room
from recordings.live.finishing import make_recording, seal
from recordings.live.journal import LARGEST, SAMPLE, SECOND, Journal
from recordings.live.refusals import Refused
from recordings.live.telling import Message, caption_message, tell_changed, tell_viewers
from recordings.models import Caption, LiveSession, kept_words
from transcription import captions, service
from transcription.answer import Transcript
from transcription.audio import RATE, wav
from transcription.errors import Misconfigured, TimedOut, TranscriptionError, Unreachable
from web.patience import patiently
from web.problems import DISK_FULL

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

MAX_FRAME_BYTES = 4 + SECOND // 2  # a number, and half a second of sound
ACK_EVERY = 0.8  # seconds, so that it is once a second at least
MOST_WAITING = 2 * SECOND  # bytes of sound in memory while the disk is slow or full; then the socket has to wait
PIECE = 2 * SECOND  # bytes of sound that the captioner takes at once
SILENT = 5.0  # seconds without sound after which what was said is final: nobody knows when more will come
PARTIAL_DEADLINE = 5.0  # seconds; a tentative caption that comes later shows nothing new
LAST_WORDS = 15.0  # seconds that the last captions get after the stop, before the rest is left to a job
BEHIND = 5.0  # seconds after which people are told that captions are late
TRY_AGAIN = 1.0  # seconds until the disk may have room again
TAKING_OVER = 2.0  # seconds that a disk gets for the sound of who spoke before

# Of its own: a disk that hangs must not take the threads of everything else.
_disk = ThreadPoolExecutor(8, thread_name_prefix="live")


class Speaker(Protocol):
    """The socket of who speaks, as a session sees it. Nothing here waits."""

    def tell(self, message: Message) -> None: ...

    def refuse(self, code: str) -> None:
        """Tell why, and close if that is what the code means."""

    def done(self, recording: int | None) -> None:
        """Tell what became of the session, and close."""


class Session:
    """One live session. `row` is never saved here: what changes is updated by its id.

    next_seq     the number of the frame that comes next; those before it are here, if not on disk yet
    recording    once it has `ended`: the id of its recording, or None
    """

    def __init__(self, row: LiveSession, pace: captions.Pace) -> None:
        self.row = row
        self.id = row.pk
        self.journal = Journal(live_folder(), row.pk)
        self.opened = asyncio.Event()
        self.ended = self._over = False
        self.next_seq = 0
        self.recording: int | None = None
        self.tentative: Message | None = None
        self._pace = pace
        self._speaker: Speaker | None = None
        self._greeted = False  # the speaker has been told `ready`: nothing comes before
        self._patience: asyncio.TimerHandle | None = None
        self._incoming: list[bytes] = []
        self._waiting = 0  # bytes of sound that are not on disk
        self._taken = 0  # bytes of sound in all
        self._most = float("inf")  # bytes of sound that its owner has room for
        self._came, self._room, self._kept = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._acked, self._at_once = asyncio.Event(), False
        self._complete = row.ended_at is not None  # no more sound comes
        self._all_kept = self._paused = self._suspended = False
        self._trouble = ""  # what the disk has, as a code
        self._captioner: captions.Captioner | None = None
        self._position = 0  # bytes of sound that the captioner has
        self._covered = 0.0  # seconds up to which Whisper has heard it
        self._next_index = 0
        self._away = asyncio.Event()  # Whisper cannot be reached
        self._state = "live"

    # --- its life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until it is a recording, or the process stops. What fails for good is told, and left to the next start."""
        try:
            await self._open()
            all_captioned = await self._listen()
            if self._suspended:
                self._refuse("restarting")
            else:
                await self._finish(all_captioned)
        except Exception:
            await self._fail()
        finally:
            self._over = True
            self.opened.set()
            if self._patience:
                self._patience.cancel()
            await on_disk(self.journal.close)

    async def _listen(self) -> bool:
        """Take sound and make captions of it until no more sound comes; whether all of it is captioned then."""
        async with asyncio.TaskGroup() as tasks:
            captioning = tasks.create_task(self._caption(), name=f"captions {self.id}")
            reporting = tasks.create_task(self._report())
            await self._keep_sound()
            if not self._suspended:
                await self._stopped()
                await self._last_words(captioning)
            all_captioned = captioning.done() and captioning.result()
            captioning.cancel()
            reporting.cancel()
        return all_captioned

    async def _fail(self) -> None:
        if await patiently(LiveSession.objects.filter(pk=self.id).aexists):
            log.exception("Live session %s failed for a reason that nobody thought of", self.id)
            self._refuse("internal_error")
        else:  # deleted, with the person it belonged to
            self.journal.remove()
            self._refuse("not_found")

    async def _open(self) -> None:
        await self._surely(lambda: on_disk(self.journal.open))
        self.next_seq = self.journal.last + 1
        self._taken = self.journal.size
        await patiently(self._recall)
        if not self._speaker:
            self._wait_for_speaker()
        self.opened.set()

    async def _recall(self) -> None:
        """Where the captions stand, and how much room the owner has left. Several sessions at once share none of it:
        each may take up what was left when it began."""
        self._most = self.journal.size + await sync_to_async(room.room_of)(self.row.owner_id)
        if last := await self.row.captions.order_by("-index").afirst():
            self._next_index = last.index + 1
            self._position = round(last.end * RATE) * SAMPLE

    def end(self) -> None:
        """No more sound comes."""
        self._complete = True
        self._came.set()

    async def _stopped(self) -> None:
        row = LiveSession.objects.filter(pk=self.id, ended_at=None)
        await patiently(lambda: row.aupdate(ended_at=timezone.now()))

    async def _last_words(self, captioning: asyncio.Task[bool]) -> None:
        """Wait for the last captions, unless Whisper is away."""
        away = asyncio.create_task(self._away.wait())
        try:
            await asyncio.wait({captioning, away}, timeout=LAST_WORDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            away.cancel()

    async def _finish(self, all_captioned: bool) -> None:
        sound = await self._surely(lambda: on_disk(seal, self.journal))
        make = partial(make_recording, self.id, sound, all_captioned=all_captioned)
        self.recording = await self._surely(lambda: patiently(make))
        await self._surely(lambda: on_disk(self.journal.remove))
        self.ended = True
        if self._speaker:
            self._speaker.done(self.recording)
        await tell_changed(self.id)

    def suspend(self) -> None:
        """The process stops: what came is put on disk and acknowledged; the next start goes on."""
        self._suspended = True
        self._came.set()

    # --- who speaks ----------------------------------------------------------------------------

    async def attach(self, speaker: Speaker) -> None:
        """From now on this one speaks: the newest wins, and the one before is told. Raises Refused."""
        before, self._speaker, self._greeted = self._speaker, speaker, False
        self._room.set()  # the one before waits no more
        if before:
            before.refuse("open_elsewhere")
        if self._patience:
            self._patience.cancel()
        await self.opened.wait()
        await self._all_acknowledged()
        if self.ended:
            speaker.done(self.recording)
        elif self._over or self._suspended:
            raise Refused("restarting" if self._suspended else "internal_error")
        elif self._speaker is speaker:
            speaker.tell(self.ready())
            speaker.tell(self.status())
            self._greeted = True
            if self._trouble:
                speaker.refuse(self._trouble)

    def ready(self) -> Message:
        return {
            "type": "ready",
            "session": self.id,
            "next_seq": self.journal.acked + 1,
            "sample_rate": RATE,
            "max_frame_bytes": MAX_FRAME_BYTES,
        }

    def detach(self, speaker: Speaker) -> None:
        if self._speaker is speaker:
            self._speaker = None
            self._room.set()
            self._wait_for_speaker()

    def _wait_for_speaker(self) -> None:
        if not self._over:
            self._patience = asyncio.get_running_loop().call_later(settings.LIVE_PATIENCE, self.end)

    # --- sound ---------------------------------------------------------------------------------

    async def hear(self, speaker: Speaker, number: int, sound: bytes) -> None:
        """A frame. Waits while the disk is behind, and so does the socket. Raises Refused."""
        while self._waiting >= MOST_WAITING and self._speaker is speaker:
            self._room.clear()
            await self._room.wait()
        if self._speaker is not speaker or self._suspended or number < self.next_seq:
            return
        if self._complete:
            raise Refused("stopped")
        if number > self.next_seq:
            raise Refused("sequence_gap")
        if self._taken + len(sound) > min(longest(), self._most):
            self.end()
            raise Refused("too_long" if self._most > longest() else "quota_exceeded")
        self._incoming.append(sound)
        self._taken += len(sound)
        self._waiting += len(sound)
        self.next_seq = number + 1
        self._paused = False
        self._came.set()

    def pause(self) -> None:
        """Nothing comes for a while, so what was said is final."""
        self._paused = True
        self._kept.set()

    async def _all_acknowledged(self) -> None:
        """What came before counts for who speaks now, who may have other sound to send under the next number."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TAKING_OVER):
                while self.journal.acked + 1 < self.next_seq and not self._over:
                    self._at_once = True
                    self._came.set()
                    self._acked.clear()
                    await self._acked.wait()

    async def _keep_sound(self) -> None:
        """Write what comes; make sure of it and acknowledge it about once a second. Until no more comes."""
        due: float | None = None
        while not (self._incoming == [] and (self._complete or self._suspended)):
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._came.wait()
            self._came.clear()
            now = asyncio.get_running_loop().time()
            if self._incoming:
                await self._write()
                due = due or now + ACK_EVERY
            if due and (now >= due or self._at_once):
                await self._acknowledge()
                due, self._at_once = None, False
        if self.journal.acked != self.journal.last:
            await self._acknowledge()
        self._all_kept = True
        self._kept.set()

    async def _write(self) -> None:
        sound, self._incoming = b"".join(self._incoming), []
        last = self.next_seq - 1
        await self._surely(lambda: on_disk(self._put, sound, last))
        self._waiting -= len(sound)
        self._room.set()
        self._kept.set()

    def _put(self, sound: bytes, last: int) -> None:
        """Raises OSError, also before the disk is quite full: the database needs some room for the captions."""
        room.require_some_reserve()
        self.journal.write(sound, last)

    async def _acknowledge(self) -> None:
        number = await self._surely(lambda: on_disk(self.journal.sync))
        self._acked.set()
        self._tell_speaker({"type": "ack", "seq": number})

    async def _surely(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns; while the disk is full or away, that is told, and it is tried again."""
        while True:
            try:
                result = await work()
            except OSError as error:
                if not self._trouble:
                    log.exception("The disk failed live session %s; trying again", self.id)
                    self._trouble = "disk_full" if error.errno in DISK_FULL else "storage_failed"
                    if self._greeted or not self.opened.is_set():  # where it cannot be opened, no `ready` comes
                        self._refuse(self._trouble)
                await asyncio.sleep(TRY_AGAIN)
            else:
                self._trouble = ""
                return result

    # --- captions ------------------------------------------------------------------------------

    async def _caption(self) -> bool:
        """From the file, so that what waits for Whisper costs no memory. A pause ends what was said before it.

        Whether all of it could be: the sound is kept whatever happens here, and a job transcribes it then.
        """
        try:
            while await self._more():
                await self._caption_to_the_pause()
        except Exception:
            log.exception("Live session %s has no captions any more, for a reason that nobody thought of", self.id)
            return False
        return True

    async def _caption_to_the_pause(self) -> None:
        start = self._position / SECOND
        captioner = captions.Captioner(
            self._recognize,
            self._tell,
            self._pace,
            first_index=self._next_index,
            start=start,
            prompt=self.row.prompt,
        )
        self._captioner, self._covered = captioner, start
        try:
            await self._feed(captioner)
            await captioner.finish()
        finally:
            self._captioner = None
            await captioner.aclose()

    async def _more(self) -> bool:
        """Wait for sound that the captions do not have yet; False: none will come."""
        while self.journal.size <= self._position:
            if self._all_kept:
                return False
            self._kept.clear()
            await self._kept.wait()
        return True

    async def _feed(self, captioner: captions.Captioner) -> None:
        """The sound from here to the next pause."""
        while True:
            self._kept.clear()
            samples = await on_disk(self.journal.read, self._position, PIECE)
            if len(samples):
                await captioner.push(samples)
                self._position += samples.nbytes
                continue
            if self._all_kept or (self._paused and not self._waiting):
                return
            try:
                async with asyncio.timeout(SILENT):
                    await self._kept.wait()
            except TimeoutError:
                return

    async def _recognize(self, samples: npt.NDArray[np.int16], *, prompt: str, final: bool) -> Transcript:
        heard = self._captioner.heard if self._captioner else 0.0
        try:
            transcript = await service.transcribe_audio(
                b"".join(wav(samples)),
                seconds=len(samples) / RATE,
                lane="live",
                owner=f"live:{self.id}",
                language=self.row.language,
                prompt=prompt,
                durable=final,
                deadline=None if final else time.monotonic() + PARTIAL_DEADLINE,
                supersede="caption",
                on_retry=self._note_failure,
            )
        except TranscriptionError as error:
            self._note_failure(error)
            raise
        self._away.clear()
        if not final:
            self._covered = max(self._covered, heard)
        return transcript

    def _note_failure(self, error: TranscriptionError, _delay: float = 0.0) -> None:
        if isinstance(error, Unreachable | TimedOut | Misconfigured):
            self._away.set()

    async def _tell(self, caption: captions.CaptionState) -> None:
        """A final caption is committed before anyone sees it."""
        message = caption_message(caption)
        if caption.final:
            await patiently(lambda: sync_to_async(_commit)(self.id, caption))
            self._next_index = caption.index + 1
        self.tentative = None if caption.final else message
        await self._broadcast(message)

    def _tell_speaker(self, message: Message) -> None:
        """What comes before `ready` need not be told: that says where the sound stands, and the captions follow it."""
        if self._speaker and self._greeted:
            self._speaker.tell(message)

    def _refuse(self, code: str) -> None:
        if self._speaker:
            self._speaker.refuse(code)

    async def _broadcast(self, message: Message) -> None:
        self._tell_speaker(message)
        await tell_viewers(self.id, message)

    # --- how far behind ------------------------------------------------------------------------

    def status(self) -> Message:
        behind = self.behind
        state = "waiting" if self._away.is_set() and behind > 1 else "catching_up" if behind > BEHIND else "live"
        return {"type": "status", "state": state, "behind_seconds": round(behind, 1)}

    @property
    def behind(self) -> float:
        """Seconds of sound that Whisper has not heard, speech only where it is known which that is."""
        settled = self._captioner.settled if self._captioner else self._position / SECOND
        return max(0.0, self.journal.seconds - max(settled, self._covered))

    async def _report(self) -> None:
        """Told when it changes, and once a second while captions are late."""
        while True:
            await asyncio.sleep(1.0)
            status = self.status()
            if status["state"] != self._state or status["state"] != "live":
                self._state = status["state"]
                await self._broadcast(status)


def live_folder() -> Path:
    return Path(settings.LIVE_ROOT)


def longest() -> float:
    """Bytes of sound in one session."""
    hours: float = settings.MAX_AUDIO_HOURS
    return min(hours * 3600 * SECOND, LARGEST)


async def on_disk(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Done in a thread, to its end even if canceled: no file is closed while a thread works on it."""
    doing = asyncio.get_running_loop().run_in_executor(_disk, partial(work, *args, **kwargs))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait({doing})
        raise


def _commit(session: str, caption: captions.CaptionState) -> None:
    """May be called again where an earlier call failed: it may have been committed all the same."""
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
