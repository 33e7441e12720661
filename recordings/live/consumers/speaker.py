"""The socket of a speaker."""

import asyncio
import json
import struct
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal

from django.utils import translation
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from accounts.auth import Scope
from accounts.sockets import NOT_SIGNED_IN, language_of
from recordings.failures import fault
from recordings.live.audience import OFTEN, Audience
from recordings.live.consumers.base import NORMAL, LiveSocket
from recordings.live.consumers.outbox import Outbox
from recordings.live.journal import SAMPLE
from recordings.live.messages import MAX_FRAME_BYTES, Message, speaker_group
from recordings.live.refusals import LiveRefused
from recordings.live.session import Session
from recordings.live.sessions import live
from recordings.models import LiveSession
from recordings.text import Language, Prompt, Title
from transcription.audio import RATE
from web.patience import patiently

NUMBER = struct.Struct("<I")  # of a frame, before its sound


class Start(BaseModel):
    """The first message of a speaker. With `session` it goes on with that session, or begins it if it is only prepared.
    Without, it begins a new one.

    after  the index of the last final caption that the client has
    """

    model_config = ConfigDict(strict=True)

    type: Literal["start"]
    session: str | None = None
    resume: bool = False
    after: Annotated[int, Field(ge=-(10**9), le=10**9)] | None = None
    sample_rate: int = RATE
    language: Language = ""
    title: Title = ""
    prompt: Prompt = ""


class SpeakerConsumer(LiveSocket):
    """Takes the messages and frames of a speaker. All messages of the session go out through an `Outbox`."""

    scopes = frozenset({Scope.TRANSCRIBE})
    session: Session | None = None
    outbox: Outbox
    counting: asyncio.Task[None] | None = None

    async def admit(self) -> None:
        if code := self.refusal():
            raise LiveRefused("not_signed_in" if code == NOT_SIGNED_IN else "not_allowed")

    async def reconsider(self) -> None:
        await self.admit()

    @property
    def session_id(self) -> str:
        return self.session.id if self.session else ""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.closed:
            return
        if bytes_data is not None:
            await self._frame(bytes_data)
        else:
            await self._message(text_data or "")

    async def disconnect(self, code: int) -> None:
        self.closed = True
        if self.session:
            self._leave(self.session)
            self.outbox.cancel()
            await self.channel_layer.group_discard(speaker_group(self.session.id), self.channel_name)

    def _leave(self, session: Session) -> None:
        session.detach(self.outbox)
        if self.counting:
            self.counting.cancel()

    # --- from the client -----------------------------------------------------------------------

    async def _frame(self, frame: bytes) -> None:
        if self.session is None:
            raise LiveRefused("not_started")
        if len(frame) > MAX_FRAME_BYTES:
            raise LiveRefused("frame_too_large")
        sound = frame[NUMBER.size :]
        if not sound or len(sound) % SAMPLE:
            raise LiveRefused("bad_frame")
        await self.session.hear(self.outbox, NUMBER.unpack_from(frame)[0], sound)

    async def _message(self, text: str) -> None:
        try:
            content = json.loads(text)
            kind = content["type"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise LiveRefused("bad_message") from None
        if kind == "start":
            await self._start(content)
        elif self.session is None:
            raise LiveRefused("not_started")
        elif kind == "pause":
            self.session.sound.pause()
        elif kind == "stop":
            self.session.stop()
        else:
            raise LiveRefused("bad_message")

    async def _start(self, content: Any) -> None:
        if self.session:
            raise LiveRefused("already_started")
        with translation.override(language_of(self.scope)):
            try:
                start = Start.model_validate(content)
            except ValidationError as error:
                raise LiveRefused("bad_message", fault(error)) from None
        if start.sample_rate != RATE:
            raise LiveRefused("unsupported_sample_rate")
        session = await self._session(start)
        if isinstance(session, LiveSession):
            await self.send_message({"type": "done", "recording": session.recording_id})
            await self.shut(NORMAL)
            return
        self.session = session
        self.outbox = Outbox(self, partial(self._send, start), dropped=partial(self._leave, session))
        self.audience = Audience()
        await session.attach(self.outbox)
        if not self.closed:
            self.counting = asyncio.create_task(self._count_viewers(session.id))

    async def _session(self, start: Start) -> Session | LiveSession:
        """The session as it runs, or the row of one that is a recording."""
        user = self.scope["user"]
        options = {"title": start.title, "language": start.language, "prompt": start.prompt}
        if start.session is None:
            return await live.begin(user, **options)
        return await live.find(user, start.session, **options)

    async def _send(self, start: Start, message: Message) -> None:
        """Send a message, and behind `ready` the captions that a client missed which resumes.

        Captions may be read from the database, which may be away for a while.
        """
        await patiently(partial(self.send_message, message))
        if message["type"] == "ready" and start.session:
            await patiently(partial(self.send_snapshot, start.after))

    # --- its viewers ---------------------------------------------------------------------------

    async def live_watched(self, event: Message) -> None:
        self.audience.note(event["process"], event["count"])

    async def _count_viewers(self, session: str) -> None:
        """Tell the number of viewers when it changes.

        A channel layer that is away delays no sound. The group is joined anew each time, in case the layer forgot it.
        """
        told = None
        while True:
            with suppress(Exception):
                await self.channel_layer.group_add(speaker_group(session), self.channel_name)
            await asyncio.sleep(OFTEN)
            count = self.audience.count()
            if count != told:
                told = count
                self.outbox.tell({"type": "viewers", "count": count})
