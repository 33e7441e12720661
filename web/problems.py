"""What a program is told when its request cannot be served: one shape, from every door."""

import errno
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import BadRequest
from django.db import DatabaseError, InterfaceError, OperationalError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class Problem(BadRequest):
    """An HTTP status, a code that never changes, and a sentence for a person in their language.

    A BadRequest, so that Django answers 400 where one is raised outside of the API: by the upload handler, while a
    page's form is read.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str | Promise,
        headers: Mapping[str, str] | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.param = param  # the field of the request that is to blame

    def body(self) -> dict[str, dict[str, str]]:
        return {"error": {"code": self.code, "message": str(self.message)}}

    def body_at(self, path: str) -> Mapping[str, Any]:
        """In the shape that programs expect at this address."""
        return self.openai_body() if path.startswith("/v1") else self.body()

    def openai_body(self) -> dict[str, dict[str, str | None]]:
        """The same in OpenAI's shape, for the programs that expect it."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": str(self.message), "type": kind, "param": self.param, "code": self.code}}


def not_signed_in() -> Problem:
    return Problem(
        401,
        "not_authenticated",
        _("Sign in, or send a valid token: “Authorization: Bearer …”."),
        {"WWW-Authenticate": 'Bearer realm="Stile"'},
    )


def not_found() -> Problem:
    """The same words for an object that is somebody else's and one that never was."""
    return Problem(404, "not_found", _("There is nothing here, or it is not yours."))


def from_failure(failure: Exception) -> Problem | None:
    """The problem behind an exception of the machine's: disk full, database away; None for any other."""
    if is_disk_full(failure):
        return disk_full()
    if isinstance(failure, OperationalError | InterfaceError):
        return Problem(
            503, "database_unavailable", _("The database is not answering. Try again."), {"Retry-After": "5"}
        )
    return None


def is_disk_full(failure: Exception) -> bool:
    if isinstance(failure, OSError):
        return failure.errno in DISK_FULL
    return isinstance(failure, DatabaseError | InterfaceError) and "disk is full" in str(failure)  # SQLite's words


def disk_full() -> Problem:
    return Problem(507, "disk_full", _("The server’s disk is full. Nothing was kept of this request."))
