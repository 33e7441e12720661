"""uvicorn's protocols for HTTP and WebSocket with bounds on heads, bodies, silence and unread answers.

The bounds hold for every client, signed in or not.

HTTP is parsed by h11. httptools takes a request with `Upgrade: h2c`, which Java's HttpClient and `curl --http2` send,
for one without a body. `python -m bench.parsers` measures the cost of h11 beside httptools.
"""

import fcntl
import http
import socket
import struct
import termios
from asyncio import BaseTransport, Transport
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import h11
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from web.connections import Bounds, Deadline, Places

MAX_HEAD = 64 * 1024  # bytes of request line and headers; of trailers; of one chunk's extensions
MAX_HEADERS = 100  # Apache's LimitRequestFields; browsers send 20
MAX_TARGET = 8000  # bytes; RFC 9110, section 4.1, wants at least this many
# Each chunk of a body costs the parser 7 µs, however small. Programs that send as they produce send a line each.
FREE_CHUNKS = 4096
SMALLEST_CHUNK = 32  # bytes, on average, once there are more
# A refused client may go on sending for so many seconds and bytes: to close earlier destroys the answer on its way.
LINGER = 2.0
LINGER_BYTES = 4 * 1024**2
MAX_UNSENT = 64 * 1024  # bytes of unsent pongs; with more, nothing is read from the client
MAX_FRAGMENTS = 1024  # of one WebSocket message, which has 256 KiB at most
HANG_UP = struct.pack("ii", 1, 0)  # for SO_LINGER: on close, the kernel discards unsent bytes


class Parser(h11.Connection):
    """h11's parser with limits on complete heads and chunks. h11 itself limits only incomplete ones.

    status    HTTP status of the refusal, once `next_event` has raised RemoteProtocolError
    """

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD)
        self.status = 400
        self._chunks = self._payload = 0

    def next_event(self) -> Any:
        beginning = self.their_state is h11.IDLE
        try:
            event = super().next_event()
            self._check(event)
        except h11.RemoteProtocolError as error:
            self.status = error.error_status_hint
            # h11, which is in state ERROR after its own errors, says 431 of everything incomplete that is too large.
            if self.status == 431 and self.their_state is h11.ERROR and beginning:
                self.status = 431 if b"\n" in self.trailing_data[0] else 414
            raise
        return event

    def _check(self, event: object) -> None:
        if isinstance(event, h11.Request):
            self._chunks = self._payload = 0
            _check_headers(event.headers, len(event.target))
            if len(event.target) > MAX_TARGET:
                raise h11.RemoteProtocolError("Target too long", 414)
        elif isinstance(event, h11.EndOfMessage):
            _check_headers(event.headers, 0)
        elif isinstance(event, h11.Data):
            self._chunks += event.chunk_start
            self._payload += len(event.data)
            if self._chunks > max(FREE_CHUNKS, self._payload / SMALLEST_CHUNK):
                raise h11.RemoteProtocolError("Chunks too small")


def _check_headers(headers: Any, besides: int) -> None:
    size = besides + sum(len(name) + len(value) + len(b": \r\n") for name, value in headers)
    if size > MAX_HEAD or len(headers) > MAX_HEADERS:
        raise h11.RemoteProtocolError("Headers too large", 431)


class _Flow(FlowControl):
    """uvicorn's flow control, which also calls `resumed` whenever the product is ready for more of a body."""

    def __init__(self, transport: Transport, resumed: Callable[[], None]) -> None:
        super().__init__(transport)
        self._resumed = resumed

    def resume_reading(self) -> None:
        super().resume_reading()
        self._resumed()


