"""The server's messages of the protocol `stile.live.1`, and the way to viewers and speakers in all processes."""

import json
import logging
from typing import Any

from channels.layers import get_channel_layer

from recordings.live.journal import SECOND
from recordings.models import Caption
from transcription import captions

log = logging.getLogger(__name__)

Message = dict[str, Any]

MAX_FRAME_BYTES = 4 + SECOND // 2  # a number, and half a second of sound


def group(session: str) -> str:
    """Channel-layer group of all viewers of this session."""
    return f"live.{session}"


def speaker_group(session: str) -> str:
    """Channel-layer group of the speaker of this session."""
    return f"live.{session}.speaker"


def caption_message(caption: Caption | captions.CaptionState) -> Message:
    final = isinstance(caption, Caption) or caption.final
    return {
        "type": "caption",
        "index": caption.index,
        "start": round(caption.start, 2),
        "end": round(caption.end, 2),
        "text": caption.text,
        "state": "final" if final else "tentative",
        "stable": len(caption.text) if isinstance(caption, Caption) or final else caption.stable,
    }


def encoded(message: Message) -> str:
    return json.dumps(message, ensure_ascii=False)


async def tell_viewers(session: str, message: Message) -> None:
    """Never raises and never waits for a viewer. A viewer that misses a final caption notices it by the index."""
    index = message["index"] if message.get("state") == "final" else None
    await _send(group(session), {"type": "live.told", "text": encoded(message), "index": index})


async def tell_changed(session: str) -> None:
    """Let all viewers look whether the session has ended, and whether they may still watch it."""
    await _send(group(session), {"type": "live.look"})


async def tell_count(session: str, process: str, count: int) -> None:
    """Tell the speaker the number of viewers in one process."""
    await _send(speaker_group(session), {"type": "live.watched", "process": process, "count": count})


async def _send(group: str, event: Message) -> None:
    try:
        await get_channel_layer().group_send(group, event)
    except Exception:
        log.exception("%s could not be told", group)
