"""What /api/openapi.json says of the routes that are no ninja operations: resumable uploads and OpenAI's.

Shapes come from what judges the requests: `OpenAIOptions` and the constants of `tus`.
"""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.conf import settings

from recordings.api.v1.options import OpenAIOptions
from recordings.intake import tus

Part = dict[str, Any]

ERROR: Part = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
OPENAI_ERROR: Part = {"application/json": {"schema": {"$ref": "#/components/schemas/OpenAIError"}}}
TEXT: Part = {"type": "string"}
KEY = UUID("018f6b9e-3c1d-4c55-9a55-6f1f2b7c9d10")

SCHEMAS: Part = {
    "OpenAIError": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"enum": ["invalid_request_error", "server_error"]},
                    "param": {"type": ["string", "null"], "description": "The field that is to blame."},
                    "code": {"type": "string", "description": "A name that never changes."},
                },
            }
        },
        "example": {
            "error": {
                "message": "The audio must come as the multipart file “file”.",
                "type": "invalid_request_error",
                "param": "file",
                "code": "missing_file",
            }
        },
    },
    "Upload": {
        "type": "object",
        "required": ["id", "offset", "length", "expires_at", "recording", "duplicate"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "offset": {"type": "integer", "description": "Bytes that have come so far."},
            "length": {"type": "integer"},
            "expires_at": {"type": "string", "format": "date-time"},
            "recording": {
                "type": ["integer", "null"],
                "description": "What came of it; null before it is whole.",
            },
            "duplicate": {
                "type": ["integer", "null"],
                "description": "The recording of the same bytes that an upload with `ask` waits beside.",
            },
        },
        "example": {
            "id": str(KEY),
            "offset": 8388608,
            "length": 979244000,
            "expires_at": "2026-11-25T09:30:00Z",
            "recording": None,
            "duplicate": None,
        },
    },
    "Model": {
        "type": "object",
        "required": ["id", "object", "created", "owned_by"],
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "model"},
            "created": {"type": "integer"},
            "owned_by": {"type": "string"},
        },
        "example": {"id": "whisper-1", "object": "model", "created": 0, "owned_by": "stile"},
    },
}


def complete(specification: Part) -> None:
    """Add to what ninja wrote."""
    specification["paths"] |= _uploads() | _openai()
    specification["components"]["schemas"] |= SCHEMAS


def _operation(name: str, summary: str, tag: str, responses: Part, **more: Any) -> Part:
    security: list[Part] = [{"BearerToken": []}, {"SessionCookie": []}]
    return {"operationId": name, "summary": summary, "tags": [tag], "security": security, "responses": responses} | more


def _answers(good: Part, errors: Part, *statuses: int) -> Part:
    failed = {str(status): _answer(status, errors) for status in (401, 403, *statuses, 429, 500, 503)}
    return good | failed


def _answer(status: int, content: Part | None = None, headers: Part | None = None) -> Part:
    phrase = "Checksum Mismatch" if status == 460 else HTTPStatus(status).phrase  # 460 is tus's own
    return {
        "description": phrase,
        **({"content": content} if content else {}),
        **({"headers": headers} if headers else {}),
    }


# --- Resumable uploads -------------------------------------------------------------------------


def _header(name: str, example: str, description: str = "", *, required: bool = True, **schema: Any) -> Part:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "schema": TEXT | schema,
        "description": description,
        "example": example,
    }


