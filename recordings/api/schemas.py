"""The JSON that the API takes and gives, with examples: /api/docs shows them.

Input is a plain pydantic model. A Schema of ninja's would also read attributes of the value, a list's too.
"""

from datetime import datetime
from typing import Any, Literal

from ninja import Schema
from pydantic import BaseModel, ConfigDict, Field

from accounts.lanes import WorkLane
from accounts.models import ApiToken
from recordings.intake.options import UploadOptions
from recordings.text import Correction, Language, Phrase, Prompt, SoughtPhrase, Title, TokenName

TokenScope = Literal["read", "write", "transcribe", "stats"]
Status = Literal["queued", "transcribing", "done", "failed", "canceled"]
Format = Literal["json", "txt", "srt", "vtt", "md", "docx"]


class ErrorDetail(Schema):
    code: str = Field(description="A name that never changes.")
    message: str = Field(description="A sentence for a person, in the language of Accept-Language.")


class Error(Schema):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {"error": {"code": "not_found", "message": "There is nothing here, or it is not yours."}}
        }
    )

    error: ErrorDetail


class TranscriptionOut(Schema):
    id: int
    status: Status
    position: int | None = Field(description="Place in line: 1 is next; null unless queued.")
    eta_seconds: float | None = Field(
        description="Until it is done, by the rate that was measured; null before three transcriptions are done, and "
        "while no Whisper server can be reached."
    )
    segments_done: int
    segments_total: int | None = Field(description="null until the whole recording has been read.")
    error: ErrorDetail | None


class EarlierTranscription(Schema):
    id: int
    status: Status
    language: str | None = Field(description="As asked for; null: to be found out.")
    detected_language: str | None
    model: str | None = Field(description="As asked for; null: the server’s default.")
    created_at: datetime
    finished_at: datetime | None
    corrections: int = Field(description="How many segments people corrected.")
    shown: bool = Field(description="Its text is the recording’s.")


class TranscriptionList(Schema):
    items: list[EarlierTranscription]


class Span(Schema):
    start: float = Field(description="Seconds from the start of the recording.")
    end: float


class TrackOut(Schema):
    number: int = Field(description="To ask for it as `track`.")
    codec: str
    channels: int
    language: str = Field(description="As in the file; may be empty.")
    title: str = Field(description="As in the file; may be empty.")
    heard: bool = Field(description="It is part of what is transcribed.")


class RecordingOut(Schema):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 123,
                "title": "Monday meeting",
                "status": "queued",
                "source": "upload",
                "duration": 61.2,
                "bytes": 979244,
                "media_type": "audio/flac",
                "language": "en",
                "damaged": [],
                "tracks": [
                    {"number": 1, "codec": "flac", "channels": 1, "language": "", "title": "", "heard": True},
                ],
                "created_at": "2026-11-24T09:30:00Z",
                "transcription": {
                    "id": 9,
                    "status": "queued",
                    "position": 3,
                    "eta_seconds": 41.5,
                    "segments_done": 0,
                    "segments_total": None,
                    "error": None,
                },
                "text": None,
            }
        }
    )

    id: int
    title: str
    status: Literal["new", "queued", "transcribing", "done", "failed", "canceled"] = Field(
        description="That of the newest transcription; “new” where there is none."
    )
    source: Literal["upload", "browser", "live", "api"]
    duration: float = Field(description="Seconds.")
    bytes: int
    media_type: str
    language: str | None = Field(description="As given, else as heard; null while unknown.")
    damaged: list[Span] = Field(
        description="What could not be read, as far as it was read. A file that breaks off is damaged at its end; "
        "where it does not say how long it was, the last span has no length."
    )
    tracks: list[TrackOut] = Field(description="The sound tracks of the file; empty where nobody looked.")
    created_at: datetime
    transcription: TranscriptionOut | None = Field(description="The newest one.")
    text: str | None = Field(
        description="Of the newest transcription that is done, or the one restored since; in lists its beginning, "
        "at most 300 characters."
    )


class RecordingStatus(Schema):
    """What a token without the scope `read` gets: how the work on a recording stands, and nothing of what it says."""

    id: int
    status: Literal["new", "queued", "transcribing", "done", "failed", "canceled"]
    created_at: datetime
    transcription: TranscriptionOut | None


Recorded = RecordingOut | RecordingStatus  # the answer to a change: by the scopes of the token


class RecordingPage(Schema):
    items: list[RecordingOut]
    next_cursor: str | None = Field(description="Send it as `cursor` for what is older; null at the end.")


class LivePatch(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"public": True}})

    public: bool = Field(description="Whether anyone who has the link may watch; else only the owner.")


class LiveLink(Schema):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {"session": "p0zdCsr2xmRhFFIK", "link": "https://asr.lan/live/p0zdCsr2xmRhFFIK", "public": True}
        }
    )

    session: str
    link: str = Field(description="The viewers’ page. When the session has ended, it has the text.")
    public: bool


