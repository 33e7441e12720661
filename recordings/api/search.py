"""Searching in all that a person has."""

from typing import Any

from ninja import P, QueryEx, Router

from accounts.auth import ApiRequest
from recordings.api.schemas import SearchPage, errors
from recordings.library.finding import Found, asearch
from recordings.search.hits import Piece
from recordings.search.query import LONGEST

router = Router(tags=["recordings"])


@router.get("search", response={200: SearchPage, **errors(404)}, summary="Search titles and texts")
async def search(
    request: ApiRequest,
    q: QueryEx[str, P(max_length=LONGEST, description="Words in any order, and phrases in quotation marks.")],
    limit: QueryEx[int, P(ge=1, le=50, description="Recordings.")] = 20,
    hits: QueryEx[int, P(ge=1, le=100, description="Hits of each recording, the first ones.")] = 3,
    recording: QueryEx[int | None, P(ge=1, le=2**63 - 1, description="Look in this one only.")] = None,
    cursor: QueryEx[str | None, P(pattern=r"^[0-9]{1,18}$", description="The `next_cursor` of a page.")] = None,
) -> dict[str, Any]:
    """The newest recordings whose title, or a segment of whose text, has all the words. A word of four letters or
    more, and the last one from two on, is also found as the beginning of a longer word; two Chinese characters
    anywhere. Upper case and accents make no difference. A correction counts, not the text that it corrects."""
    found, more = await asearch(
        request.auth.user.pk,
        q,
        before=int(cursor) if cursor else None,
        limit=limit,
        hits=hits,
        recording=recording,
    )
    return {"items": list(map(_item, found)), "next_cursor": str(more) if more else None}


def _item(found: Found) -> dict[str, Any]:
    recording, shown = found.entry.recording, found.entry.shown
    return {
        "id": recording.pk,
        "title": _pieces(found.title),
        "duration": recording.duration,
        "created_at": recording.created_at,
        "transcription": shown.pk if shown else None,
        "hits": [
            {"index": hit.segment.index, "start": round(hit.start, 3), "text": _pieces(hit.pieces)}
            for hit in found.said.first
        ],
        "count": found.said.count,
    }


def _pieces(pieces: list[Piece]) -> list[dict[str, Any]]:
    return [{"text": piece.text, "found": piece.found} for piece in pieces]
