"""What both sockets have in common: the subprotocol, errors, and captions in order."""

import logging
from abc import abstractmethod
from contextlib import suppress

from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import close_old_connections
from django.db.models import Q
from django.utils import translation

from accounts.sockets import Rightful, language_of
from recordings.live.messages import Message, caption_message, encoded
from recordings.live.refusals import REFUSALS, LiveRefused, refusal
from recordings.models import Caption
from web.patience import DATABASE_AWAY

log = logging.getLogger(__name__)

PROTOCOL = "stile.live.1"
NORMAL = 1000  # close code
GONE = (OSError, RuntimeError)  # raised by a send when the client has left or was closed meanwhile
LATEST = 50  # captions that a latecomer gets


class LiveSocket(Rightful, AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Accepts before it refuses: a close code reaches a browser only on an open socket.

    next_index   of the next final caption. Each is sent once and in order, even if messages were lost on the way.
    """

    closed = False
    next_index = 0

    async def dispatch(self, message: Message) -> None:
        """Handle a message without Channels' look at the database's connections: sound must not wait for that."""
        try:
            await getattr(self, message["type"].replace(".", "_"))(message)
        except LiveRefused as refused:
            await self.refuse_now(refused.code, refused.words)
        except DATABASE_AWAY:
            log.exception("The database failed a live socket")
            await sync_to_async(close_old_connections)()
            await self.refuse_now("database_unavailable")

    async def connect(self) -> None:
        offered = self.scope["subprotocols"]
        await self.accept(PROTOCOL if PROTOCOL in offered else None)
        if offered and PROTOCOL not in offered:
            raise LiveRefused("unsupported_protocol")
        await self.admit()

    @abstractmethod
    async def admit(self) -> None:
        """Raises LiveRefused if this person may not have the socket."""

    @property
    @abstractmethod
    def session_id(self) -> str:
        """The session of the captions that are sent; empty before there is one."""

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
        """Send a final caption. Earlier ones that were lost on the way are read from the database and sent first."""
        if index > self.next_index:
            await self.send_captions(Q(index__gte=self.next_index, index__lt=index))
        if index == self.next_index:
            self.next_index += 1
            await self.send_text(text)

    async def send_snapshot(self, after: int | None) -> None:
        """Send the captions behind the one with this index; without an index, the latest ones."""
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
