"""Everything that can go wrong on the way to a text, as one small tree.

    TranscriptionError
    ├── GateError                the gate did not let the call through
    │   ├── QueueFull            too many wait; `retry_after` says when to come back
    │   ├── DeadlineExceeded     it waited past its own deadline
    │   ├── Superseded           a newer call took its place
    │   ├── Evicted              its server was lost while it waited; another may take it
    │   ├── Withdrawn            when its turn came, its caller had no use for it any more
    │   ├── NestedPermit         its task already holds a permit of this server (a bug in the caller)
    │   └── BypassRefused        it asked to skip the gate and may not
    ├── AnswerError              the server's answer, or that there was none
    │   ├── OutOfMemory, ServerBusy, Unreachable, TimedOut, ServerError, ProtocolError    may pass: retried
    │   │   └── BrokenOff        (an Unreachable) it had taken the request, and there was no answer
    │   │       └── Killed       the kernel ended the embedded engine
    │   ├── Misconfigured        the administrator must put the settings or the server right; until then jobs wait
    │   ├── Poison               this very request breaks it each time, while it answers others: final
    │   └── Rejected             will not pass: final at once
    │       └── UnknownModel     the caller named a model that the server does not have
    └── BadAudio                 the file is not audio that can be transcribed
        └── CrashedDecoder       the process that read the file ended amid its work

`code` is the stable name that the API, the pages and the database use.
"""

from typing import Literal

from .sentence import Sentence

# What a refusal is about. `audio`: the recording, or what its owner asked for; the others are the administrator's.
Fault = Literal["address", "key", "model", "format", "field", "encoding", "audio"]


class TranscriptionError(Exception):
    code = "transcription_failed"


class GateError(TranscriptionError):
    code = "not_admitted"


class QueueFull(GateError):
    code = "queue_full"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # seconds, from the measured service rate


class DeadlineExceeded(GateError):
    code = "deadline_exceeded"


class Superseded(GateError):
    code = "superseded"


class Evicted(GateError):
    code = "unreachable"


class Withdrawn(GateError):
    """Nothing was sent."""


class NestedPermit(GateError):
    code = "nested_permit"


class BypassRefused(GateError):
    code = "bypass_refused"


class AnswerError(TranscriptionError):
    """`retry_after`: seconds the server asked us to wait, if it did."""

    code = "server_error"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OutOfMemory(AnswerError):
    code = "out_of_memory"


class ServerBusy(AnswerError):
    code = "server_busy"


class Unreachable(AnswerError):
    code = "unreachable"


class BrokenOff(Unreachable):
    """The server, or a proxy before it, had taken the request, and then the connection broke."""


class Killed(BrokenOff):
    """Most likely for want of memory, which is hardly the call's fault: only where others get through it may be."""


class SilenceLost(Unreachable):
    """The call itself was not sent: the silence that went before it did not get through."""


class Poison(AnswerError):
    code = "poison"


class TimedOut(AnswerError):
    code = "timed_out"


class ServerError(AnswerError):
    code = "server_error"


class ProtocolError(ServerError):
    code = "protocol_error"


class Rejected(AnswerError):
    code = "rejected"


class UnknownModel(Rejected):
    """The server has no model of this name."""


class Misconfigured(AnswerError):
    """The settings and the server do not fit: the address, the API key, the model or the format.

    Neither the caller nor the recording is at fault, and the next request would fare the same.
    `finding`: what is wrong and what to do, without the server's own words, for pages and programs.
    """

    code = "misconfigured"

    def __init__(self, message: str, finding: Sentence, what: Fault) -> None:
        super().__init__(message)
        self.finding = finding
        self.what = what

    def again(self) -> "Misconfigured":
        """A copy for another call to raise: an error that is raised twice collects the frames of both."""
        return Misconfigured(str(self), self.finding, self.what)


class BadAudio(TranscriptionError):
    """`code`: not_audio, unknown_codec, empty_file, no_sound, truncated, damaged, too_long or too_complex; the message
    is for a person. `detail`: the codecs of an unknown_codec."""

    def __init__(self, code: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.detail = detail


class CrashedDecoder(BadAudio):
    """The file may be to blame, or the machine (no memory left), so another try may succeed."""

    def __init__(self, message: str) -> None:
        super().__init__("crashed_decoder", message)