class TextPiece(Schema):
    text: str
    found: bool = Field(description="It is what was searched for.")


class SearchHit(Schema):
    index: int = Field(description="Of the segment.")
    start: float = Field(description="The moment from which to listen, in seconds: the address `/recordings/1#t=12.3`.")
    text: list[TextPiece] = Field(description="The sentence, cut where it is long.")


class SearchItem(Schema):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 123,
                "title": [{"text": "Monday ", "found": False}, {"text": "meeting", "found": True}],
                "duration": 61.2,
                "created_at": "2026-11-24T09:30:00Z",
                "transcription": 9,
                "hits": [
                    {
                        "index": 2,
                        "start": 41.3,
                        "text": [{"text": "The next ", "found": False}, {"text": "meeting", "found": True}],
                    }
                ],
                "count": 1,
            }
        }
    )

    id: int = Field(description="Of the recording.")
    title: list[TextPiece]
    duration: float = Field(description="Seconds.")
    created_at: datetime
    transcription: int | None = Field(description="The one whose text was searched.")
    hits: list[SearchHit] = Field(description="The first ones, in the order of the text.")
    count: int = Field(description="Segments of the text that have all the words.")


class SearchPage(Schema):
    items: list[SearchItem]
    next_cursor: str | None = Field(description="Send it as `cursor` for what is older; null at the end.")


class SocketTicketOut(Schema):
    model_config = ConfigDict(
        json_schema_extra={"example": {"ticket": "p3mB0Yw3cS0r0E1m8aRrX0m1eLq2kXv9hJ4sT7uN6wQ", "expires_in": 30}}
    )

    ticket: str
    expires_in: int = Field(description="Seconds.")


class TokenIn(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"name": "CI", "scopes": ["transcribe"], "days": 1}})

    name: TokenName = Field(description="What the token is for.")
    scopes: list[TokenScope] = Field(min_length=1, description="What it may do.")
    days: float | None = Field(90, gt=0, le=36_500, description="How long it works; null: until it is revoked.")
    lane: WorkLane | None = Field(None, description="Left out: that of the token that asks, else `interactive`.")
    weight: int = Field(
        1, ge=1, le=ApiToken.MOST_WEIGHT, description="How many of its calls at /v1 are let in at once at your turn."
    )


class TokenOut(Schema):
    id: int
    name: str
    ends_with: str = Field(description="The last letters of its secret, to tell tokens apart.")
    scopes: list[TokenScope]
    lane: WorkLane
    weight: int
    made_by: int | None = Field(description="The token that made it, and with which it ends; null: a person did.")
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")
    expired: bool


class TokenMade(TokenOut):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 5,
                "name": "CI",
                "secret": "asr_p3mB0Yw3cS0r0E1m8aRrX0m1eLq2kXv9hJ4sT7uN6wQ",
                "ends_with": "N6wQ",
                "scopes": ["transcribe"],
                "lane": "interactive",
                "weight": 1,
                "made_by": 3,
                "created_at": "2026-11-24T09:30:00Z",
                "expires_at": "2026-11-25T09:30:00Z",
                "last_used_at": None,
                "expired": False,
            }
        }
    )

    secret: str = Field(description="For `Authorization: Bearer …`. It is not kept: no later answer has it.")


class TokenList(Schema):
    items: list[TokenOut]


class UploadForm(UploadOptions):
    duplicate: Literal["allow", "reuse"] = Field(
        "allow", description="reuse: where you have the same bytes already, answer 200 with that recording."
    )


class RecordingPatch(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"title": "Monday meeting", "language": "en"}})

    title: Title | None = None
    language: Language | None = None


class TranscribeIn(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"language": "zh", "prompt": "Stile, 听序"}})

    language: Language | None = Field(None, description="Left out: as the recording says.")
    model: str | None = Field(None, max_length=128, pattern=r"^[\w.:/@+-]*$", description="The server’s default.")
    prompt: Prompt | None = Field(None, description="Left out: as the recording says.")
    track: int | None = Field(
        None,
        ge=0,
        le=999,
        description="The sound track to hear, from 1; 0: all that belong together. The recording says so from then on.",
    )


class LinkIn(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"audio": True, "days": 7}})

    audio: bool = Field(default=False, description="Guests hear the recording, too, and can keep its file.")
    days: int = Field(default=30, ge=1, le=365, description="How long the link works.")


class LinkOut(Schema):
    id: int
    ends_with: str = Field(description="The last letters of its secret, to tell links apart.")
    audio: bool
    created_at: datetime
    expires_at: datetime
    expired: bool


class LinkMade(LinkOut):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 5,
                "url": "https://stile.example/s/p3mB0Yw3cS0r0E1m8aRrX0m1eLq2kXv9hJ4sT7uN6wQ/",
                "ends_with": "N6wQ",
                "audio": True,
                "created_at": "2026-11-24T09:30:00Z",
                "expires_at": "2026-12-01T09:30:00Z",
                "expired": False,
            }
        }
    )

    url: str = Field(description="For guests. It is not kept: no later answer has it.")


