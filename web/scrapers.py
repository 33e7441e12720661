"""The right to read /metrics: by METRICS_TOKEN, or from an address in METRICS_ALLOWED."""

import hmac
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from web.bearer import bearer_secret
from web.problems import Problem, not_signed_in
from web.throttle import BAD_TOKENS


def require_scraper(request: HttpRequest) -> None:
    """Raises Problem unless METRICS_TOKEN is sent, or the request comes from METRICS_ALLOWED.

    A trusted proxy's own address is never taken for a scraper's: a proxy that forgets to send `X-Forwarded-For` brings
    everybody's requests from it.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if _is_among(address, settings.METRICS_ALLOWED) and not _is_among(address, settings.TRUSTED_PROXIES):
        return
    if not settings.METRICS_TOKEN:
        raise Problem("forbidden", _("Set METRICS_TOKEN or METRICS_ALLOWED to read this."))
    if not hmac.compare_digest((bearer_secret(request) or "").encode(), settings.METRICS_TOKEN.encode()):
        BAD_TOKENS.require(address)
        raise not_signed_in(_("Send METRICS_TOKEN: “Authorization: Bearer …”."))


def _is_among(address: str, networks: Iterable[str]) -> bool:
    """Whether the address is one of the networks or lies in one; that of a socket file, which has none, is not."""
    try:
        return any(ip_address(address) in ip_network(network) for network in networks)
    except ValueError:
        return False
