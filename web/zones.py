"""Times on pages in the reader's time zone, which every page keeps in a cookie."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.decorators import sync_and_async_middleware


@sync_and_async_middleware
def reader_zone(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Middleware that shows the times of an answer in the reader's zone."""

    async def answer_later(request: HttpRequest) -> Any:
        with timezone.override(_zone(request)):
            return await get_response(request)

    def answer(request: HttpRequest) -> Any:
        with timezone.override(_zone(request)):
            return get_response(request)

    return answer_later if iscoroutinefunction(get_response) else answer


def _zone(request: HttpRequest) -> ZoneInfo | None:
    """The zone of the cookie; None, the zone of the settings, without a cookie or for an unknown zone."""
    try:
        return ZoneInfo(request.COOKIES["timezone"])
    except (KeyError, ValueError, OSError):
        return None
