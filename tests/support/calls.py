"""A Whisper client for stub servers, and the smallest request for it."""

import struct
from typing import Any

from transcription.breaker import Breaker
from transcription.client import WhisperClient
from transcription.limit import FixedLimit, Limit
from transcription.pool import Pool, Server
from transcription.request import AsrRequest, CallOptions
from transcription.servers.file import NamedServer

# Seconds: a time-out for tests that wait for its end. A busy machine, too, sends the request within that time.
SENT_WITHIN = 2.0

WAV = (
    struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 38, b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", 2)
    + b"\0\0"
)


def request(name: str = "", seconds: float = 1.0, **fields: Any) -> AsrRequest:
    """A request with this name as its prompt, by which a test tells it from others at the stub."""
    return AsrRequest(WAV, seconds, prompt=name, **fields)


def caller(lane: Any = "batch", owner: str = "someone", **more: Any) -> CallOptions:
    """The options of a call for this owner, in this lane."""
    return CallOptions(lane, owner, **more)


def client(*servers: str | NamedServer, limit: int | Limit = 1, max_queue: int = 100, **options: Any) -> WhisperClient:
    """A client of these servers, or addresses, behind one gate. Its delays are short, so that tests are quick."""

    def limits() -> Limit:
        return FixedLimit(limit) if isinstance(limit, int) else limit

    named = [NamedServer(server) if isinstance(server, str) else server for server in servers]
    return WhisperClient(
        Pool([Server(each, each.url, limits(), Breaker()) for each in named], max_queue=max_queue),
        **{"retry_delay": 0.01, "request_timeout": 10.0, "abandoned_grace": 5.0} | options,
    )
