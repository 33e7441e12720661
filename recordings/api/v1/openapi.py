"""The OpenAPI description of /v1. The fields of its form are those of `OpenAIOptions`, which judges the requests."""

from accounts.lanes import IN_OPENAPI
from web.openapi import TEXT, Part, answer, answers, json_of, operation

from .options import OpenAIOptions

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


def paths() -> dict[str, Part]:
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
            "post": operation(
                f"create_{kind.removesuffix('s')}",
                summary,
                "openai",
                answers({"200": answer(200, _texts())}, json_of("OpenAIError"), 400, 404, 413, 502, 504, 507),
                description="As in OpenAI’s reference. Nothing is kept.",
                parameters=[IN_OPENAPI],
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
            "get": operation(
                "list_models",
                "List the models",
                "openai",
                answers({"200": answer(200, {"application/json": {"schema": models}})}, json_of("OpenAIError")),
                security=bearer,
            )
        },
        "/v1/models/{name}": {
            "get": operation(
                "get_model",
                "Look at a model",
                "openai",
                answers({"200": answer(200, {"application/json": {"schema": model}})}, json_of("OpenAIError"), 404),
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