VERSION = _header("Tus-Resumable", tus.VERSION, "The version of the protocol.", const=tus.VERSION)
OFFSET = _header("Upload-Offset", "0", "Where this piece belongs.", pattern="^[0-9]{1,18}$")
CHECKSUM = _header(
    "Upload-Checksum",
    "sha1 4uUnSS3T35Ea0EO0mDDSCLoFRLQ=",
    f"An algorithm ({', '.join(tus.ALGORITHMS)}) and the digest of the piece in base64.",
    required=False,
    pattern=rf"^({'|'.join(tus.ALGORITHMS)}) [A-Za-z0-9+/]+=*$",
)
PIECE: Part = {"content": {tus.PIECE_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
CURRENT: Part = {
    "Tus-Resumable": {"schema": {"const": tus.VERSION}},
    "Upload-Offset": {"schema": TEXT, "description": "Bytes that have come so far."},
    "Upload-Expires": {"schema": TEXT, "description": "When what has come is thrown away."},
    "Stile-Recording": {"schema": TEXT, "description": "The recording’s id, once all of it is there."},
    "Stile-Duplicate": {"schema": TEXT, "description": "The recording of the same bytes, where `ask` was sent."},
}
TAKING = (400, 409, 412, 413, 415, 422, 423, 460, 507)  # what may be wrong with a piece, and with the file it ends


def _uploads() -> dict[str, Part]:
    length = _header("Upload-Length", "979244", "Bytes of the whole file.", pattern="^[0-9]{1,18}$")
    metadata = _header(
        "Upload-Metadata",
        "filename bWVldGluZy5mbGFj,language ZW4=",
        "Pairs of a key and its text in base64: `filename`, and the fields of `POST /api/recordings`; `duplicate` may "
        "also be `ask`, and `source` says `browser` of what a page has recorded.",
        required=False,
    )
    place = {"name": "key", "in": "path", "required": True, "schema": TEXT | {"format": "uuid"}, "example": str(KEY)}
    created = {"Location": {"schema": TEXT, "description": "The upload’s address."}} | CURRENT
    abilities = {
        name: {"schema": TEXT} for name in ("Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm")
    }
    onward = {
        name: {"operationId": name, "parameters": {"key": "$response.body#/id"}}
        for name in ("find_upload_offset", "continue_upload", "terminate_upload")
    }
    shown = {"application/json": {"schema": {"$ref": "#/components/schemas/Upload"}}}
    looked = _answer(200, shown, CURRENT) | {"links": onward}
    return {
        "/api/uploads": {
            "options": _operation(
                "upload_abilities",
                "What the server can do of the tus protocol",
                "uploads",
                {"204": _answer(204, headers=abilities), "500": _answer(500, ERROR)},
                security=[],
            ),
            "post": _operation(
                "create_upload",
                "Begin a resumable upload",
                "uploads",
                _answers({"201": _answer(201, headers=created)}, ERROR, *TAKING),
                description=f"tus {tus.VERSION} with {tus.EXTENSIONS}. Pieces may have any size; a first one may come "
                f"along. A file has at most {settings.MAX_UPLOAD_BYTES} bytes.",
                parameters=[VERSION, length, metadata, CHECKSUM],
                requestBody=PIECE,
            ),
        },
        "/api/uploads/{key}": {
            "parameters": [place],
            "head": _operation(
                "find_upload_offset",
                "Where to go on",
                "uploads",
                _answers({"200": _answer(200, headers=CURRENT)}, {}, 404, 412),
                parameters=[VERSION],
            ),
            "get": _operation(
                "get_upload",
                "Look at an upload",
                "uploads",
                _answers({"200": looked}, ERROR, 400, 404, 415, 422, 423, 507),
                description="One whose last byte came while the server was stopped becomes a recording now.",
            ),
            "patch": _operation(
                "continue_upload",
                "Send a piece",
                "uploads",
                _answers({"204": _answer(204, headers=CURRENT)}, ERROR, 404, *TAKING),
                description="With the last one, the upload becomes a recording, which `Stile-Recording` names.",
                parameters=[VERSION, OFFSET, CHECKSUM],
                requestBody=PIECE | {"required": True},
            ),
            "post": _operation(
                "insist_on_upload",
                "Make a recording of it all the same",
                "uploads",
                _answers({"200": _answer(200, shown, CURRENT)}, ERROR, 404, *TAKING),
                description="With `duplicate=ask`, where you have the same bytes already, the last piece’s answer "
                "names that recording in `Stile-Duplicate`, and the upload waits: this keeps it, DELETE gives it up.",
                parameters=[VERSION],
            ),
            "delete": _operation(
                "terminate_upload",
                "Give an upload up",
                "uploads",
                _answers({"204": _answer(204)}, ERROR, 404, 412, 423),
                description="A recording that came of it stays.",
                parameters=[VERSION],
            ),
        },
    }


# --- OpenAI's routes ---------------------------------------------------------------------------


def _openai() -> dict[str, Part]:
    bearer: list[Part] = [{"BearerToken": []}]
    model = {"$ref": "#/components/schemas/Model"}
    models = {
        "type": "object",
        "required": ["object", "data"],
        "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": model}},
    }
    name = {"name": "name", "in": "path", "required": True, "schema": TEXT, "example": "whisper-1"}
    return {
        f"/v1/audio/{kind}": {
            "post": _operation(
                f"create_{kind.removesuffix('s')}",
                summary,
                "openai",
                _answers({"200": _answer(200, _texts())}, OPENAI_ERROR, 400, 404, 413, 502, 504, 507),
                description="As in OpenAI’s reference. Nothing is kept.",
                security=bearer,
                requestBody={"required": True, "content": {"multipart/form-data": {"schema": _form()}}},
            )
        }
        for kind, summary in (
            ("transcriptions", "Transcribe a file"),
            ("translations", "Translate a file’s speech into English"),
        )
    } | {
        "/v1/models": {
            "get": _operation(
                "list_models",
                "List the models",
                "openai",
                _answers({"200": _answer(200, {"application/json": {"schema": models}})}, OPENAI_ERROR),
                security=bearer,
            )
        },
        "/v1/models/{name}": {
            "get": _operation(
                "get_model",
                "Look at a model",
                "openai",
                _answers({"200": _answer(200, {"application/json": {"schema": model}})}, OPENAI_ERROR, 404),
                parameters=[name],
                security=bearer,
            )
        },
    }


