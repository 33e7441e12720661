"""The sockets of live captions: one for the speaker, one for each viewer. The protocol is `stile.live.1`.

The speaker sends `start`, then frames of sound, `pause` and `stop`. A viewer sends nothing. An error is answered with
`{"type": "error", "code", "message"}`, and the socket is closed with:

    4400  bad_message, bad_frame, sequence_gap, not_started, already_started, unsupported_sample_rate,
          unsupported_protocol: the client breaks the protocol
    4401  not_signed_in             4403  not_allowed: the origin, or a token without the scope
    4404  not_found: no such session, or one of another person
    4409  open_elsewhere: the session goes on in another window
    4413  frame_too_large: more than half a second; too_long, quota_exceeded: the session ends with the sound it has
    4429  too_many_sessions
    1012  restarting                1013  slow_client, database_unavailable: come back    1011  internal_error
    open  stopped, disk_full, storage_failed: the socket is not closed

A frame with an earlier number is ignored: a client that resumes sends all frames again that were not acknowledged.
"""

from recordings.live.consumers.speaker import SpeakerConsumer
from recordings.live.consumers.viewer import ViewerConsumer

__all__ = ["SpeakerConsumer", "ViewerConsumer"]
