"""The sockets of live captions: who speaks, and who watches. The protocol is `stile.live.1`.

Who speaks sends `start`, then frames of sound, `pause` and `stop`; who watches sends nothing. Whatever cannot be taken
is answered with `{"type": "error", "code", "message"}`, and the socket is closed with:

    4400  bad_message, bad_frame, sequence_gap, not_started, already_started, unsupported_sample_rate,
          unsupported_protocol: the client breaks the protocol
    4401  not_signed_in             4403  not_allowed: the origin, or a token without the scope
    4404  not_found: no such session, or somebody else's
    4409  open_elsewhere: the session goes on in another window
    4413  frame_too_large: more than half a second; too_long, quota_exceeded: the session ends with what there is
    4429  too_many_sessions
    1012  restarting                1013  slow_client, database_unavailable: come back    1011  internal_error
    open  stopped, disk_full, storage_failed: the socket is not closed

A frame that has come before is ignored: clients that resume send again what was not acknowledged.
"""

import asyncio
import json
import logging
import re
import struct
import time
from abc import abstractmethod
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs

from asgiref.sync import sync_to_async
from channels.exceptions import ChannelFull, StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import close_old_connections
from django.db.models import Q
from django.utils import translation
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from accounts.auth import Scope
from accounts.sockets import NOT_SIGNED_IN, Rightful, language_of
from recordings.failures import fault
from recordings.live.audience import OFTEN, Audience, viewers
from recordings.live.journal import SAMPLE
from recordings.live.refusals import REFUSALS, Refused, refusal
from recordings.live.session import MAX_FRAME_BYTES, Session
from recordings.live.sessions import live
from recordings.live.telling import Message, caption_message, encoded, group, speaker_group
from recordings.models import Caption, LiveSession
from recordings.text import Language, Prompt, Title
from transcription.audio import RATE
from web.patience import DATABASE_AWAY, patiently

log = logging.getLogger(__name__)

PROTOCOL = "stile.live.1"
NORMAL = 1000
INDEX = re.compile(r"-?[0-9]{1,9}")  # of a caption; a database holds no larger ones
GONE = (OSError, RuntimeError)  # what a send raises when the client has left, or was closed, meanwhile
NUMBER = struct.Struct("<I")
MOST_UNTOLD = 200  # messages that wait for a slow client before it is dropped
LATEST = 50  # captions that a latecomer gets
UNREAD = 20.0  # seconds after which a viewer that takes no message is dropped
QUIET = 30.0  # seconds without a message after which a viewer looks whether one was lost on the way


class NotRead(Exception):
    """What was sent is not read."""


class Start(BaseModel):
    """The first message of who speaks: of a new session, or to go on with one."""

    model_config = ConfigDict(strict=True)

    type: Literal["start"]
    session: str | None = None
    resume: bool = False
    after: Annotated[int, Field(ge=-(10**9), le=10**9)] | None = None  # the last final caption that the client has
    sample_rate: int = RATE
    language: Language = ""
    title: Title = ""
    prompt: Prompt = ""


