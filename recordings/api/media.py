"""The sound of a recording as a response: any range of it, in bounded memory, with headers that keep it harmless."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import PurePath

from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header, parse_etags

from recordings.models import Recording
from recordings.text import download_name
from web.problems import Problem

CHUNK = 256 * 1024  # bytes in memory for each listener
ASK_AGAIN = 5.0  # seconds between two looks whether the listener may go on
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

Allowed = Callable[[], Awaitable[bool]]


class RightEnded(Exception):
    """The listener lost the right to the sound while it was sent."""


class Unsatisfiable(Exception):
    """The range begins after the end of the file."""


@dataclass(frozen=True, slots=True)
class _ServedFile:
    """A stored file and how it is served. `attached`: for saving, under `filename`."""

    name: str
    size: int
    media_type: str
    etag: str
    filename: str
    attached: bool


async def audio_response(
    request: HttpRequest,
    recording: Recording,
    *,
    original: bool = False,
    download: bool = False,
    title: str = "",
    allowed: Allowed | None = None,
) -> HttpResponseBase:
    """The recording's sound: 200, 206 for one range, 304, or 416.

    original: the file as it was uploaded, even where there is a copy that browsers play.
    download: as an attachment, for saving.
    title: the name of the file for the listener; empty for the name that it was uploaded under.
    allowed: asked every ASK_AGAIN seconds while the sound is sent. Where it says no, the connection is cut.

    Raises Problem 404 where the storage has lost the file.
    """
    try:
        sound = await asyncio.to_thread(_sound, recording, original, download, title)
    except FileNotFoundError:
        raise Problem("source_missing") from None
    if {sound.etag, "*"} & set(parse_etags(request.headers.get("If-None-Match", ""))):
        return _described(HttpResponseNotModified(), sound)
    try:
        part = _range(request, sound.etag, sound.size)
    except Unsatisfiable:
        return _described(HttpResponse(status=416, headers={"Content-Range": f"bytes */{sound.size}"}), sound)
    start, stop = part or (0, sound.size)
    body: HttpResponseBase = HttpResponse()
    if request.method != "HEAD":
        body = StreamingHttpResponse(_chunks(sound.name, start, stop, allowed))
    body.headers["Content-Length"] = str(stop - start)
    if part:
        body.status_code = 206
        body.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{sound.size}"
    return _described(body, sound)


def _sound(recording: Recording, original: bool, attached: bool, title: str) -> _ServedFile:
    """Raises FileNotFoundError."""
    stem = title or PurePath(recording.original_name).stem
    if recording.playable and not original:
        name = str(recording.playable)
        return _ServedFile(
            name,
            default_storage.size(name),
            "audio/webm",
            f'"{recording.sha256}-copy"',
            download_name(stem, PurePath(name).suffix),
            attached,
        )
    name = str(recording.original)
    if not default_storage.exists(name):
        raise FileNotFoundError(name)
    filename = download_name(stem, PurePath(name).suffix)
    return _ServedFile(name, recording.bytes, recording.media_type, f'"{recording.sha256}"', filename, attached)


def _described(response: HttpResponseBase, sound: _ServedFile) -> HttpResponseBase:
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",  # kept, but asked about: rights may have changed
        "Content-Disposition": content_disposition_header(sound.attached, sound.filename) or "inline",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Content-Type": sound.media_type,
        "Cross-Origin-Resource-Policy": "same-origin",
        "ETag": sound.etag,
        "X-Content-Type-Options": "nosniff",
    }
    for header, value in headers.items():
        response.headers[header] = value
    return response


def _range(request: HttpRequest, etag: str, size: int) -> tuple[int, int] | None:
    """The range of the request as [start, stop); None for the whole file (RFC 9110, section 14).

    A header may be ignored that is malformed, has several ranges, or is for another version of the file. It is.
    Raises Unsatisfiable.
    """
    match = RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if not match or request.headers.get("If-Range", etag) != etag:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size or start >= stop:
        raise Unsatisfiable
    return start, stop


async def _chunks(name: str, start: int, stop: int, allowed: Allowed | None) -> AsyncIterator[bytes]:
    """The bytes [start, stop) of a stored file, read in threads.

    The file is closed with the generator, so that nothing stays open for a client that hangs up. A file that ends early
    cuts the connection, because its length was promised. So does `allowed`, when it says no.
    """
    file = await asyncio.to_thread(default_storage.open, name, "rb")
    try:
        await asyncio.to_thread(file.seek, start)
        asked = time.monotonic()
        while start < stop:
            if allowed and time.monotonic() - asked >= ASK_AGAIN:
                if not await allowed():
                    raise RightEnded(name)
                asked = time.monotonic()
            chunk = await asyncio.to_thread(file.read, min(CHUNK, stop - start))
            if not chunk:
                raise EOFError(f"{name} is shorter than the recording says")
            start += len(chunk)
            yield chunk
    finally:
        await asyncio.to_thread(file.close)
