"""Outages of Whisper, told to the pages as they begin and end. No row changes then, so nothing else would tell."""

import asyncio

from recordings.events import whisper_changed
from transcription.monitor.capacity import capacity

LOOK = 0.5  # seconds between two looks; people shall know within 5 s, of which a page may take two


async def tell_outages() -> None:
    """Tell all open pages when Whisper goes away, when the reason changes, and when it is back. Runs until canceled."""
    told = None
    while True:
        if (away := capacity().away) != told:
            told = away
            await whisper_changed()
        await asyncio.sleep(LOOK)
