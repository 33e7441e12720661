"""All errors on the way from sound to text, as one small tree.

    TranscriptionError
    ├── GateError                the gate did not let the call through
    │   ├── QueueFull            too many calls wait; `retry_after` says when to come back
    │   ├── DeadlineExceeded     the call waited past its deadline
    │   ├── Superseded           a newer call took its place
    │   ├── Evicted              none of the servers that the call may go to takes calls
    │   ├── Withdrawn            the caller no longer wanted the text when the call's turn came
    │   ├── NestedPermit         the task already holds a permit of this server (a bug in the caller)
    │   └── BypassRefused        the call asked to skip the gate, which is not allowed
    ├── AnswerError              the server answered with an error, or not at all
    │   ├── OutOfMemory, ServerBusy, TimedOut, ServerError                  may pass: retried
    │   │   └── ProtocolError    (a ServerError) the answer cannot be read
    │   ├── Unreachable          no connection: retried
    │   │   ├── BrokenOff        the connection broke after the server had taken the request
    │   │   │   └── Killed       the kernel ended the embedded engine
    │   │   └── SilenceLost      the silence that was sent before a suspect was not answered
    │   ├── Misconfigured        the administrator must change the settings or the server; until then jobs wait
    │   ├── Poison               this request breaks the server each time, and others do not: final
    │   └── Rejected             the server will never take this request: final at once
    │       └── UnknownModel     the caller named a model that the server does not have
    └── BadAudio                 the file cannot be transcribed
        └── CrashedDecoder       the process that read the file ended before it was done

`code` is the name that the API, the pages and the database use. It never changes.
"""

from typing import Literal

from .sentence import Sentence

# What a refusal is about. `audio`: the recording, or the options of its owner. The others are for the administrator.
Fault = Literal["address", "key", "model", "format", "field", "encoding", "audio"]


class TranscriptionError(Exception):
    code = "transcription_failed"


class GateError(TranscriptionError):
    code = "not_admitted"


class QueueFull(GateError):
    code = "queue_full"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # seconds, by the measured service time


class DeadlineExceeded(GateError):
    code = "deadline_exceeded"


class Superseded(GateError):
    code = "superseded"


class Evicted(GateError):
    code = "unreachable"


class Withdrawn(GateError):
    """The caller no longer wanted the text when the call's turn came, so nothing was sent."""


class NestedPermit(GateError):
    code = "nested_permit"


class BypassRefused(GateError):
    code = "bypass_refused"


class AnswerError(TranscriptionError):
    """`retry_after`: seconds that the server asked to wait; None if it did not."""

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
    """The connection broke after the server, or a proxy before it, had taken the request."""


class Killed(BrokenOff):
    """The kernel ended the embedded engine, most likely because memory ran out.

    That speaks against the call only if other calls get through.
    """


class SilenceLost(Unreachable):
    """The silence that is sent before a suspect was not answered. The suspect itself was not sent."""


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
    """The settings do not fit the server: the address, the API key, the model or the format.

    Neither the caller nor the recording is the cause, so the next request would fail in the same way.
    finding: what is wrong and what to do, without the server's own words; for pages and programs.
    what: the setting that does not fit.
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
    """The file cannot be transcribed. The message is for a person.

    code: not_audio, unknown_codec, empty_file, no_sound, truncated, damaged, too_long, too_complex or no_such_track.
    detail: the codecs of unknown_codec; the number of no_such_track.
    """

    def __init__(self, code: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.detail = detail


class CrashedDecoder(BadAudio):
    """The process that read the file ended. The file may be the cause, or a lack of memory: another try may succeed."""

    def __init__(self, message: str) -> None:
        super().__init__("crashed_decoder", message)