class Socket(Rightful, AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Accepts before it refuses: a close code only reaches the browser on an open socket.

    next_index   of the final caption that comes next: each is sent once, in order, whatever was lost on the way
    """

    closed = False
    next_index = 0

    async def dispatch(self, message: Message) -> None:
        """Without Channels' look at the database's connections before each message: sound does not wait for them."""
        try:
            await getattr(self, message["type"].replace(".", "_"))(message)
        except Refused as refused:
            await self.refuse_now(refused.code, refused.words)
        except DATABASE_AWAY:
            log.exception("The database failed a live socket")
            await sync_to_async(close_old_connections)()
            await self.refuse_now("database_unavailable")

    async def connect(self) -> None:
        offered = self.scope["subprotocols"]
        await self.accept(PROTOCOL if PROTOCOL in offered else None)
        if offered and PROTOCOL not in offered:
            raise Refused("unsupported_protocol")
        await self.admit()

    @abstractmethod
    async def admit(self) -> None:
        """Raises Refused."""

    def problem(self, code: str, words: str = "") -> Message:
        with translation.override(language_of(self.scope)):
            return refusal(code, words)

    async def refuse_now(self, code: str, words: str = "") -> None:
        await self.send_message(self.problem(code, words))
        if close := REFUSALS[code][0]:
            await self.shut(close)

    async def shut(self, code: int) -> None:
        if not self.closed:
            self.closed = True
            with suppress(*GONE):
                await self.close(code)

    async def send_message(self, message: Message) -> None:
        if message.get("state") == "final":
            await self.send_final(message["index"], encoded(message))
        else:
            await self.send_text(encoded(message))

    async def send_text(self, text: str) -> None:
        if not self.closed:
            with suppress(*GONE):
                await self.send(text_data=text)

    async def send_final(self, index: int, text: str) -> None:
        """In its turn: after those that were lost on the way, which are in the database."""
        if index > self.next_index:
            await self.send_captions(Q(index__gte=self.next_index, index__lt=index))
        if index == self.next_index:
            self.next_index += 1
            await self.send_text(text)

    async def send_snapshot(self, after: int | None) -> None:
        """The captions after this one; without one, the latest."""
        if after is None:
            newest = await Caption.objects.filter(session=self.session_id).order_by("-index").afirst()
            after = newest.index - LATEST if newest else -1
        self.next_index = max(0, after + 1)
        await self.send_captions(Q(index__gt=after))

    async def send_captions(self, which: Q) -> None:
        captions = Caption.objects.filter(which, session=self.session_id).order_by("index")
        async for caption in captions.aiterator(chunk_size=LATEST):
            self.next_index = caption.index + 1
            await self.send_text(encoded(caption_message(caption)))

    @property
    @abstractmethod
    def session_id(self) -> str:
        """Whose captions are sent; empty before there is a session."""


class SpeakerConsumer(Socket):
    """Who speaks. What it is told goes through a line of its own, so that a slow client holds nobody up."""

    scopes = frozenset({Scope.TRANSCRIBE})
    session: Session | None = None
    telling: asyncio.Task[None] | None = None
    counting: asyncio.Task[None] | None = None

    async def admit(self) -> None:
        if code := self.refusal():
            raise Refused("not_signed_in" if code == NOT_SIGNED_IN else "not_allowed")

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
            self.session.detach(self)
        for task in (self.telling, self.counting):
            if task:
                task.cancel()
        if self.session:
            await self.channel_layer.group_discard(speaker_group(self.session.id), self.channel_name)

    async def _frame(self, frame: bytes) -> None:
        if self.session is None:
            raise Refused("not_started")
        if len(frame) > MAX_FRAME_BYTES:
            raise Refused("frame_too_large")
        sound = frame[NUMBER.size :]
        if not sound or len(sound) % SAMPLE:
            raise Refused("bad_frame")
        await self.session.hear(self, NUMBER.unpack_from(frame)[0], sound)

    async def _message(self, text: str) -> None:
        try:
            content = json.loads(text)
            kind = content["type"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise Refused("bad_message") from None
        if kind == "start":
            await self._start(content)
        elif self.session is None:
            raise Refused("not_started")
        elif kind == "pause":
            self.session.pause()
        elif kind == "stop":
            self.session.end()
        else:
            raise Refused("bad_message")

    async def _start(self, content: Any) -> None:
        if self.session:
            raise Refused("already_started")
        with translation.override(language_of(self.scope)):
            try:
                start = Start.model_validate(content)
            except ValidationError as error:
                raise Refused("bad_message", fault(error)) from None
        if start.sample_rate != RATE:
            raise Refused("unsupported_sample_rate")
        session = await self._session(start)
        if isinstance(session, LiveSession):
            await self.send_message({"type": "done", "recording": session.recording_id})
            await self.shut(NORMAL)
            return
        self.session = session
        self.untold: asyncio.Queue[Message | int] = asyncio.Queue(MOST_UNTOLD)
        self.telling = asyncio.create_task(self._tell_all(start))
        self.audience = Audience()
        await session.attach(self)
        if not self.closed:
            self.counting = asyncio.create_task(self._count_viewers(session.id))

    async def _session(self, start: Start) -> Session | LiveSession:
        user = self.scope["user"]
        if start.session is None:
            return await live.begin(user, title=start.title, language=start.language, prompt=start.prompt)
        return await live.find(user, start.session)

    # --- as the session sees it ----------------------------------------------------------------

    def tell(self, message: Message) -> None:
        self._put(message)

    def refuse(self, code: str) -> None:
        self._put(self.problem(code))
        if close := REFUSALS[code][0]:
            self._put(close)

    def done(self, recording: int | None) -> None:
        self._put({"type": "done", "recording": recording})
        self._put(NORMAL)

    def _put(self, what: Message | int) -> None:
        try:
            self.untold.put_nowait(what)
        except asyncio.QueueFull:
            self.drop()

    def drop(self) -> None:
        """It reads more slowly than captions come; what it missed is there when it comes back."""
        if self.session and self.telling and not self.telling.done():
            self.session.detach(self)
            self.telling.cancel()
            if self.counting:
                self.counting.cancel()
            self.telling = asyncio.create_task(self.refuse_now("slow_client"))

    async def _tell_all(self, start: Start) -> None:
        while not self.closed:
            what = await self.untold.get()
            if isinstance(what, int):
                await self.shut(what)
                return
            await self.send_message(what)
            if what["type"] == "ready" and start.session:
                await patiently(partial(self.send_snapshot, start.after))

    # --- who watches ---------------------------------------------------------------------------

    async def live_watched(self, event: Message) -> None:
        self.audience.note(event["process"], event["count"])

    async def _count_viewers(self, session: str) -> None:
        """Told when it changes. A channel layer that is away holds up no sound, and is joined when it is back."""
        told = None
        while True:
            with suppress(Exception):
                await self.channel_layer.group_add(speaker_group(session), self.channel_name)
            await asyncio.sleep(OFTEN)
            count = self.audience.count()
            if count != told:
                told = count
                self.tell({"type": "viewers", "count": count})


class ViewerConsumer(Socket):
    """The socket of a viewer: the owner (a token needs the scope `read`), and anyone who has the link of a public
    session. Messages from the client are dropped.

    `?after=7`: the captions after the seventh; without it, the latest ones.
    """

    scopes = frozenset({Scope.READ})
    looking: asyncio.Task[None] | None = None
    told_at = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """However it ends, it watches no more. A client that reads nothing hinders the server from closing, too."""

        async def send_soon(message: Message) -> None:
            try:
                async with asyncio.timeout(UNREAD):
                    await send(message)
            except TimeoutError:
                raise NotRead from None

        try:
            await super().__call__(scope, receive, send_soon)
        except NotRead:
            with suppress(StopConsumer):
                await self.websocket_disconnect({"type": "websocket.disconnect", "code": REFUSALS["slow_client"][0]})
        finally:
            viewers.go(self.session_id, self)

    @property
    def session_id(self) -> str:
        return str(self.scope["url_route"]["kwargs"]["session"])

    async def admit(self) -> None:
        after = parse_qs(self.scope["query_string"].decode("latin-1")).get("after")
        if after and not INDEX.fullmatch(after[0]):
            raise Refused("bad_message")
        await self.channel_layer.group_add(group(self.session_id), self.channel_name)
        row = await self._watched()
        viewers.come(self.session_id, self)
        await self.send_snapshot(int(after[0]) if after else None)
        if running := live.get(self.session_id):
            await self.send_message(running.status())
            if running.tentative:
                await self.send_message(running.tentative)
        self.looking = asyncio.create_task(self._look_again())
        await self._leave_if_ended(row)

    async def disconnect(self, code: int) -> None:
        self.closed = True
        if self.looking:
            self.looking.cancel()
        await self.channel_layer.group_discard(group(self.session_id), self.channel_name)

    async def live_told(self, event: Message) -> None:
        self.told_at = time.monotonic()
        if event["index"] is None:
            await self.send_text(event["text"])
        else:
            await self.send_final(event["index"], event["text"])

    async def reconsider(self) -> None:
        await self._watched()

    async def live_look(self, _event: Message) -> None:
        """Something else changed, or may have been missed: is it still allowed, has it ended?"""
        row = await self._watched()
        await self.send_captions(Q(index__gte=self.next_index))
        await self._leave_if_ended(row)

    async def _look_again(self) -> None:
        """A message may be lost on the way. Who heard nothing for a while looks."""
        while True:
            await asyncio.sleep(QUIET)
            if time.monotonic() - self.told_at > QUIET:
                with suppress(ChannelFull):  # its client reads slowly; it looks again
                    await self.channel_layer.send(self.channel_name, {"type": "live.look"})

    async def _watched(self) -> LiveSession:
        row = await LiveSession.objects.filter(pk=self.session_id).afirst()
        mine = row and row.owner_id == self.scope["user"].pk and not self.refusal()
        if not row or not (row.public or mine):
            raise Refused("not_found")
        return row

    async def _leave_if_ended(self, row: LiveSession) -> None:
        running = live.get(self.session_id)
        if running and not running.ended:
            return
        if row.ended_at is None:
            return
        recording = row.recording_id if row.owner_id == self.scope["user"].pk else None
        await self.send_message({"type": "done", "recording": recording})
        await self.shut(NORMAL)
