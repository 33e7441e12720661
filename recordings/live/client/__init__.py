"""The other end of the socket: a client of `stile.live.1`, on which `manage.py live` is built.

client  a session over as many sockets as it takes
frames  sound from a file or a pipe, in frames
"""

from recordings.live.client.client import FRAME, SECOND, Away, LiveClient, Message, SessionRefused

__all__ = ["FRAME", "SECOND", "Away", "LiveClient", "Message", "SessionRefused"]