class LinkList(Schema):
    items: list[LinkOut]


class Word(Schema):
    start: float
    end: float
    word: str
    probability: float | None = Field(description="null in a segment that a person corrected.")


class SegmentOut(Schema):
    index: int = Field(description="Its name, which it keeps. The order of the segments is that of their times.")
    start: float = Field(description="Seconds from the start of the recording.")
    end: float
    text: str = Field(description="A person’s correction where there is one.")
    machine_text: str | None = Field(description="What `text` corrects; null where nobody corrected it.")
    version: int = Field(description="Goes up with every change.")
    words: list[Word]


class SegmentStatus(Schema):
    """What a token without the scope `read` gets of a segment, and all get where many have changed."""

    index: int
    version: int


class SegmentPatch(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"example": {"text": "What was really said.", "transcription": 9, "version": 0}}
    )

    text: Correction | None = Field(description="null brings the machine’s text back.")
    transcription: int | None = Field(None, description="Whose segment it is; left out: the one shown.")
    version: int | None = Field(
        None, description="As you read it: where somebody changed the segment since, 409. Left out: the last one wins."
    )


class Conflict(Error):
    """`segment`: as it stands now. Send your change with its `version`, or take it over."""

    segment: SegmentOut | SegmentStatus


class SegmentRead(BaseModel):
    """The segment that a change is about, as it was read."""

    transcription: int | None = Field(None, description="Whose segment it is; left out: the one shown.")
    version: int | None = Field(
        None, description="As you read it: where somebody changed the segment since, 409. Left out: as it stands now."
    )


class SplitIn(SegmentRead):
    model_config = ConfigDict(json_schema_extra={"example": {"texts": ["So far.", "Next point."], "version": 0}})

    texts: tuple[Correction, Correction] = Field(description="Of the two parts, corrected as you like.")


class JoinIn(SegmentRead):
    model_config = ConfigDict(json_schema_extra={"example": {"version": 0, "next_version": 0}})

    next_version: int | None = Field(None, description="Of the segment that follows.")


class TimesIn(SegmentRead):
    model_config = ConfigDict(json_schema_extra={"example": {"start": 12.5, "end": 14.25, "version": 0}})

    start: float = Field(ge=0, allow_inf_nan=False, description="Seconds from the start of the recording.")
    end: float = Field(ge=0, allow_inf_nan=False)


class ReplaceIn(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"find": "stile", "replace": "Stile", "match_case": True}})

    find: SoughtPhrase = Field(description="Any white space in it stands for any white space.")
    replace: Phrase = Field(description="Taken literally; may be empty.")
    match_case: bool = Field(False, description="Capital and small letters differ.")
    whole_words: bool = Field(False, description="No match begins or ends inside of a word.")
    transcription: int | None = Field(None, description="In whose text; left out: in the one shown.")


class UndoIn(BaseModel):
    undo: str = Field(max_length=2_000_000, description="As the answer to the change gave it, for a day.")


class RearrangedOut(Schema):
    segments: list[SegmentOut | SegmentStatus] = Field(description="Those that were changed, or are new.")
    gone: list[int] = Field(description="The indexes of those that are no more.")
    undo: str | None = Field(description="Send it to `…/undo` to take the change back; null without the scope `read`.")


class ReplacedOut(Schema):
    count: int = Field(description="How many matches were replaced.")
    segments: list[SegmentStatus] = Field(description="Those that were changed.")
    undo: str | None = Field(description="As in the answer to a split; null also where nothing was replaced.")


class UndoneOut(Schema):
    segments: list[SegmentStatus] = Field(description="Those that are as they were, or are there again.")
    gone: list[int] = Field(description="The indexes of those that the change had made.")


class MatchOut(Schema):
    index: int = Field(description="Of the segment.")
    start: float = Field(description="Of the segment, in seconds.")
    before: str = Field(description="What stands before the match, at most 40 characters.")
    found: str
    after: str


class MatchesOut(Schema):
    count: int
    segments: int = Field(description="How many segments have one.")
    items: list[MatchOut] = Field(description="The first 100.")


class TranscriptOut(Schema):
    text: str
    language: str | None
    duration: float
    transcription: int = Field(description="Its id.")
    segments: list[SegmentOut]


def errors(*statuses: int) -> dict[int, Any]:
    """The error answers of a route: these statuses, and those that any route may give."""
    return dict.fromkeys((401, 403, 422, 429, *statuses, 500, 503), Error)


def files(*media_types: str) -> dict[str, Any]:
    """The OpenAPI part of a route that answers 200 with a file of one of these types."""
    schema = {"schema": {"type": "string"}}
    return {"responses": {200: {"content": dict.fromkeys(media_types, schema)}}}
