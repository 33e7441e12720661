"""The text of a recording: as data, as a file, and the correction of a segment."""

import asyncio
from typing import Any

from django.http import HttpResponse
from django.utils.http import content_disposition_header
from ninja import P, QueryEx, Router, Status

from accounts.auth import ApiRequest, Scope, needs
from recordings.api.schemas import (
    Conflict,
    Format,
    SegmentOut,
    SegmentPatch,
    SegmentStatus,
    TranscriptOut,
    errors,
    files,
)
from recordings.api.shapes import (
    one_segment,
    transcript_of,
)
from recordings.library.listing import afind
from recordings.text import download_name
from recordings.transcripts.corrections import EditConflict, acorrect
from recordings.transcripts.exports import FORMATS
from web.problems import Problem

router = Router(tags=["transcripts"])


@router.get(
    "recordings/{int:id}/transcript",
    response={200: TranscriptOut, **errors(404, 409)},
    openapi_extra=files(*(media_type for name, (media_type, _) in FORMATS.items() if name != "json")),
    summary="Its text, as data or as a file",
)
async def transcript(
    request: ApiRequest,
    id: int,
    format: Format = "json",
    transcription: QueryEx[int | None, P(description="Another one’s than the text that is shown.")] = None,
) -> HttpResponse:
    """Of the transcription restored last, else of the newest that is done; before there is one, json gives what is
    there so far."""
    found = await transcript_of(await afind(request.auth.user.pk, id, transcription))
    if format != "json" and not found.transcription.finished:
        raise Problem("not_finished")
    media_type, write = FORMATS[format]
    content = await asyncio.to_thread(write, found)
    charset = "; charset=utf-8" if isinstance(content, str) else ""
    response = HttpResponse(content, content_type=media_type + charset)
    if format != "json":
        filename = download_name(found.recording.title, f".{format}")
        response["Content-Disposition"] = content_disposition_header(True, filename) or "attachment"
    return response


@router.patch(
    "recordings/{int:id}/segments/{int:index}",
    auth=needs(Scope.WRITE),
    response={200: SegmentOut | SegmentStatus, **errors(400, 404), 409: Conflict},
    summary="Correct a segment’s text",
)
async def correct_segment(request: ApiRequest, id: int, index: int, patch: SegmentPatch) -> Any:
    """The machine’s text is kept beside the correction. Send the `transcription` and the `version` that you read, and
    no change of somebody else’s is lost."""
    entry = await afind(request.auth.user.pk, id, patch.transcription)
    try:
        return await one_segment(
            request.auth, await acorrect(entry.recording, entry.shown, index, patch.text, patch.version)
        )
    except EditConflict as conflict:
        return Status(409, conflict.body() | {"segment": await one_segment(request.auth, conflict.segment)})
