"""Secrets in addresses are left out of every line of the log, however the line is put together."""

import logging
from typing import Any

import pytest

from web.log_secrets import AccessLog, Formatter, without_secrets

SECRET = "p3mB0Yw3cS0r0E1m8aRrX0m1eLq2kXv9hJ4sT7uN6wQ"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Not Found: /s/{SECRET}/", "Not Found: /s/[secret]/"),
        (f"GET /stile/s/{SECRET}/audio failed", "GET /stile/s/[secret]/audio failed"),
        (f"https://stile.example/s/{SECRET}", "https://stile.example/s/[secret]"),
        (f"GET /setup?token={SECRET} HTTP/1.1", "GET /setup?token=[secret] HTTP/1.1"),
        (f"/ws/live?after=7&ticket={SECRET}", "/ws/live?after=7&ticket=[secret]"),
        (f"/s/{SECRET}/ and /s/{SECRET[::-1]}/", "/s/[secret]/ and /s/[secret]/"),
        ("/s/short/ and /recordings/7 and ?token=", "/s/short/ and /recordings/7 and ?token="),
        ("/static/js/live/speaker.0123456789abcdef.js", "/static/js/live/speaker.0123456789abcdef.js"),
    ],
)
def test_secrets_are_hidden_and_nothing_else(text: str, expected: str) -> None:
    assert without_secrets(text) == expected


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (f"Not Found: /s/{SECRET}/", ()),
        ("%s: %s", ("Not Found", f"/s/{SECRET}/")),
        ("%(path)s", ({"path": f"/s/{SECRET}/"},)),
        ("%s", (ValueError(f"/s/{SECRET}/"),)),
    ],
)
def test_it_does_not_matter_where_in_a_record_the_secret_stands(message: str, arguments: Any) -> None:
    record = logging.LogRecord("x", logging.WARNING, "x.py", 1, message, arguments, None)
    assert SECRET not in Formatter().format(record)


def test_a_traceback_has_no_secrets_either() -> None:
    try:
        raise ValueError(f"/s/{SECRET}/")
    except ValueError as error:
        raised = (ValueError, error, error.__traceback__)
    told = Formatter().format(logging.LogRecord("x", logging.ERROR, "x.py", 1, "failed", (), raised))
    assert "ValueError: /s/[secret]/" in told
    assert SECRET not in told


def test_the_access_log_of_a_web_server_gets_addresses_without_secrets() -> None:
    """uvicorn's formatter takes the arguments apart, so they are changed themselves."""
    line = ("10.0.0.7:5000", "GET", f"/s/{SECRET}/audio", "1.1", 206)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "x.py", 1, '%s - "%s %s HTTP/%s" %d', line, None)
    assert AccessLog().filter(record)
    assert record.args == ("10.0.0.7:5000", "GET", "/s/[secret]/audio", "1.1", 206)
