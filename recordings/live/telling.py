"""The messages of the protocol, and how they reach everyone who watches."""

import json
import logging
from typing import Any

from channels.layers import get_channel_layer

from recordings.models import Caption
from transcription import captions

log = logging.getLogger(__name__)

Message = dict[str, Any]


def group(session: str) -> str:
    """Who watches."""
    return f"live.{session}"


def speaker_group(session: str) -> str:
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
    """Never raises, and waits for nobody: a viewer that misses a caption finds out by its index."""
    index = message["index"] if message.get("state") == "final" else None
    await _send(group(session), {"type": "live.told", "text": encoded(message), "index": index})


async def tell_changed(session: str) -> None:
    """Who watches looks whether they still may, and whether it has ended."""
    await _send(group(session), {"type": "live.look"})


async def tell_count(session: str, process: str, count: int) -> None:
    """Who speaks learns how many watch in this process."""
    await _send(speaker_group(session), {"type": "live.watched", "process": process, "count": count})


async def _send(group: str, event: Message) -> None:
    try:
        await get_channel_layer().group_send(group, event)
    except Exception:
        log.exception("%s could not be told", group)
