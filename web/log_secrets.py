"""Secrets that stand in addresses are left out of the log: of links for guests, sign-in links and socket tickets."""

import logging
import re

HIDDEN = "[secret]"
# The secret behind `/s/`; and the values of parameters that open something. A shorter text is no secret of ours.
SECRET = re.compile(r"(/s/|[?&](?:token|ticket)=)[\w-]{20,}")


def without_secrets(text: str) -> str:
    return SECRET.sub(rf"\1{HIDDEN}", text)


class Formatter(logging.Formatter):
    """A logging formatter whose lines, with their tracebacks, have no secrets in them."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class AccessLog(logging.Filter):
    """A logging filter for a web server's own log of requests, which has the addresses as arguments."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(without_secrets(each) if isinstance(each, str) else each for each in record.args)
        return True
