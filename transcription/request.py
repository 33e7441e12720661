"""A call as data: what is asked of Whisper, and on whose behalf."""

import secrets
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from .audio import wav_header
from .errors import TranscriptionError
from .line import Lane

LIVE = "X-Stile-Live"  # the header of a live request; other servers than the embedded engine do not look at it
SILENCE = wav_header(32_000) + bytes(32_000)  # a WAV file of one second


@dataclass(frozen=True, slots=True)
class AsrRequest:
    """What is asked of a Whisper server.

    audio: a whole WAV file, 16 kHz mono; `seconds`: its length.
    language: Whisper's code, such as `zh`. prompt: text that the model takes as said before. Empty: the server decides.
    model: empty for the server's own.
    translate: the text shall be English, whatever is spoken.
    live: somebody watches the text come. The embedded engine computes such requests beside its batches.
    """

    audio: bytes
    seconds: float
    language: str = ""
    prompt: str = ""
    model: str = ""
    temperature: float = 0.0
    translate: bool = False
    live: bool = False


def silence(model: str = "", language: str = "") -> AsrRequest:
    """The request of a probe: it has an answer, and costs the server little."""
    return AsrRequest(SILENCE, 1.0, language=language, model=model)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """For whom a call is made, and how long it may wait.

    lane, owner, deadline, supersede: see `Gate.enter`.
    weight: how many calls of this owner are let in when it is the owner's turn.
    durable: the call may wait for hours. A server that is away, busy or silent, or a full line, never fails it.
    withdrawn: asked when the call has its permit. If it returns True, nothing is sent and `Withdrawn` is raised.
    on_retry: told the error and the seconds until the next attempt.
    waited: seconds that the call waited before it was made, for instance as a job in line.
    announce: writes the log line of the call's arrival, in place of `WhisperClient.announce`.
    task_id: the name of the call in log lines.
    """

    lane: Lane
    owner: Hashable
    weight: int = 1
    durable: bool = False
    deadline: float | None = None
    supersede: Hashable = None
    withdrawn: Callable[[], bool] | None = None
    on_retry: Callable[[TranscriptionError, float], None] | None = None
    waited: float = 0.0
    announce: Callable[[], None] | None = None
    task_id: str = field(default_factory=lambda: f"asr_{secrets.token_hex(4)}")
