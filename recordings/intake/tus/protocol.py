"""The headers of the tus protocol: what this server can do, and what a request says."""

import binascii
import hashlib
from base64 import b64decode
from typing import BinaryIO

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from pydantic import ValidationError

from recordings.failures import invalid_request
from recordings.intake.options import UploadMetadata
from recordings.text import filename_fault
from web.parts import decoded
from web.problems import Problem

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,termination,checksum"
NOT_DONE = {"Upload-Concat": "concatenation", "Upload-Defer-Length": "creation-defer-length"}  # by their headers
ALGORITHMS = ("sha1", "sha256", "md5")  # of checksums; sha1 is the one that the protocol asks of everybody
PIECE_TYPE = "application/offset+octet-stream"
BLOCK = 1024**2  # bytes that are read at once


def abilities() -> HttpResponse:
    """The answer to OPTIONS."""
    return HttpResponse(
        status=204,
        headers={
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(settings.MAX_UPLOAD_BYTES),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        },
    )


def require_version(request: HttpRequest) -> None:
    """Raise Problem 412 where the client speaks another version. GET is not the protocol's, and needs none."""
    if request.method != "GET" and request.headers.get("Tus-Resumable") != VERSION:
        raise Problem("version_unsupported", headers={"Tus-Version": VERSION}, version=VERSION)


def require_known_extensions(request: HttpRequest) -> None:
    """Raise Problem 400 for an upload of a kind that this server would take for an ordinary one."""
    for header, extension in NOT_DONE.items():
        if header in request.headers:
            raise Problem("extension_unsupported", headers={"Tus-Extension": EXTENSIONS}, extension=extension)


def require_piece(request: HttpRequest) -> None:
    """Raise Problem 415 where the body is not a piece of a file."""
    if request.content_type != PIECE_TYPE:
        raise Problem("wrong_content_type", type=PIECE_TYPE)


def whole_number(request: HttpRequest, header: str) -> int:
    """The number in a header. Raises Problem 400."""
    value = request.headers.get(header, "")
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise Problem("bad_request", _("The %(header)s header must be a whole number.") % {"header": header})
    return int(value)


def read_metadata(metadata: str) -> tuple[str, UploadMetadata]:
    """The file's name and the options, from “key base64,key base64”. Raises Problem 400 or 422."""
    try:
        pairs = [pair.strip().partition(" ") for pair in metadata.split(",") if pair.strip()]
        texts = {key: decoded(b64decode(value, validate=True)) for key, _space, value in pairs}
    except ValueError as error:
        raise Problem("bad_request", _("The Upload-Metadata header cannot be read.")) from error
    name = texts.pop("filename", "")
    if wrong := filename_fault(name):
        raise Problem("invalid_filename", wrong)
    try:
        return name, UploadMetadata.model_validate(texts)
    except ValidationError as error:
        raise invalid_request(error) from error


def require_checksum(request: HttpRequest, piece: BinaryIO) -> None:
    """Raise Problem 400 or 460 where the Upload-Checksum header, if any, is not of this piece."""
    header = request.headers.get("Upload-Checksum")
    if header is None:
        return
    algorithm, _space, digest = header.partition(" ")
    if algorithm not in ALGORITHMS:
        raise Problem("checksum_unsupported", algorithms=", ".join(ALGORITHMS))
    try:
        expected = b64decode(digest, validate=True)
    except binascii.Error as error:
        raise Problem("bad_request", _("The Upload-Checksum header cannot be read.")) from error
    found = hashlib.new(algorithm, usedforsecurity=False)
    while block := piece.read(BLOCK):
        found.update(block)
    if found.digest() != expected:
        raise Problem("checksum_mismatch")