def _form() -> Part:
    form = OpenAIOptions.model_json_schema()
    file = {"type": "string", "format": "binary", "description": "Audio or video in any usual format."}
    return {
        "type": "object",
        "required": ["file"],
        "properties": {"file": file, **form["properties"]},
        "example": {"model": "whisper-1", "response_format": "verbose_json"},
    }


def _texts() -> Part:
    """A transcript in each `response_format`, and with `stream`."""
    usage = {"type": "object", "required": ["type", "seconds"]}
    answer = {
        "type": "object",
        "required": ["text", "usage"],
        "properties": {
            "text": TEXT,
            "usage": usage,
            "task": {"enum": ["transcribe", "translate"]},
            "language": TEXT | {"description": "Its English name."},
            "duration": {"type": "number"},
            "segments": {"type": "array", "items": {"type": "object", "required": ["id", "start", "end", "text"]}},
            "words": {"type": "array", "items": {"type": "object", "required": ["word", "start", "end"]}},
            "damaged": {"type": "array", "items": {"type": "object", "required": ["start", "end"]}},
            "tracks": {"type": "array", "items": {"type": "object", "required": ["number", "heard"]}},
        },
        "description": "`damaged` where something of the file could not be read, `tracks` where it has several; the "
        "headers `Stile-Damaged` and `Stile-Tracks` say the same. All others but `text` and `usage` with verbose_json "
        "only.",
        "example": {"text": "Good morning, everyone.", "usage": {"type": "duration", "seconds": 2}},
    }
    files = {kind: {"schema": TEXT} for kind in ("text/plain", "application/x-subrip", "text/vtt")}
    events = {
        "text/event-stream": {"schema": TEXT, "example": 'data: {"type": "transcript.text.delta", "delta": "Hi"}'}
    }
    return {"application/json": {"schema": answer}} | files | events
