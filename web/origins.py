"""Where an address leads, and the origin of a page (RFC 6454) that opens a WebSocket, from the header `Origin`."""

from io import BytesIO
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.utils.http import is_same_domain

Origin = tuple[str, str, int | None]  # scheme, host, port


def is_own_page(scope: dict[str, Any], origin: str) -> bool:
    """Whether the page is one of the product's: its scheme, host and port are those of the socket's own address, or are
    among CSRF_TRUSTED_ORIGINS. Another port of the same host belongs to another program.
    """
    asked = ASGIRequest({**scope, "method": "GET", "query_string": b""}, BytesIO())
    try:
        page = _parts(origin)
        scheme = "https" if asked.scheme in ("https", "wss") else "http"
        return page == _parts(f"{scheme}://{asked.get_host()}") or any(
            _trusts(_parts(trusted.replace("*", "")), page) for trusted in settings.CSRF_TRUSTED_ORIGINS
        )
    except (ValueError, DisallowedHost):  # the origin is no address, or the host is not in ALLOWED_HOSTS
        return False


def on_this_machine(url: str) -> bool:
    """Whether the host of the address is this machine's name or address for itself, so that no other reaches it."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return is_same_domain(host, ".localhost")  # RFC 6761, section 6.3: names below it, too
    return address.is_loopback or address.is_unspecified


def _parts(origin: str) -> Origin:
    """Raises ValueError for text that is no origin."""
    parts = urlsplit(origin)
    if not parts.hostname:
        raise ValueError(origin)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _trusts(trusted: Origin, page: Origin) -> bool:
    """Whether the trusted origin covers the page's. A trusted host with a leading point covers all hosts under it."""
    return (trusted[0], trusted[2]) == (page[0], page[2]) and is_same_domain(page[1], trusted[1])
