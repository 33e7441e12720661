"""The lane of the work that a request makes: that of its token, or a lower one that its header asks for."""

from typing import Literal, get_args

from django.http import HttpRequest

from accounts.models import ApiToken
from web.openapi import header
from web.problems import Problem

WorkLane = Literal["interactive", "batch"]
LANES: tuple[WorkLane, ...] = get_args(WorkLane)
HEADER = "X-Stile-Lane"
IN_OPENAPI = header(
    HEADER,
    "batch",
    "`batch`: the work waits behind that of people. `interactive` changes nothing: that of a batch token stays batch.",
    required=False,
    enum=list(LANES),
)


def lane_of(request: HttpRequest, token: ApiToken | None) -> WorkLane:
    """The highest lane in which work of this request may stand. Raises Problem 400 for a header that names no lane."""
    asked = request.headers.get(HEADER, LANES[0])
    if asked not in LANES:
        raise Problem("invalid_lane")
    return "batch" if "batch" in (asked, token and token.lane) else "interactive"
