"""The schemas of the API, filled from the database: recordings, transcriptions, segments."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.urls import reverse

from accounts.auth import Caller, Scope
from accounts.models import ApiToken
from accounts.tokens import arenew_token
from recordings.api.schemas import LinkMade, LinkOut, RecordingStatus, TokenMade, TokenOut
from recordings.library.listing import Entry, beginnings, find, page, transcriptions
from recordings.library.moment import one_moment
from recordings.library.sharing import arenew_link
from recordings.models import GuestLink, Segment, Transcription
from recordings.transcripts.exports import segment_json
from recordings.transcripts.transcript import FullTranscript
from recordings.transcripts.undoing import Rearranged
from recordings.work.places import Place, standing
from web.codes import error_words
from web.problems import Problem

STATUS = frozenset(RecordingStatus.model_fields)
LINK = frozenset(LinkMade.model_fields)
TOKEN = frozenset(TokenMade.model_fields)


async def one_recording(caller: Caller, recording_id: int) -> dict[str, Any]:
    """The recording with all of its text (`RecordingOut`). A token without the scope `read` gets its status only
    (`RecordingStatus`). Raises Problem 404 as `find` does."""
    entry, places = await sync_to_async(_one_of_a_moment)(caller.user.pk, recording_id)
    if not caller.holds(Scope.READ):
        return {name: value for name, value in _recording(entry, places, None).items() if name in STATUS}
    text = None
    if entry.shown and entry.shown.status == Transcription.Status.DONE:
        text = (await transcript_of(entry, words=False)).text
    return _recording(entry, places, text)


def _one_of_a_moment(owner_id: int, recording_id: int) -> tuple[Entry, Mapping[int, Place]]:
    with one_moment():
        return find(owner_id, recording_id), standing().places


class AnswerMemory:
    """What `accounts.idempotency` keeps of an answer: the status of a recording, or the id of a link for guests or of
    an API token. All the rest is read again. The secret of a link or a token cannot be read, so it gets a new one."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def keep(self, body: dict[str, Any]) -> dict[str, Any] | None:
        if body.keys() >= STATUS:
            return {name: body[name] for name in STATUS}
        if body.keys() >= TOKEN:
            return {"token": body["id"]}
        return {"link": body["id"]} if body.keys() >= LINK else None

    async def recall(self, caller: Caller, kept: dict[str, Any]) -> dict[str, Any]:
        if "token" in kept:
            return made_token_json(*await arenew_token(caller.user, kept["token"], caller.token))
        if "link" in kept:
            link, secret = await arenew_link(caller.user.pk, kept["link"])
            return made_link_json(self._request, link, secret)
        return {**await one_recording(caller, kept["id"]), **kept}


def link_json(link: GuestLink) -> dict[str, Any]:
    """The link (`LinkOut`), without its secret, which is not known."""
    return {name: getattr(link, name) for name in LinkOut.model_fields}


def made_link_json(request: HttpRequest, link: GuestLink, secret: str) -> dict[str, Any]:
    """A link that was made just now (`LinkMade`)."""
    return link_json(link) | {"url": guest_address(request, secret)}


def token_json(token: ApiToken) -> dict[str, Any]:
    """The token (`TokenOut`), without its secret, which is not known."""
    fields = {name: getattr(token, name) for name in TokenOut.model_fields if name != "made_by"}
    return fields | {"made_by": token.made_by_id}


def made_token_json(token: ApiToken, secret: str) -> dict[str, Any]:
    """A token that was made just now (`TokenMade`)."""
    return token_json(token) | {"secret": secret}


def guest_address(request: HttpRequest, secret: str) -> str:
    """The address of a link for guests, at the host that was asked."""
    return request.build_absolute_uri(reverse("recordings:guest", args=[secret]))


