"""Filters for times and lines."""

import json

from django import template
from django.utils.translation import get_language_info, gettext

register = template.Library()


@register.filter
def clock(seconds: float) -> str:
    """7:31 or 1:02:40."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@register.filter
def as_json(value: object) -> str:
    """Compact JSON, for a data attribute (the template escapes it)."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


@register.filter
def language_name(code: str) -> str:
    """The language's name in the reader's language; a code that Django does not know stays as it is."""
    if code == "zh":  # Django knows only its two ways of writing
        return gettext("Chinese")
    try:
        return str(get_language_info(code)["name_translated"])
    except KeyError:
        return code
