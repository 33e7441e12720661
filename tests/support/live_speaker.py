"""A speaker's socket, for sessions that run in the test's own process."""

from recordings.live.messages import Message


class Told:
    """A speaker's socket that keeps what it is told: types of messages, and codes of errors."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def tell(self, message: Message) -> None:
        self.kinds.append(message["type"])

    def refuse(self, code: str) -> None:
        self.kinds.append(code)

    def done(self, recording: int | None) -> None:
        self.kinds.append("done" if recording else "nothing")
