"""The speaker of a live session: one socket at a time."""

from typing import Protocol

from recordings.live.messages import Message


class Speaker(Protocol):
    """The socket of a speaker, as a session sees it. No method waits."""

    def tell(self, message: Message) -> None: ...

    def refuse(self, code: str) -> None:
        """Tell the error, and close the socket if the code demands it."""

    def done(self, recording: int | None) -> None:
        """Tell that the session is this recording now, and close the socket."""


class CurrentSpeaker:
    """The socket that speaks now, or none. The newest one wins.

    A new socket is told nothing before `ready`: that message says where the sound stands, and the captions follow it.
    """

    def __init__(self) -> None:
        self.socket: Speaker | None = None
        self.greeted = False

    def replace(self, socket: Speaker) -> None:
        before, self.socket, self.greeted = self.socket, socket, False
        if before:
            before.refuse("open_elsewhere")

    def greet(self, *messages: Message) -> None:
        """The first messages that it is told."""
        self.greeted = True
        for message in messages:
            self.tell(message)

    def leave(self) -> None:
        self.socket = None

    def tell(self, message: Message) -> None:
        if self.socket and self.greeted:
            self.socket.tell(message)

    def refuse(self, code: str) -> None:
        if self.socket:
            self.socket.refuse(code)

    def done(self, recording: int | None) -> None:
        if self.socket:
            self.socket.done(recording)
