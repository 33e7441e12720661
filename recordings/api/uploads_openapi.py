"""The OpenAPI description of the resumable uploads (`recordings.intake.tus`)."""

from uuid import UUID

from django.conf import settings

from accounts.lanes import IN_OPENAPI
from recordings.intake import tus
from web.openapi import TEXT, Part, answer, answers, header, json_of, operation

KEY = UUID("018f6b9e-3c1d-4c55-9a55-6f1f2b7c9d10")  # of an upload in the examples

SCHEMAS: Part = {
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
}

VERSION = header("Tus-Resumable", tus.VERSION, "The version of the protocol.", const=tus.VERSION)
OFFSET = header("Upload-Offset", "0", "Where this piece belongs.", pattern="^[0-9]{1,18}$")
CHECKSUM = header(
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


def paths() -> dict[str, Part]:
    length = header("Upload-Length", "979244", "Bytes of the whole file.", pattern="^[0-9]{1,18}$")
    metadata = header(
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
    shown = json_of("Upload")
    looked = answer(200, shown, CURRENT) | {"links": onward}
    return {
        "/api/uploads": {
            "options": operation(
                "upload_abilities",
                "What the server can do of the tus protocol",
                "uploads",
                {"204": answer(204, headers=abilities), "500": answer(500, json_of("Error"))},
                security=[],
            ),
            "post": operation(
                "create_upload",
                "Begin a resumable upload",
                "uploads",
                answers({"201": answer(201, headers=created)}, json_of("Error"), *TAKING),
                description=f"tus {tus.VERSION} with {tus.EXTENSIONS}. Pieces may have any size; a first one may come "
                f"along. A file has at most {settings.MAX_UPLOAD_BYTES} bytes.",
                parameters=[VERSION, length, metadata, CHECKSUM, IN_OPENAPI],
                requestBody=PIECE,
            ),
        },
        "/api/uploads/{key}": {
            "parameters": [place],
            "head": operation(
                "find_upload_offset",
                "Where to go on",
                "uploads",
                answers({"200": answer(200, headers=CURRENT)}, {}, 404, 412),
                parameters=[VERSION],
            ),
            "get": operation(
                "get_upload",
                "Look at an upload",
                "uploads",
                answers({"200": looked}, json_of("Error"), 400, 404, 415, 422, 423, 507),
                description="One whose last byte came while the server was stopped becomes a recording now.",
                parameters=[IN_OPENAPI],
            ),
            "patch": operation(
                "continue_upload",
                "Send a piece",
                "uploads",
                answers({"204": answer(204, headers=CURRENT)}, json_of("Error"), 404, *TAKING),
                description="With the last one, the upload becomes a recording, which `Stile-Recording` names.",
                parameters=[VERSION, OFFSET, CHECKSUM, IN_OPENAPI],
                requestBody=PIECE | {"required": True},
            ),
            "post": operation(
                "insist_on_upload",
                "Make a recording of it all the same",
                "uploads",
                answers({"200": answer(200, shown, CURRENT)}, json_of("Error"), 404, *TAKING),
                description="With `duplicate=ask`, where you have the same bytes already, the last piece’s answer "
                "names that recording in `Stile-Duplicate`, and the upload waits: this keeps it, DELETE gives it up.",
                parameters=[VERSION, IN_OPENAPI],
            ),
            "delete": operation(
                "terminate_upload",
                "Give an upload up",
                "uploads",
                answers({"204": answer(204)}, json_of("Error"), 404, 412, 423),
                description="A recording that came of it stays.",
                parameters=[VERSION],
            ),
        },
    }