async def one_segment(caller: Caller, segment: Segment) -> dict[str, Any]:
    """The segment (`SegmentOut`). A token without the scope `read` gets its number and version (`SegmentStatus`)."""
    if caller.holds(Scope.READ):
        return await asyncio.to_thread(segment_json, segment)
    return {"index": segment.index, "version": segment.version}


async def rearranged_segments(caller: Caller, done: Rearranged) -> dict[str, Any]:
    """What a change of one or two segments has done (`RearrangedOut`)."""
    segments = [await one_segment(caller, segment) for segment in done.segments]
    return {"segments": segments, "gone": done.gone, "undo": undo_of(caller, done)}


def undo_of(caller: Caller, done: Rearranged) -> str | None:
    """The undo has texts in it, so it is for callers with the scope `read`."""
    return done.undo or None if caller.holds(Scope.READ) else None


def numbers(segments: Iterable[Segment]) -> list[dict[str, int]]:
    """The numbers and versions of segments (`SegmentStatus`)."""
    return [{"index": segment.index, "version": segment.version} for segment in segments]


@sync_to_async
def listed_recordings(
    owner_id: int, *, query: str, status: str | None, before: int | None, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """A page of the library (see `listing.page`), with the beginning of each finished text, and the id to go on from.

    All of it is of one moment, so that the places in line fit together.
    """
    with one_moment():
        entries, more = page(owner_id, query=query, status=status, before=before, limit=limit)
        texts, places = beginnings(entries), standing().places
    return [_recording(entry, places, _beginning(entry, texts)) for entry in entries], more


def _beginning(entry: Entry, texts: Mapping[int, str]) -> str | None:
    if entry.shown and entry.shown.status == Transcription.Status.DONE:
        return texts.get(entry.shown.pk, "")
    return None


async def transcript_of(entry: Entry, *, words: bool = True) -> FullTranscript:
    """The text of `entry.shown`. words: whether the words of its segments are read, which are most of the data.

    Raises Problem 404 where there is no text, and no transcription that could still bring one.
    """
    if entry.shown:
        rows = Segment.objects.filter(transcription=entry.shown)
        segments = [segment async for segment in (rows if words else rows.defer("words"))]
        if segments or entry.shown.status not in {"failed", "canceled"}:
            return FullTranscript(entry.recording, entry.shown, segments)
    raise Problem("no_transcript")


async def listed_transcriptions(entry: Entry) -> list[dict[str, Any]]:
    """All transcriptions of the recording, the newest first."""
    shown = entry.shown.pk if entry.shown else None
    return [
        {
            "id": run.pk,
            "status": run.status,
            "language": run.language or None,
            "detected_language": run.detected_language or None,
            "model": run.model or None,
            "created_at": run.created_at,
            "finished_at": run.finished_at,
            "corrections": run.corrections,
            "shown": run.pk == shown,
        }
        async for run in transcriptions(entry.recording)
    ]


def _recording(entry: Entry, places: Mapping[int, Place], text: str | None) -> dict[str, Any]:
    recording, newest, shown = entry.recording, entry.newest, entry.shown
    return {
        "id": recording.pk,
        "title": recording.title,
        "status": newest.status if newest else "new",
        "source": recording.source,
        "duration": recording.duration,
        "bytes": recording.bytes,
        "media_type": recording.media_type,
        "language": recording.language or (shown.detected_language if shown else "") or None,
        "damaged": [{"start": start, "end": end} for start, end in recording.damaged],
        "tracks": recording.tracks,
        "created_at": recording.created_at,
        "transcription": _transcription(newest, places.get(newest.pk)) if newest else None,
        "text": text,
    }


def _transcription(run: Transcription, place: Place | None) -> dict[str, Any]:
    code = run.error_code
    return {
        "id": run.pk,
        "status": run.status,
        "position": place.position if place else None,
        "eta_seconds": place.eta_seconds if place else None,
        "segments_done": run.segments_done,
        "segments_total": run.segments_total,
        "error": {"code": code, "message": error_words(code)} if code else None,
    }
