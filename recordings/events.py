"""Telling open pages that something changed.

A message carries an id and no content: the page then asks for the rest as the person it belongs to, in their
language and with their rights.
"""

import logging

from channels.layers import get_channel_layer

from recordings.models import Recording

logger = logging.getLogger(__name__)

QUEUE_GROUP = "recordings.queue"  # everyone with a page open: positions in line may have moved


def owner_group(owner_id: int) -> str:
    return f"recordings.owner.{owner_id}"


async def recording_changed(recording_id: int, owner_id: int) -> None:
    """Tell the owner's pages that this recording changed or is gone, and everyone's that the line moved.

    Never raises: a page that misses a message finds out by polling, and no job may fail over it.
    """
    await text_changed(recording_id, owner_id)
    await _send(QUEUE_GROUP, {"type": "queue.changed"})


async def text_changed(recording_id: int, owner_id: int) -> None:
    """As `recording_changed`, of what does not move the line."""
    try:
        gone = not await Recording.objects.filter(pk=recording_id).aexists()
    except Exception:
        logger.exception("pages could not be told that recording %s changed", recording_id)
        return
    await _send(owner_group(owner_id), {"type": "recording.changed", "id": recording_id, "gone": gone})


async def _send(group: str, message: dict[str, object]) -> None:
    try:
        await get_channel_layer().group_send(group, message)
    except Exception:
        logger.exception("pages could not be told: %s", message)
