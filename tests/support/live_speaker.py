"""A stand-in for a speaker's socket, for sessions that run in the test's own process."""

from recordings.live.messages import Message


class Told:
    """Stands in for a speaker's socket. `kinds`: the types of the messages, and the codes of the errors, that came."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def tell(self, message: Message) -> None:
        self.kinds.append(message["type"])

    def refuse(self, code: str) -> None:
        self.kinds.append(code)

    def done(self, recording: int | None) -> None:
        self.kinds.append("done" if recording else "nothing")
