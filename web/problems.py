"""Answers that say why a request cannot be served: one shape, whichever part of the product gives them."""

import errno
import math
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import BadRequest
from django.db import DatabaseError, InterfaceError, OperationalError

from web.codes import CODES, Words

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class Problem(BadRequest):
    """An error of the table `web.codes`: an HTTP status, a code, and a sentence in the reader's language.

    It is a BadRequest, so that Django answers 400 where one is raised outside of the API: by the upload handler, while
    the form of a page is read.
    """

    def __init__(
        self,
        code: str,
        message: Words = "",
        *,
        headers: Mapping[str, str] | None = None,
        param: str | None = None,
        **values: object,
    ) -> None:
        """code: one of CODES. message: a sentence that says more than the one in the table.

        headers: sent with the answer. param: the field of the request that is to blame.
        values: for the parts of the sentence in braces.
        """
        super().__init__(code)
        self.code = code
        self.headers = dict(headers or {})
        self.param = param
        self._words = message or CODES[code].words
        self._values = values

    @property
    def status(self) -> int:
        """The HTTP status at `/api` and on pages."""
        return CODES[self.code].status or 500

    @property
    def message(self) -> str:
        """The sentence in the active language."""
        return str(self._words).format(**self._values) if self._values else str(self._words)

    def at(self, path: str) -> tuple[int, Mapping[str, Any]]:
        """The HTTP status and the JSON body at an address, in OpenAI's shape under /v1."""
        return self.at_v1() if path.startswith("/v1") else (self.status, self.body())

    def body(self) -> dict[str, dict[str, str]]:
        return {"error": {"code": self.code, "message": self.message}}

    def at_v1(self) -> tuple[int, dict[str, dict[str, str | None]]]:
        """The HTTP status and the JSON body in OpenAI's shape."""
        status = CODES[self.code].v1 or self.status
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return status, {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def retry_after(seconds: float) -> dict[str, str]:
    """The header Retry-After (RFC 9110, section 10.2.3), in whole seconds and at least 1."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def not_signed_in(message: Words = "") -> Problem:
    return Problem("not_authenticated", message, headers={"WWW-Authenticate": 'Bearer realm="Stile"'})


def not_found() -> Problem:
    """The same words for an object of somebody else and for one that never was."""
    return Problem("not_found")


def from_failure(failure: Exception) -> Problem | None:
    """The problem behind an exception of the machine: the disk is full, or the database is away. None for any other."""
    if is_disk_full(failure):
        return Problem("disk_full")
    if isinstance(failure, OperationalError | InterfaceError):
        return Problem("database_unavailable", headers=retry_after(5))
    return None


def is_disk_full(failure: Exception) -> bool:
    if isinstance(failure, OSError):
        return failure.errno in DISK_FULL
    return isinstance(failure, DatabaseError | InterfaceError) and "disk is full" in str(failure)  # SQLite's words
