"""The text of a recording: as data, as a file, and the correction of a segment."""

import asyncio
from collections.abc import Awaitable
from itertools import islice
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpResponse
from ninja import P, QueryEx, Router, Status

from accounts.auth import ApiRequest, Caller, Scope, needs
from recordings.api.schemas import (
    Conflict,
    Error,
    Format,
    JoinIn,
    MatchesOut,
    RearrangedOut,
    ReplacedOut,
    ReplaceIn,
    SegmentOut,
    SegmentPatch,
    SegmentStatus,
    SplitIn,
    TimesIn,
    TranscriptOut,
    UndoIn,
    UndoneOut,
    errors,
    files,
)
from recordings.api.shapes import numbers, one_segment, rearranged_segments, transcript_of, undo_of
from recordings.library.listing import Entry, afind
from recordings.text import SoughtPhrase
from recordings.transcripts.arranging import ajoin, aretime, asplit
from recordings.transcripts.corrections import EditConflict, acorrect
from recordings.transcripts.exports import FORMATS, file_response
from recordings.transcripts.replacing import Sought, areplace, matches_in
from recordings.transcripts.transcript import FullTranscript
from recordings.transcripts.undoing import Rearranged, atake_back, transcription_of
from web.problems import Problem

MOST_MATCHES = 100  # in one answer: more than anybody reads before a replacement

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
    return await transcript_file(await transcript_of(await afind(request.auth.user.pk, id, transcription)), format)


async def transcript_file(found: FullTranscript, format: Format) -> HttpResponse:
    """The text in this format, as a response. Raises Problem 409 for a file of a text that is not whole yet."""
    if format != "json" and not found.transcription.finished:
        raise Problem("not_finished")
    return await asyncio.to_thread(file_response, found, format)


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


async def _rearranged(caller: Caller, change: Awaitable[Rearranged]) -> Any:
    try:
        return await rearranged_segments(caller, await change)
    except EditConflict as conflict:
        return Status(409, conflict.body() | {"segment": await one_segment(caller, conflict.segment)})


@router.post(
    "recordings/{int:id}/segments/{int:index}/split",
    auth=needs(Scope.WRITE),
    response={200: RearrangedOut, **errors(400, 404), 409: Conflict | Error},
    summary="Split a segment in two",
)
async def split_segment(request: ApiRequest, id: int, index: int, parts: SplitIn) -> Any:
    """The second part is a new segment, with an index of its own. The words keep their times."""
    entry = await afind(request.auth.user.pk, id, parts.transcription)
    return await _rearranged(request.auth, asplit(entry.recording, entry.shown, index, parts.texts, parts.version))


@router.post(
    "recordings/{int:id}/segments/{int:index}/join",
    auth=needs(Scope.WRITE),
    response={200: RearrangedOut, **errors(400, 404), 409: Conflict | Error},
    summary="Join a segment with the next one",
)
async def join_segment(request: ApiRequest, id: int, index: int, read: JoinIn) -> Any:
    """The next one that says something, or did before it was corrected. Its text, its words and its correction go into
    this segment, and it is no more."""
    entry = await afind(request.auth.user.pk, id, read.transcription)
    change = ajoin(entry.recording, entry.shown, index, read.version, read.next_version)
    return await _rearranged(request.auth, change)


@router.put(
    "recordings/{int:id}/segments/{int:index}/times",
    auth=needs(Scope.WRITE),
    response={200: RearrangedOut, **errors(400, 404), 409: Conflict | Error},
    summary="Give a segment other times",
)
async def retime_segment(request: ApiRequest, id: int, index: int, times: TimesIn) -> Any:
    """Between the segments before and after. A segment that moves takes its words along; where it only gets longer or
    shorter, they stay at the times at which they were heard."""
    entry = await afind(request.auth.user.pk, id, times.transcription)
    change = aretime(entry.recording, entry.shown, index, times.start, times.end, times.version)
    return await _rearranged(request.auth, change)


@router.get("recordings/{int:id}/matches", response={200: MatchesOut, **errors(404)}, summary="Find in its text")
async def matches(
    request: ApiRequest,
    id: int,
    find: QueryEx[SoughtPhrase, P()],
    match_case: bool = False,
    whole_words: bool = False,
    transcription: QueryEx[int | None, P(description="In whose text; left out: in the one shown.")] = None,
) -> dict[str, Any]:
    """What a replacement would replace, before it does."""
    entry = await afind(request.auth.user.pk, id, transcription)
    sought = Sought(find, match_case, whole_words)
    return await sync_to_async(_matches)(entry, sought)


def _matches(entry: Entry, sought: Sought) -> dict[str, Any]:
    found = list(matches_in(entry.shown, sought))
    return {
        "count": len(found),
        "segments": len({match.segment.index for match in found}),
        "items": [
            {
                "index": match.segment.index,
                "start": match.segment.start,
                "before": match.before,
                "found": match.found,
                "after": match.after,
            }
            for match in islice(found, MOST_MATCHES)
        ],
    }


@router.post(
    "recordings/{int:id}/replace",
    auth=needs(Scope.WRITE),
    response={200: ReplacedOut, **errors(400, 404)},
    summary="Replace all in its text",
)
async def replace_all(request: ApiRequest, id: int, replacement: ReplaceIn) -> dict[str, Any]:
    """Each segment with a match is corrected: all of them, or none."""
    entry = await afind(request.auth.user.pk, id, replacement.transcription)
    sought = Sought(replacement.find, replacement.match_case, replacement.whole_words)
    count, done = await areplace(entry.recording, entry.shown, sought, replacement.replace)
    return {"count": count, "segments": numbers(done.segments), "undo": undo_of(request.auth, done)}


@router.post(
    "recordings/{int:id}/undo",
    auth=needs(Scope.WRITE),
    response={200: UndoneOut, **errors(400, 404, 409)},
    summary="Take a change of its segments back",
)
async def undo(request: ApiRequest, id: int, change: UndoIn) -> dict[str, Any]:
    """A split, a join and other times as a whole, if nobody changed those segments since. A replacement in each segment
    that nobody changed since."""
    await afind(request.auth.user.pk, id)
    entry = await afind(request.auth.user.pk, id, transcription_of(change.undo))
    done = await atake_back(entry.recording, entry.shown, change.undo)
    return {"segments": numbers(done.segments), "gone": done.gone}
