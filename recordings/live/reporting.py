"""What people are told of a live session beside its captions: how late they are, and whether the speaker is there."""

import asyncio
from collections.abc import Awaitable, Callable

from recordings.live.captioning import Captioning
from recordings.live.messages import Message
from recordings.live.sound import IncomingSound

EVERY = 1.0  # seconds


class Reporting:
    """Tells a status when its state changes, and its figure once a second while captions are late.

    broadcast     tells a message to the speaker and all viewers
    tell_viewers  tells a message to all viewers
    """

    def __init__(
        self,
        captioning: Captioning,
        sound: IncomingSound,
        broadcast: Callable[[Message], Awaitable[None]],
        tell_viewers: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._captioning = captioning
        self._sound = sound
        self._broadcast = broadcast
        self._tell_viewers = tell_viewers
        self._state = "live"
        self._speaker = "here"

    async def run(self) -> None:
        """Until canceled."""
        while True:
            await asyncio.sleep(EVERY)
            status = self._captioning.status()
            if status["state"] != self._state or status["state"] != "live":
                self._state = status["state"]
                await self._broadcast(status)
            speaker = speaker_message(self._sound)
            if speaker["state"] != self._speaker:
                self._speaker = speaker["state"]
                await self._tell_viewers(speaker)

    def for_newcomer(self) -> list[Message]:
        """The messages for a viewer who comes now. The speaker is there unless they say something else."""
        speaker = speaker_message(self._sound)
        return [self._captioning.status(), *([speaker] if speaker["state"] != "here" else [])]


def speaker_message(sound: IncomingSound) -> Message:
    return {"type": "speaker", "state": sound.speaker}
