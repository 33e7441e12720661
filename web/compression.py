"""Compression of answers: pages, JSON and texts."""

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

TYPES = frozenset({"application/json", "application/x-subrip", "text/html", "text/markdown", "text/plain", "text/vtt"})


# `Cache-Control` of an answer of the API that has a secret.
UNCOMPRESSED = "no-store, no-transform"


class CompressionMiddleware(GZipMiddleware):
    """Gzip for answers of these types, where the client takes it.

    Sound and events stay as they are: a range counts the bytes of the file, and an event does not wait for the next.
    A page that browsers must not store stays as it is, too. Such a page shows a secret, for example a link, and each
    page repeats its own address. Its compressed length would tell a stranger who chose the address whether the address
    repeats some of the secret (BREACH). To all other answers Django adds up to 100 random bytes for that reason.
    An answer of the API that has a secret says `no-transform` (RFC 9111, section 5.2.2.6): proxies leave it alone, too.
    """

    def process_response(self, request: HttpRequest, response: Any) -> HttpResponseBase:
        media_type = response.get("Content-Type", "").partition(";")[0]
        caching = response.get("Cache-Control", "")
        secret = "no-transform" in caching or (media_type == "text/html" and "no-store" in caching)
        if media_type not in TYPES or secret:
            return response  # type: ignore[no-any-return]
        return super().process_response(request, response)
