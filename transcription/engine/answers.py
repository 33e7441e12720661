"""The answers of the embedded Whisper server, in OpenAI's formats."""

import html
from dataclasses import asdict

from faster_whisper import format_timestamp
from faster_whisper.transcribe import Segment, TranscriptionInfo
from starlette.responses import JSONResponse, PlainTextResponse, Response

from transcription.engine.options import EngineOptions


def answer(segments: list[Segment], info: TranscriptionInfo, options: EngineOptions) -> Response:
    """The transcription in the format that the options ask for."""
    text = "".join(segment.text for segment in segments).strip()
    match options.response_format:
        case "json":
            return JSONResponse({"text": text})
        case "text":
            return PlainTextResponse(f"{text}\n")
        case "srt":
            return PlainTextResponse(srt(segments))
        case "vtt":
            return PlainTextResponse(vtt(segments), media_type="text/vtt")
    body = {
        "task": options.task,
        "language": info.language,
        "duration": info.duration,
        "text": text,
        "segments": [asdict(segment) | {"id": number} for number, segment in enumerate(segments)],
    }
    if options.words:
        body["words"] = [asdict(word) for segment in segments for word in segment.words or ()]
    return JSONResponse(body)


def srt(segments: list[Segment]) -> str:
    def stamp(seconds: float) -> str:
        return str(format_timestamp(seconds, always_include_hours=True, decimal_marker=","))

    return "".join(
        f"{number}\n{stamp(segment.start)} --> {stamp(segment.end)}\n{segment.text.strip()}\n\n"
        for number, segment in enumerate(segments, 1)
    )


def vtt(segments: list[Segment]) -> str:
    cues = (
        f"{format_timestamp(segment.start)} --> {format_timestamp(segment.end)}\n"
        f"{html.escape(segment.text.strip(), quote=False)}\n\n"
        for segment in segments
    )
    return "WEBVTT\n\n" + "".join(cues)
