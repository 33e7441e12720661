"""A live session: sound goes to the journal, captions are made from it, and people are told.

A session outlives its socket and its process: what is on disk goes on. It ends when it is stopped, or when no speaker
has come back for LIVE_PATIENCE seconds. Then it becomes a recording.
"""

import asyncio
import logging
from functools import partial

from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone

from recordings.live.captioning import Captioning
from recordings.live.disk import Disk, on_disk
from recordings.live.finishing import make_recording, seal
from recordings.live.journal import Journal, live_folder
from recordings.live.messages import MAX_FRAME_BYTES, Message, tell_changed, tell_viewers
from recordings.live.refusals import LiveRefused
from recordings.live.reporting import Reporting
from recordings.live.sound import IncomingSound
from recordings.live.speaker import CurrentSpeaker, Speaker
from recordings.live.state import Event, Lifecycle, State
from recordings.models import LiveSession
from recordings.storage import quota
from transcription.audio import RATE
from transcription.captions import Pace
from web.patience import patiently

log = logging.getLogger(__name__)

LAST_WORDS = 15.0  # seconds that the last captions get after the stop; what is left then, a job transcribes


class Session:
    """One live session. Its row is never saved here: what changes is updated by its id.

    opened     is set when it has left OPENING, or has ended
    recording  once it is DONE: the id of its recording, or None
    """

    def __init__(self, row: LiveSession, pace: Pace) -> None:
        self.id = row.pk
        self.journal = Journal(live_folder(), row.pk)
        self.speaker = CurrentSpeaker()
        self._disk = Disk(row.pk, self._tell_trouble)
        self.sound = IncomingSound(self.journal, self._disk, self._tell_acknowledged)
        self.captioning = Captioning(row, self.journal, self.sound, pace, self.broadcast)
        self.reporting = Reporting(self.captioning, self.sound, self.broadcast, partial(tell_viewers, row.pk))
        self.opened = asyncio.Event()
        self.recording: int | None = None
        self._row = row
        self._life = Lifecycle()
        self._patience: asyncio.TimerHandle | None = None

    @property
    def state(self) -> State:
        return self._life.state

    # --- its life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until it is DONE, SUSPENDED or FAILED."""
        try:
            await self._open()
            all_captioned = await self._listen()
            if self.state is State.SUSPENDED:
                self.speaker.refuse("restarting")
            else:
                await self._finish(all_captioned)
        except asyncio.CancelledError:
            if self._life.allows(Event.CANCEL):
                self._life.on(Event.CANCEL)
            raise
        except Exception:
            await self._fail()
        finally:
            self.opened.set()
            if self._patience:
                self._patience.cancel()
            await on_disk(self.journal.close)

    def stop(self) -> None:
        """Take no more sound. Does nothing where none is taken any more."""
        if self._life.allows(Event.STOP):
            self._life.on(Event.STOP)
            self.sound.close()

    def suspend(self) -> None:
        """The process stops: put all sound on disk and acknowledge it. The next process goes on."""
        if self._life.allows(Event.SUSPEND):
            self._life.on(Event.SUSPEND)
            self.sound.close()

    async def _open(self) -> None:
        await self._disk.surely(lambda: on_disk(self.journal.open))
        await patiently(self._recall)
        if self._life.allows(Event.OPENED):
            self._life.on(Event.OPENED)
            if self._row.ended_at is not None:
                self.stop()
            elif not self.speaker.socket:
                self._wait_for_speaker()
        self.opened.set()

    async def _recall(self) -> None:
        """Look up the last caption and the quota that is left. Sessions that run at once do not share it: each may take
        what was left when it began."""
        self.sound.begin(await sync_to_async(quota.left)(self._row.owner_id))
        await self.captioning.recall()

    async def _listen(self) -> bool:
        """Take sound and make captions until the session stops. Returns whether all of the sound has captions."""
        async with asyncio.TaskGroup() as tasks:
            captioning = tasks.create_task(self.captioning.run(), name=f"captions {self.id}")
            reporting = tasks.create_task(self.reporting.run())
            await self.sound.keep()
            if self.state is not State.SUSPENDED:
                self._life.on(Event.KEPT)
                await self._note_end()
                await self._last_words(captioning)
            all_captioned = captioning.done() and captioning.result()
            captioning.cancel()
            reporting.cancel()
        return all_captioned

    async def _note_end(self) -> None:
        row = LiveSession.objects.filter(pk=self.id, ended_at=None)
        await patiently(lambda: row.aupdate(ended_at=timezone.now()))

    async def _last_words(self, captioning: asyncio.Task[bool]) -> None:
        """Wait for the last captions, unless Whisper is away."""
        away = asyncio.create_task(self.captioning.away.wait())
        try:
            await asyncio.wait({captioning, away}, timeout=LAST_WORDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            away.cancel()

    async def _finish(self, all_captioned: bool) -> None:
        self._life.on(Event.CAPTIONED)
        sound = await self._disk.surely(lambda: on_disk(seal, self.journal))
        make = partial(sync_to_async(make_recording), self.id, sound, all_captioned=all_captioned)
        self.recording = await self._disk.surely(lambda: patiently(make))
        await self._disk.surely(lambda: on_disk(self.journal.remove))
        self._life.on(Event.MADE)
        self.speaker.done(self.recording)
        await tell_changed(self.id)

    async def _fail(self) -> None:
        self._life.on(Event.FAIL)
        if await patiently(LiveSession.objects.filter(pk=self.id).aexists):
            log.exception("Live session %s failed for a reason that nobody thought of", self.id)
            self.speaker.refuse("internal_error")
        else:  # deleted, with the person it belonged to
            self.journal.remove()
            self.speaker.refuse("not_found")

    # --- its speaker ---------------------------------------------------------------------------

    async def attach(self, speaker: Speaker) -> None:
        """Let this socket speak from now on, in the place of the one before. Raises LiveRefused.

        Sound of the one before counts. So it is acknowledged first: the new one may have other sound for those numbers.
        """
        self.speaker.replace(speaker)
        self.sound.release()
        if self._patience:
            self._patience.cancel()
        await self.opened.wait()
        if self.state in (State.LIVE, State.STOPPING):
            await self.sound.all_acknowledged()
        if self.state is State.DONE:
            speaker.done(self.recording)
        elif self.state is State.SUSPENDED:
            raise LiveRefused("restarting")
        elif self.state is State.FAILED:
            raise LiveRefused("internal_error")
        elif self.speaker.socket is speaker:
            self.speaker.greet(self.ready(), self.captioning.status())
            if self._disk.trouble:
                speaker.refuse(self._disk.trouble)

    def detach(self, speaker: Speaker) -> None:
        """Does nothing where another socket speaks."""
        if self.speaker.socket is speaker:
            self.speaker.leave()
            self.sound.release()
            self._wait_for_speaker()

    def _wait_for_speaker(self) -> None:
        if self.state is State.LIVE:
            self._patience = asyncio.get_running_loop().call_later(settings.LIVE_PATIENCE, self.stop)

    async def hear(self, speaker: Speaker, number: int, sound: bytes) -> None:
        """Take a frame. Waits while the disk is behind, and so does the socket. Raises LiveRefused."""
        while self.sound.full and self.speaker.socket is speaker:
            await self.sound.drained()
        superseded = self.speaker.socket is not speaker or self.state in (State.SUSPENDED, State.FAILED)
        if superseded or number < self.sound.next_seq:
            return
        if self.state is not State.LIVE:
            raise LiveRefused("stopped")
        if number > self.sound.next_seq:
            raise LiveRefused("sequence_gap")
        if code := self.sound.excess(sound):
            self.stop()
            raise LiveRefused(code)
        self.sound.take(sound)

    # --- what people are told ------------------------------------------------------------------

    def ready(self) -> Message:
        return {
            "type": "ready",
            "session": self.id,
            "next_seq": self.journal.acked + 1,
            "sample_rate": RATE,
            "max_frame_bytes": MAX_FRAME_BYTES,
        }

    async def broadcast(self, message: Message) -> None:
        """Tell the speaker and all viewers."""
        self.speaker.tell(message)
        await tell_viewers(self.id, message)

    def _tell_acknowledged(self, number: int) -> None:
        self.speaker.tell({"type": "ack", "seq": number})

    def _tell_trouble(self, code: str) -> None:
        """While the journal cannot be opened, no `ready` comes, so it is told before that."""
        if self.speaker.greeted or not self.opened.is_set():
            self.speaker.refuse(code)