class HttpProtocol(H11Protocol):
    """One HTTP connection: `partial(HttpProtocol, places, bounds)` is uvicorn's `http=`."""

    def __init__(self, places: Places, bounds: Bounds, **given: Any) -> None:
        super().__init__(**given)
        self.conn: Parser = Parser()
        self._places, self._bounds = places, bounds
        self._reading = Deadline(self._late)
        self._awaited: object = None  # the client's next part: h11.IDLE a head, h11.SEND_BODY a body
        self._received = 0  # bytes
        self._refused = False

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast(Transport, transport))
        self._unread = Unread(self.transport, self._bounds)
        self.flow = _Flow(self.transport, self._attend)
        if self._places.enter(self, self.client[0] if self.client else None):
            self._attend()
        else:  # closed at once, so that a crowd holds no open files
            self._refused = True
            self.transport.write(_answer(503))
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._unread.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._refused and self._received > LINGER_BYTES:
            self.transport.abort()
        for start in range(0, len(data), MAX_HEAD):  # or h11 would hold a whole read of asyncio's, 256 KiB
            if self._refused or self.transport.get_protocol() is not self:
                return
            super().data_received(data[start : start + MAX_HEAD])

    def handle_events(self) -> None:
        super().handle_events()
        self._attend()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._leave()  # `SocketProtocol` enters
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread.begin()

    def resume_writing(self) -> None:
        self._unread.stop()
        super().resume_writing()
        self._attend()

    def shutdown(self) -> None:
        if self._refused:
            self.transport.abort()
        else:
            super().shutdown()

    def make_way(self) -> None:
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self.conn.status)

    def _should_upgrade(self) -> bool:
        """Whether to become a WebSocket: for a GET without a body. Other upgrades may be ignored (RFC 9110, 7.8)."""
        names = {name for name, _ in self.headers}
        plain = self.scope["method"] == "GET" and not names & {b"content-length", b"transfer-encoding"}
        return plain and self._get_upgrade() == b"websocket"

    def _attend(self) -> None:
        """Set the deadline for the client's next part. There is none while the product is not ready to read it."""
        over = self._refused or self.transport.get_protocol() is not self
        waits = self.flow.read_paused or (self.cycle and self.cycle.waiting_for_100_continue)
        awaited = None if over or waits else self.conn.their_state
        self._places.rest(self, self._refused or (awaited is h11.IDLE and not self.flow.write_paused))
        if awaited is self._awaited:
            return
        self._awaited = awaited
        if awaited is h11.IDLE:
            self._reading.start(self._bounds.head_seconds)
        elif awaited is h11.SEND_BODY:
            self._reading.start(self._bounds.grace, lambda: self._received, self._bounds.least_rate)
        elif not self._refused:
            self._reading.stop()

    def _late(self) -> None:
        if self._refused:
            self.transport.abort()
        elif self._awaited is h11.IDLE and not self.conn.trailing_data[0]:
            self.transport.close()  # it has said nothing
        else:
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        """Answer with the status, unless another answer has begun; close when the client has ended or after LINGER."""
        self._refused = True
        self._places.rest(self, True)
        self._unset_keepalive_if_required()
        if self.cycle:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.SEND_RESPONSE, h11.IDLE):
            self.transport.write(_answer(status))
            self.transport.write_eof()
            self.flow.resume_reading()
            self._received = 0
            self._reading.start(LINGER)
        else:
            self.transport.abort()

    def _leave(self) -> None:
        self._reading.stop()
        self._places.leave(self)


class SocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket: `partial(SocketProtocol, places, bounds)` is uvicorn's `ws=`. Its pings find silent clients."""

    def __init__(self, places: Places, bounds: Bounds, **given: Any) -> None:
        super().__init__(**given)
        self._places, self._bounds = places, bounds

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self._unread = Unread(self.transport, self._bounds)
        self._places.enter(self, self.client[0] if self.client else None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._places.leave(self)
        self._unread.stop()
        super().connection_lost(exc)

    def make_way(self) -> None:
        """Not called: a WebSocket does not rest."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc and not self.handshake_initiated:  # the library takes 8 KiB of one header
            self.transport.write(b"".join(self.conn.data_to_send()) or _answer(400))
            self.transport.close()
        if self.transport.get_write_buffer_size() > MAX_UNSENT and not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread.begin()

    def resume_writing(self) -> None:
        self._unread.stop()
        super().resume_writing()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self.transport.resume_reading()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) < MAX_FRAGMENTS:
            super().handle_cont(event)
        elif not self.close_sent:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()


class Unread(Deadline):
    """The deadline of a client that does not read its answer."""

    def __init__(self, transport: Transport, bounds: Bounds) -> None:
        super().__init__(partial(_hang_up, transport))
        self._transport, self._bounds = transport, bounds
        transport.set_write_buffer_limits(high=0)  # writing is paused while anything at all is unsent

    def begin(self) -> None:
        self.start(self._bounds.grace, lambda: -_unsent(self._transport), self._bounds.least_rate)


def _unsent(transport: Transport) -> int:
    """Bytes that have not reached the client, including the kernel's buffer, which may hold megabytes."""
    in_kernel = bytearray(4)
    descriptor = transport.get_extra_info("socket").fileno()
    try:
        fcntl.ioctl(descriptor, termios.TIOCOUTQ, in_kernel)
    except OSError:  # not on macOS, for a socket; or it is closed
        return transport.get_write_buffer_size()
    return transport.get_write_buffer_size() + int(struct.unpack("i", in_kernel)[0])


def _hang_up(transport: Transport) -> None:
    """Close at once, and free the kernel's buffer."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HANG_UP)
    transport.abort()


def _answer(status: int) -> bytes:
    phrase = http.HTTPStatus(status).phrase
    lines = (
        f"HTTP/1.1 {status} {phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(phrase) + 1}",
        "Connection: close",
        "",
        f"{phrase}\n",
    )
    return "\r\n".join(lines).encode()
